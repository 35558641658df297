// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Half.h"
#include "runtime/Conv2dShape.h"
#include "test/conformance/Matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

using namespace bq;
using namespace bq::conformance;

namespace {

struct Pair {
  int64_t y, x;
};
constexpr Pair kernels[] = {{1, 1}, {3, 3}, {2, 5}, {7, 1}, {1, 2}, {11, 3}};
constexpr Pair sizes[] = {{1, 1}, {5, 7}, {8, 8}, {13, 3}, {1, 17}};
constexpr Pair strides[] = {{1, 1}, {2, 2}, {3, 1}};
constexpr Pair paddings[] = {{0, 0}, {1, 1}, {2, 0}, {0, 6}};
constexpr Pair dilations[] = {{1, 1}, {2, 1}, {3, 3}};
/// Below, at and above the vectors that are copied; several steps of them.
constexpr int64_t channelCounts[] = {1, 3, 8, 16, 17, 32, 64, 200};
constexpr int64_t outputCounts[] = {1, 5, 16, 37};
constexpr int64_t groupCounts[] = {1, 2, 3};
/// Of the format, in channels of a pixel where that is a fraction: below, at and above a pixel.
constexpr int64_t formatGroups[] = {0, 7, 16, 32, 64, 100};

struct Conv2dCase {
  Conv2dShape shape;
  bool isGradient = false; ///< With respect to the input.
  WeightShape weight;      ///< Of a group; n and k follow from the shape.
  Compute compute = Compute::F32;
  ElementType dataType = ElementType::F32;
  bool hasBias = false, stridedX = false;
  int staticBits = 0, padCode = 0;
  Activation activation = Activation::None;
  bool hasNaN = false;
  int parallel = 0;
  uint64_t seed = 0;

  int64_t inputChannels() const { return isGradient ? shape.groupOutputs() : shape.groupChannels(); }
  bq::abi::Conv2dGeometry geometry() const { return isGradient ? shape.inputGradient() : shape.forward(); }

