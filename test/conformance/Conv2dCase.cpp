// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Conv2dCase.h"

#include "dialect/core/Half.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

using namespace bq;
using namespace bq::conformance;

bq::abi::Conv2dGeometry Conv2dCase::geometry() const { return isGradient ? shape.inputGradient() : shape.forward(); }

std::string Conv2dCase::name() const {
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
  text += isDirect ? "_direct" : "";
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

std::vector<int64_t> bq::conformance::patchPixels(const Conv2dCase &c) {
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

std::vector<int> GeometryLevels::counts() const {
  std::vector<int> result;
  for (const std::vector<Pair> *levels : {&sizes, &kernels, &strides, &paddings, &dilations})
    result.push_back(static_cast<int>(levels->size()));
  return result;
}

void GeometryLevels::apply(const int *levels, Conv2dShape &shape) const {
  shape.height = sizes[levels[0]][0];
  shape.width = sizes[levels[0]][1];
  shape.kernel = kernels[levels[1]];
  shape.stride = strides[levels[2]];
  shape.padding = paddings[levels[3]];
  shape.dilation = dilations[levels[4]];
}

void bq::conformance::forEachConv2dCase(const Subject &subject, const GeometryLevels &geometry,
                                        const std::vector<int64_t> &formatGroups, const std::vector<int> &own,
                                        uint64_t seed,
                                        const std::function<void(Conv2dCase &c, const std::vector<int> &own)> &body) {
  enum { Geometry, Kind = 5, Comp, FormatGroup, Gradient, Data, Scale, Bias, Act, StrideX, Factors, Static, NaN, Par };
  std::vector<int> levels = geometry.counts();
  const std::vector<int> ofCases = {static_cast<int>(weightKinds().size()),
                                    static_cast<int>(subject.computes.size()),
                                    static_cast<int>(formatGroups.size()),
                                    2,
                                    elementTypes.size(),
                                    elementTypes.size(),
                                    2,
                                    activations.size(),
                                    2,
                                    subject.hasFactors ? 2 : 1,
                                    activationBits.size(),
                                    2,
                                    parallelForCount};
  levels.insert(levels.end(), ofCases.begin(), ofCases.end());
  levels.insert(levels.end(), own.begin(), own.end());
  size_t number = 0;
  for (const std::vector<int> &row : coverPairs(levels, {}, seed)) {
    Conv2dCase c;
    geometry.apply(&row[Geometry], c.shape);
    const WeightKind &kind = weightKinds()[row[Kind]];
    c.isGradient = row[Gradient];
    c.weight.format = kind.grouped(formatGroups[row[FormatGroup]]);
    c.weight.zeroType = kind.zeroType;
    c.weight.scaleType = elementTypes[row[Scale]];
    c.compute = subject.computes[row[Comp]];
    c.dataType = elementTypes[row[Data]];
    c.hasBias = row[Bias];
    c.activation = activations[row[Act]];
    c.stridedX = row[StrideX];
    const bool mayHaveScale = c.compute == Compute::I8 && !c.weight.format.hasColumnScale();
    c.staticBits = mayHaveScale ? activationBits[row[Static]] : 0;
    // Padding of binary convolutions may count as -1.
    c.padCode = c.staticBits && row[Bias] ? -1 : 0;
    c.weight.columnFactors = row[Factors] && !c.staticBits && !c.weight.format.hasColumnScale();
    c.hasNaN = row[NaN];
    c.parallel = row[Par];
    c.seed = caseSeed(seed, number++);
    body(c, {row.begin() + Par + 1, row.end()});
  }
}

void bq::conformance::padToKernel(Conv2dShape &shape) {
  for (int axis : {0, 1}) {
    const int64_t size = axis ? shape.width : shape.height;
    const int64_t lacking = shape.dilation[axis] * (shape.kernel[axis] - 1) + 1 - size - 2 * shape.padding[axis];
    shape.padding[axis] += std::max<int64_t>(0, (lacking + 1) / 2);
  }
}

/// One product: what its columns of y must be, and whether they are. `group`: the first that it is of.
static void runProduct(const Subject &subject, const Conv2dCase &c, int64_t group, const Matrix &x, const Matrix &y,
                       const std::vector<int64_t> &pixels, float scale, Random &random) {
  const Weight weight(c.weight, random);
  const int64_t n = c.weight.n, k = c.weight.k, channels = c.inputChannels();
  const Bias bias(c.hasBias ? n : 0, random);
  auto prepacked = subject.backend->prepack(weight.canonical(), parallelFor(c.parallel));
  ASSERT_TRUE(prepacked) << prepacked.error().message;

  bq::abi::Conv2dGeometry geometry = c.geometry();
  geometry.columnStride = x.stride;
  geometry.rowStride = geometry.width * x.stride;
  geometry.batchStride = geometry.height * geometry.rowStride;
  geometry.padCode = c.padCode;
  geometry.groups = c.isDirect ? c.shape.groups : 1;
  LinearArgs args = argsOf(x, y);
  args.x = x.address(0, group * channels);
  args.geometry = &geometry;
  args.bias = bias.values();
  args.compute = c.compute;
  args.activation = c.activation;
  args.activationBits = c.staticBits;
  args.activationScale = c.staticBits ? &scale : nullptr;
  args.y = y.address(0, group * n);
  const Status status = subject.backend->linear(**prepacked, args, parallelFor(c.parallel));
  ASSERT_TRUE(status) << status.error().message;

  // What the groups must be, one by one: as if all of the weight met its channels.
  const int64_t groups = geometry.groups, outputs = n / groups;
  std::vector<Expectation> expected(y.m * n);
  for (int64_t g = 0; g < groups; ++g) {
    std::vector<float> rows;
    for (int64_t i = 0; i < y.m * k; ++i) {
      const int64_t pixel = pixels[i / channels];
      rows.push_back(pixel < 0
                         ? static_cast<float>(c.padCode)
                         : activationCode(x.at(pixel, (group + g) * channels + i % channels), c.staticBits, scale));
    }
    const std::vector<Expectation> ofGroup = expectLinear({weight, args, rows.data(), subject.summation});
    for (int64_t i = 0; i < y.m; ++i)
      std::copy_n(ofGroup.begin() + i * n + g * outputs, outputs, expected.begin() + i * n + g * outputs);
  }
  checkResults(subject, c.compute, expected, y, group * n, n);
}

void bq::conformance::runConv2d(const Subject &subject, const Conv2dCase &c) {
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
  const int64_t products = c.isDirect ? 1 : s.groups, outputs = products * c.weight.n;
  Matrix y(c.dataType, geometry.pixels(), outputs, outputs + random.below(2) * 3);
  const std::vector<int64_t> pixels = patchPixels(c);
  const float scale = c.staticBits ? activationScale(c.staticBits, random) : 0;
  for (int64_t product = 0; product < products; ++product)
    runProduct(subject, c, product, x, y, pixels, scale, random);
  EXPECT_TRUE(y.intactAround()) << "memory around y was written";
}
