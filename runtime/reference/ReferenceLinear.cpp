// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/reference/ReferenceLinear.h"

#include "dialect/core/Half.h"
#include "runtime/reference/MixedMeaning.h"
#include "runtime/reference/Reference.h"

#include <algorithm>
#include <cmath>

using namespace bq;
using namespace bq::reference;

ReferenceWeight::ReferenceWeight(const CanonicalWeight &w)
    : weightFormat(w.format), rows(w.n), columns(w.k), isColumnScaled(w.format.hasColumnScale() || w.columnFactors),
      values(w.format.isMixed() ? mixedWeights(w) : std::vector<double>(static_cast<size_t>(w.n * w.k))) {
  if (w.format.isMixed())
    return;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      values[row * columns + column] =
          weightAt(w, row, column) * (w.columnFactors ? static_cast<double>(w.columnFactors[column]) : 1);
}

double reference::quantizeActivation(float x, float scale, int bits) {
  if (std::isnan(x))
    return x;
  if (bits == 1)
    return x >= 0 ? 1 : -1;
  const float limit = static_cast<float>(1 << (bits - 1));
  return std::min(std::max(std::nearbyint(x / scale), -limit), limit - 1);
}

/// The input coordinate of tap `tap` of output coordinate `out` on an axis, or -1.
static int64_t inputCoordinate(const abi::Conv2dGeometry &g, int axis, int64_t out, int64_t tap, int64_t size) {
  const int64_t position = out * g.multiply[axis] + g.offset[axis] + tap * g.tapStep[axis];
  const bool isInside = position >= 0 && position % g.divide[axis] == 0 && position / g.divide[axis] < size;
  return isInside ? position / g.divide[axis] : -1;
}

int64_t reference::patchElement(const abi::Conv2dGeometry &g, int64_t k, int64_t row, int64_t column) {
  const int64_t channels = k / (g.kernelHeight * g.kernelWidth), tap = column / channels;
  const int64_t y = inputCoordinate(g, 0, row / g.outWidth % g.outHeight, tap / g.kernelWidth, g.height);
  const int64_t x = inputCoordinate(g, 1, row % g.outWidth, tap % g.kernelWidth, g.width);
  if (y < 0 || x < 0)
    return -1;
  const int64_t image = row / g.outWidth / g.outHeight;
  return image * g.batchStride + y * g.rowStride + x * g.columnStride + column % channels;
}

/// Row `row` of the product as it is multiplied, but for the scale that all of it has; `group`: of those that the
/// product is of.
static void loadRow(const LinearArgs &args, int64_t row, int64_t group, std::vector<double> &values) {
  const auto k = static_cast<int64_t>(values.size());
  const int64_t first = args.geometry ? group * (k / (args.geometry->kernelHeight * args.geometry->kernelWidth)) : 0;
  for (int64_t column = 0; column < k; ++column) {
    const int64_t at = args.geometry ? patchElement(*args.geometry, k, row, column) : row * args.xStride + column;
    if (at < 0) {
      values[column] = static_cast<double>(args.geometry->padCode);
      continue;
    }
    const float x = loadElement(args.dataType, args.x, first + at);
    values[column] = args.activationBits ? quantizeActivation(x, *args.activationScale, args.activationBits) : x;
  }
}

/// y = x W.
static void runGradient(const ReferenceWeight &weight, const LinearArgs &args, ParallelFor parallel) {
  parallel(0, args.m, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::vector<double> sums(static_cast<size_t>(weight.k()));
      for (int64_t j = 0; j < weight.n(); ++j) {
        const double x = loadElement(args.dataType, args.x, i * args.xStride + j);
        for (int64_t c = 0; c < weight.k(); ++c)
          sums[c] += x * weight.row(j)[c];
      }
      for (int64_t c = 0; c < weight.k(); ++c)
        storeElement(args.dataType, args.y, i * args.yStride + c, static_cast<float>(sums[c]));
    }
  });
}

Status reference::runLinear(const ReferenceWeight &weight, const LinearArgs &args, ParallelFor parallel) {
  if (Status status = args.verify(weight.n(), weight.k()); !status)
    return status;
  if (args.activationBits && weight.hasColumnScale())
    return invalidArgument("activationBits is " + std::to_string(args.activationBits) +
                           ": the columns of the weight have scales, use 0");
  if (args.isGradient) {
    runGradient(weight, args, parallel);
    return {};
  }
  const double scale = args.activationBits && args.m ? *args.activationScale : 1;
  const int64_t groups = args.geometry ? args.geometry->groups : 1, outputs = weight.n() / groups;
  parallel(0, args.m, 1, [&](int64_t begin, int64_t end) {
    std::vector<double> x(static_cast<size_t>(weight.k()));
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < weight.n(); ++j) {
        if (j % outputs == 0)
          loadRow(args, i, j / outputs, x);
        double sum = 0;
        for (int64_t c = 0; c < weight.k(); ++c)
          sum += x[c] * weight.row(j)[c];
        sum *= scale;
        if (args.bias)
          sum += args.bias[j];
        storeElement(args.dataType, args.y, i * args.yStride + j, static_cast<float>(activate(args.activation, sum)));
      }
  });
  return {};
}
