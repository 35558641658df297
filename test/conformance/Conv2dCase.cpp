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

void bq::conformance::setGeometry(Conv2dShape &shape, Pair size, Pair kernel, Pair stride, Pair padding,
                                  Pair dilation) {
  shape.height = size.y;
  shape.width = size.x;
  shape.kernel = {kernel.y, kernel.x};
  shape.stride = {stride.y, stride.x};
  shape.padding = {padding.y, padding.x};
  shape.dilation = {dilation.y, dilation.x};
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
  geometry.groups = c.isDirect ? c.shape.groups : 1;
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
    const std::vector<Expectation> ofGroup = expectLinear(problem);
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
