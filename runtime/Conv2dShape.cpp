// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/Conv2dShape.h"

#include <algorithm>
#include <limits>
#include <string>
#include <tuple>

using namespace bq;

namespace {

/// With sizes below the first and steps below the second no product of two of them leaves 62 bits.
constexpr int64_t maxSize = (int64_t{1} << 31) - 1;
constexpr int64_t maxStep = int64_t{1} << 30;

Status checkRange(const std::string &name, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most)
    return {};
  return invalidArgument(name + " is " + std::to_string(value) + ": use " + std::to_string(least) + " to " +
                         std::to_string(most));
}

struct Range {
  const char *name;
  int64_t value, least, most;
};

template <size_t count>
Status checkRanges(const char *owner, const Range (&ranges)[count]) {
  for (const Range &range : ranges)
    if (Status status = checkRange(std::string(owner) + range.name, range.value, range.least, range.most); !status)
      return status;
  return {};
}

} // namespace

Status Conv2dShape::verify() const {
  const Range ranges[] = {
      {"batch", batch, 0, maxSize}, {"channels", channels, 1, maxSize},       {"height", height, 0, maxSize},
      {"width", width, 0, maxSize}, {"outChannels", outChannels, 1, maxSize}, {"groups", groups, 1, maxSize}};
  if (Status status = checkRanges("", ranges); !status)
    return status;
  for (int axis : {0, 1}) {
    const std::string at = "[" + std::to_string(axis) + "]";
    for (auto [name, value, least] :
         {std::tuple{"kernel", kernel[axis], 1}, std::tuple{"stride", stride[axis], 1},
          std::tuple{"padding", padding[axis], 0}, std::tuple{"dilation", dilation[axis], 1}})
      if (Status status = checkRange(name + at, value, least, maxStep); !status)
        return status;
  }
  for (auto [name, value] : {std::pair{"channels", channels}, std::pair{"outChannels", outChannels}})
    if (value % groups)
      return invalidArgument(std::string(name) + " is " + std::to_string(value) + ": a multiple of the " +
                             std::to_string(groups) + " groups is expected");
  const __int128 taps = static_cast<__int128>(kernel[0]) * kernel[1];
  if (taps * std::max(groupChannels(), groupOutputs()) > maxSize)
    return invalidArgument("kernel is " + std::to_string(kernel[0]) + " by " + std::to_string(kernel[1]) +
                           ": a patch has at most " + std::to_string(maxSize) + " elements");
  const __int128 pixels = static_cast<__int128>(batch) * std::max(height * width, outHeight() * outWidth());
  if (pixels * std::max(channels, outChannels) > std::numeric_limits<int64_t>::max() / 64)
    return invalidArgument("batch is " + std::to_string(batch) + ": the images have too many elements");
  return {};
}

abi::Conv2dGeometry Conv2dShape::forward() const {
  abi::Conv2dGeometry g;
  g.batch = batch;
  g.height = height;
  g.width = width;
  g.columnStride = channels;
  g.rowStride = width * g.columnStride;
  g.batchStride = height * g.rowStride;
  g.outHeight = outHeight();
  g.outWidth = outWidth();
  g.kernelHeight = kernel[0];
  g.kernelWidth = kernel[1];
  for (int axis : {0, 1}) {
    g.multiply[axis] = stride[axis];
    g.offset[axis] = -padding[axis];
    g.tapStep[axis] = dilation[axis];
  }
  return g;
}

abi::Conv2dGeometry Conv2dShape::inputGradient() const {
  abi::Conv2dGeometry g = forward();
  g.height = outHeight();
  g.width = outWidth();
  g.columnStride = outChannels;
  g.rowStride = g.width * g.columnStride;
  g.batchStride = g.height * g.rowStride;
  g.outHeight = height;
  g.outWidth = width;
  for (int axis : {0, 1}) {
    g.multiply[axis] = 1;
    g.divide[axis] = stride[axis];
    g.offset[axis] = padding[axis];
    g.tapStep[axis] = -dilation[axis];
  }
  return g;
}

Status bq::verifyGeometry(const abi::Conv2dGeometry &g, int64_t k, int activationBits) {
  const int64_t lowest = activationBits > 1 ? -(int64_t{1} << (activationBits - 1)) : -activationBits;
  const int64_t highest = activationBits > 1 ? -lowest - 1 : activationBits;
  const Range ranges[] = {{"batch", g.batch, 0, maxSize},
                          {"height", g.height, 0, maxSize},
                          {"width", g.width, 0, maxSize},
                          {"outHeight", g.outHeight, 0, maxSize},
                          {"outWidth", g.outWidth, 0, maxSize},
                          {"kernelHeight", g.kernelHeight, 1, maxSize},
                          {"kernelWidth", g.kernelWidth, 1, maxSize},
                          {"batchStride", g.batchStride, 0, std::numeric_limits<int64_t>::max()},
                          {"rowStride", g.rowStride, 0, std::numeric_limits<int64_t>::max()},
                          {"columnStride", g.columnStride, 0, std::numeric_limits<int64_t>::max()},
                          {"multiply[0]", g.multiply[0], 0, maxStep},
                          {"multiply[1]", g.multiply[1], 0, maxStep},
                          {"divide[0]", g.divide[0], 1, maxStep},
                          {"divide[1]", g.divide[1], 1, maxStep},
                          {"offset[0]", g.offset[0], -maxStep, maxStep},
                          {"offset[1]", g.offset[1], -maxStep, maxStep},
                          {"tapStep[0]", g.tapStep[0], -maxStep, maxStep},
                          {"tapStep[1]", g.tapStep[1], -maxStep, maxStep},
                          {"padCode", g.padCode, lowest, highest},
                          {"groups", g.groups, 1, maxSize}};
  if (Status status = checkRanges("geometry.", ranges); !status)
    return status;
  if (k % g.kernelHeight || k / g.kernelHeight % g.kernelWidth)
    return invalidArgument("geometry has a kernel of " + std::to_string(g.kernelHeight) + " by " +
                           std::to_string(g.kernelWidth) + ": it must divide the " + std::to_string(k) +
                           " columns of the weight");
  return {};
}

bool bq::isPointwise(const abi::Conv2dGeometry &g) {
  if (g.groups != 1 || g.kernelHeight != 1 || g.kernelWidth != 1 || g.outHeight != g.height || g.outWidth != g.width)
    return false;
  for (int axis : {0, 1})
    if (g.multiply[axis] != 1 || g.divide[axis] != 1 || g.offset[axis] != 0)
      return false;
  return g.rowStride == g.width * g.columnStride && g.batchStride == g.height * g.rowStride;
}
