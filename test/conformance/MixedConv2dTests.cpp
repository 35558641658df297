// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Convolutions with weights of the format `mixed`: the rows of a group are some of the stream's, and their codes lie
// channel by channel.
#include "dialect/core/Half.h"
#include "test/conformance/Cases.h"
#include "test/conformance/Conformance.h"
#include "test/conformance/Conv2dCase.h"
#include "test/conformance/MixedCase.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iterator>

using namespace bq;
using namespace bq::conformance;

namespace {

const GeometryLevels geometry = {{{1, 1}, {5, 7}, {13, 3}, {8, 8}},
                                 {{1, 1}, {3, 3}, {2, 5}, {1, 2}},
                                 {{1, 1}, {2, 2}, {3, 1}},
                                 {{0, 0}, {1, 1}, {0, 6}},
                                 {{1, 1}, {2, 1}}};
constexpr int64_t channelCounts[] = {1, 3, 8, 17, 64};
constexpr int64_t outputCounts[] = {1, 5, 16, 70};
constexpr int64_t formatGroups[] = {0, 7, 8, 32};
constexpr int mixedWidths[][2] = {{1, 8}, {5, 5}, {1, 15}};

/// `layer` has all of the convolution but its weight; `mixed` the weight, compute and types.
struct MixedConvolution {
  Conv2dCase layer;
  MixedCase mixed;
};

void run(const Subject &subject, const MixedConvolution &c) {
  const Conv2dShape &shape = c.layer.shape;
  const MixedCase &mixed = c.mixed;
  Random random(mixed.seed);
  const MixedWeightCase weight(mixed, random);
  const int64_t channels = shape.groupChannels(), images = shape.batch * shape.height * shape.width;
  Matrix x(mixed.dataType, images, channels, channels), y(mixed.dataType, mixed.m, mixed.n, mixed.n);
  for (int64_t i = 0; i < images * channels; ++i)
    x.set(i / channels, i % channels, roundTo(mixed.dataType, random.unit()));
  if (c.layer.hasNaN)
    x.set(random.below(images), random.below(channels), NAN);
  const Bias bias(mixed.hasBias ? mixed.n : 0, random);
  auto prepacked = subject.backend->prepack(weight.canonical(), parallelFor(mixed.parallel));
  ASSERT_TRUE(prepacked) << prepacked.error().message;

  bq::abi::Conv2dGeometry geometry = shape.forward();
  geometry.padCode = c.layer.padCode;
  const float scale = mixed.staticBits ? activationScale(mixed.staticBits, random) : 1;
  LinearArgs args = argsOf(x, y);
  args.geometry = &geometry;
  args.bias = bias.values();
  args.compute = mixed.compute;
  args.activation = mixed.activation;
  args.activationBits = mixed.staticBits;
  args.activationScale = mixed.staticBits ? &scale : nullptr;
  const Status status = subject.backend->linear(**prepacked, args, parallelFor(mixed.parallel));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(y.intactAround()) << "memory around y was written";

  const std::vector<int64_t> pixels = patchPixels(c.layer);
  std::vector<float> rows;
  for (int64_t i = 0; i < mixed.m * mixed.k; ++i) {
    const int64_t pixel = pixels[i / channels];
    rows.push_back(pixel < 0 ? static_cast<float>(c.layer.padCode)
                             : activationCode(x.at(pixel, i % channels), mixed.staticBits, scale));
  }
  checkResults(subject, mixed.compute, expectMixed(mixed, weight, rows, scale, args.bias, subject.summation), y, 0,
               mixed.n);
}

std::vector<MixedConvolution> convolutions(const Subject &subject, uint64_t seed) {
  enum { Geometry, Kernel, Comp = 5, Channels, Outputs, Group, Widths, Data, Bias, Part, Static, NaN };
  std::vector<int> levels = geometry.counts();
  const std::vector<int> ofCases = {static_cast<int>(subject.computes.size()),
                                    std::size(channelCounts),
                                    std::size(outputCounts),
                                    std::size(formatGroups),
                                    std::size(mixedWidths),
                                    elementTypes.size(),
                                    2,
                                    2,
                                    2,
                                    2};
  levels.insert(levels.end(), ofCases.begin(), ofCases.end());
  std::vector<MixedConvolution> cases;
  for (const std::vector<int> &row : coverPairs(levels, {{Comp, Kernel, Group}}, seed)) {
    MixedConvolution c;
    Conv2dShape &shape = c.layer.shape;
    shape.batch = 2;
    geometry.apply(&row[Geometry], shape);
    shape.channels = channelCounts[row[Channels]];
    shape.outChannels = outputCounts[row[Outputs]];
    padToKernel(shape);
    c.layer.hasNaN = row[NaN];
    MixedCase &mixed = c.mixed;
    mixed.format = {Format::Kind::Mixed, 15, formatGroups[row[Group]]};
    mixed.m = shape.forward().pixels();
    mixed.n = shape.outChannels;
    mixed.k = shape.k();
    mixed.taps = shape.kernel[0] * shape.kernel[1];
    mixed.least = mixedWidths[row[Widths]][0];
    mixed.greatest = mixedWidths[row[Widths]][1];
    mixed.compute = subject.computes[row[Comp]];
    mixed.dataType = elementTypes[row[Data]];
    mixed.hasBias = row[Bias];
    mixed.activation = row[Bias] ? Activation::Relu : Activation::None;
    mixed.isPart = row[Part];
    mixed.staticBits = row[Static] && mixed.compute == Compute::I8 ? 4 : 0;
    mixed.hasPatches = true;
    mixed.seed = caseSeed(seed, cases.size());
    c.layer.padCode = mixed.staticBits && row[Bias] ? -1 : 0;
    cases.push_back(c);
  }
  return cases;
}

} // namespace

void bq::conformance::addMixedConv2dTests(const Subject &subject, uint64_t seed) {
  const std::vector<MixedConvolution> cases = convolutions(subject, seed);
  for (size_t index = 0; index < cases.size(); ++index)
    if (const MixedConvolution &c = cases[index]; subject.runs(index, cases.size())) {
      const auto &[height, width] = c.layer.shape.kernel;
      const std::string kernel = "_kernel" + std::to_string(height) + "x" + std::to_string(width);
      addTest(subject, "MixedConv2d", numbered(index) + "_" + c.mixed.name() + kernel, [=] { run(subject, c); });
    }
}