  std::string name() const {
    const WeightShape &w = weight;
    auto pair = [](const char *tag, const std::array<int64_t, 2> &values) {
      return "_" + std::string(tag) + std::to_string(values[0]) + "x" + std::to_string(values[1]);
    };
    std::string text = weightName(w.format, w.zeroType, w.scaleType) + "_" + std::string(str(compute)) + "_" +
                       std::string(str(dataType)) + "_b" + std::to_string(shape.batch) + "c" +
                       std::to_string(shape.channels) + "o" + std::to_string(shape.outChannels) + "g" +
                       std::to_string(shape.groups);
    text += pair("i", {shape.height, shape.width}) + pair("k", shape.kernel) + pair("s", shape.stride) +
            pair("p", shape.padding) + pair("d", shape.dilation);
    text += isGradient ? "_gradient" : "";
    text += hasBias ? "_bias" : "";
    text += activation == Activation::None ? "" : "_" + std::string(str(activation));
    text += stridedX ? "_stridedx" : "";
    text += w.permuted ? "_permuted" : "";
    text += w.columnFactors ? "_factors" : "";
    text += staticBits ? "_a" + std::to_string(staticBits) : "";
    text += hasNaN ? "_nan" : "";
    return text;
  }
};

/// Every pair of levels, and every format with every compute that the backend has.
std::vector<Conv2dCase> conv2dCases(const Subject &subject, uint64_t seed) {
  enum {
    Kind,
    Comp,
    Size,
    Kernel,
    Stride,
    Padding,
    Dilation,
    Channels,
    Outputs,
    Groups,
    Batch,
    FormatGroup,
    Gradient,
    Data,
    Scale,
    Bias,
    Act,
    StrideX,
    Permuted,
    Factors,
    Static,
    NaN,
    Par
  };
  const std::vector<int> levels = {static_cast<int>(weightKinds().size()),
                                   static_cast<int>(subject.computes.size()),
                                   std::size(sizes),
                                   std::size(kernels),
                                   std::size(strides),
                                   std::size(paddings),
                                   std::size(dilations),
                                   std::size(channelCounts),
                                   std::size(outputCounts),
                                   std::size(groupCounts),
                                   2,
                                   std::size(formatGroups),
                                   2,
                                   elementTypes.size(),
                                   elementTypes.size(),
                                   2,
                                   activations.size(),
                                   2,
                                   2,
                                   2,
                                   activationBits.size(),
                                   2,
                                   parallelForCount};
  std::vector<Conv2dCase> cases;
  for (const std::vector<int> &row : coverPairs(levels, {{Kind, Comp}}, seed)) {
    Conv2dCase c;
    Conv2dShape &shape = c.shape;
    auto set = [](std::array<int64_t, 2> &values, Pair pair) { values = {pair.y, pair.x}; };
    shape.batch = row[Batch] ? 3 : 1;
    shape.height = sizes[row[Size]].y;
    shape.width = sizes[row[Size]].x;
    set(shape.kernel, kernels[row[Kernel]]);
    set(shape.stride, strides[row[Stride]]);
    set(shape.padding, paddings[row[Padding]]);
    set(shape.dilation, dilations[row[Dilation]]);
    shape.groups = groupCounts[row[Groups]];
    shape.channels = shape.groups * channelCounts[row[Channels]];
    shape.outChannels = shape.groups * outputCounts[row[Outputs]];
    // A kernel that is larger than the image needs padding.
    for (int axis : {0, 1}) {
      const int64_t size = axis ? shape.width : shape.height;
      const int64_t lacking = shape.dilation[axis] * (shape.kernel[axis] - 1) + 1 - size - 2 * shape.padding[axis];
      shape.padding[axis] += std::max<int64_t>(0, (lacking + 1) / 2);
    }
    c.isGradient = row[Gradient];
    const WeightKind &kind = weightKinds()[row[Kind]];
    c.weight.format = kind.grouped(formatGroups[row[FormatGroup]]);
    c.weight.zeroType = kind.zeroType;
    c.weight.n = c.isGradient ? shape.groupChannels() : shape.groupOutputs();
    c.weight.k = c.isGradient ? shape.gradientK() : shape.k();
    c.weight.scaleType = elementTypes[row[Scale]];
    c.weight.permuted = row[Permuted];
    c.compute = subject.computes[row[Comp]];
    c.dataType = elementTypes[row[Data]];
    c.hasBias = row[Bias];
    c.activation = activations[row[Act]];
    c.stridedX = row[StrideX];
    const bool mayHaveScale = c.compute == Compute::I8 && !c.weight.format.hasColumnScale();
    c.staticBits = mayHaveScale ? activationBits[row[Static]] : 0;
    // Padding of binary convolutions may count as -1.
    c.padCode = c.staticBits && row[Bias] ? -1 : 0;
    c.weight.columnFactors = row[Factors] && subject.hasFactors && !c.staticBits && !c.weight.format.hasColumnScale();
    c.hasNaN = row[NaN];
    c.parallel = row[Par];
    c.seed = seed * 1000003 + cases.size();
    cases.push_back(c);
  }
  return cases;
}

/// Patches by the definition of the convolution: each pair of an output pixel and a tap is one pair of pixels, of which
/// the gradient takes the one for the other. Entries are pixels of the images, or -1.
std::vector<int64_t> patchPixels(const Conv2dCase &c) {
  const Conv2dShape &s = c.shape;
  const int64_t taps = s.kernel[0] * s.kernel[1], outHeight = s.outHeight(), outWidth = s.outWidth();
  const int64_t inPixels = s.batch * s.height * s.width, outPixels = s.batch * outHeight * outWidth;
  std::vector<int64_t> pixels((c.isGradient ? inPixels : outPixels) * taps, -1);
  for (int64_t out = 0; out < outPixels; ++out)
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int64_t y = out / outWidth % outHeight * s.stride[0] - s.padding[0] + tap / s.kernel[1] * s.dilation[0];
      const int64_t x = out % outWidth * s.stride[1] - s.padding[1] + tap % s.kernel[1] * s.dilation[1];
      if (y < 0 || y >= s.height || x < 0 || x >= s.width)
        continue;
      const int64_t in = (out / (outWidth * outHeight) * s.height + y) * s.width + x;
      (c.isGradient ? pixels[in * taps + tap] : pixels[out * taps + tap]) = c.isGradient ? out : in;
    }
  return pixels;
}

/// One group: what its columns of y must be, and whether they are.
void runGroup(const Subject &subject, const Conv2dCase &c, int64_t group, const Matrix &x, const Matrix &y,
              const std::vector<int64_t> &pixels, float scale, Random &random) {
  const Weight weight(c.weight, random);
  const int64_t n = c.weight.n, k = c.weight.k, channels = c.inputChannels();
  GuardedBuffer bias(c.hasBias ? n * 4 : 0);
  const float *biasValues = c.hasBias ? reinterpret_cast<const float *>(bias.data()) : nullptr;
  for (int64_t j = 0; c.hasBias && j < n; ++j)
    storeElement(ElementType::F32, bias.data(), j, random.unit());
  auto prepacked = subject.backend->prepack(weight.canonical(), parallelFor(c.parallel));
  ASSERT_TRUE(prepacked) << prepacked.error().message;

  bq::abi::Conv2dGeometry geometry = c.geometry();
  geometry.columnStride = x.stride;
  geometry.rowStride = geometry.width * x.stride;
  geometry.batchStride = geometry.height * geometry.rowStride;
  geometry.padCode = c.padCode;
  LinearArgs args;
  args.dataType = c.dataType;
  args.x = x.address(0, group * channels);
  args.m = y.m;
  args.geometry = &geometry;
  args.bias = biasValues;
  args.compute = c.compute;
  args.activation = c.activation;
  args.activationBits = c.staticBits;
  args.activationScale = c.staticBits ? &scale : nullptr;
  args.y = y.address(0, group * n);
  args.yStride = y.stride;
  const Status status = subject.backend->linear(**prepacked, args, parallelFor(c.parallel));
  ASSERT_TRUE(status) << status.error().message;

  std::vector<float> rows;
  for (int64_t i = 0; i < y.m * k; ++i) {
    const int64_t pixel = pixels[i / channels];
    rows.push_back(pixel < 0 ? static_cast<float>(c.padCode)
                             : activationCode(x.at(pixel, group * channels + i % channels), c.staticBits, scale));
  }
  LinearProblem problem;
  problem.weight = &weight;
  problem.m = y.m;
  problem.x = rows.data();
  problem.activationScale = scale;
  problem.bias = biasValues;
  problem.dataType = c.dataType;
  problem.compute = c.compute;
  problem.activation = c.activation;
  problem.summation = subject.summation;
  checkResults(subject, c.compute, expectLinear(problem), y, group * n, n);
}

void runConv2d(const Subject &subject, const Conv2dCase &c) {
  Random random(c.seed);
  ASSERT_TRUE(c.shape.verify());
  const Conv2dShape &s = c.shape;
  const bq::abi::Conv2dGeometry geometry = c.geometry();
  const int64_t inPixels = geometry.batch * geometry.height * geometry.width, channels = s.groups * c.inputChannels();
  Matrix x(c.dataType, inPixels, channels, channels + (c.stridedX ? 1 + random.below(20) : 0));
  for (int64_t i = 0; i < inPixels; ++i)
    for (int64_t j = 0; j < channels; ++j)
      x.set(i, j, roundTo(c.dataType, random.unit()));
  if (c.hasNaN)
    x.set(random.below(inPixels), random.below(channels), NAN);
  const int64_t outputs = s.groups * c.weight.n;
  Matrix y(c.dataType, geometry.pixels(), outputs, outputs + random.below(2) * 3);
  const std::vector<int64_t> pixels = patchPixels(c);
  const float scale = c.staticBits ? activationScale(c.staticBits, random) : 0;
  for (int64_t group = 0; group < s.groups; ++group)
    runGroup(subject, c, group, x, y, pixels, scale, random);
  EXPECT_TRUE(y.intactAround()) << "memory around y was written";
}

} // namespace

void bq::conformance::addConv2dTests(const Subject &subject, uint64_t seed) {
  const std::vector<Conv2dCase> cases = conv2dCases(subject, seed);
  for (size_t index = 0; index < cases.size(); ++index)
    if (const Conv2dCase &c = cases[index]; subject.runs(index, cases.size()))
      addTest(subject, "Conv2d", numbered(index) + "_" + c.name(), [=] { runConv2d(subject, c); });
}
