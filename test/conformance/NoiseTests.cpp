// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Half.h"
#include "dialect/core/NoiseAbi.h"
#include "runtime/reference/ReferenceNoise.h"
#include "test/conformance/Conformance.h"
#include "test/conformance/Cover.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace bq;
using namespace bq::conformance;

namespace {

/// Less than, equal to and more than a block and a chunk, one, odd; more than is given to one thread.
constexpr int64_t elementCounts[] = {1, 63, 64, 65, 1023, 1024, 1025, 3000, 40001};
/// All; parts of a step, a step, whole steps, neither; more than a chunk.
constexpr int64_t noiseGroups[] = {0, 1, 2, 3, 4, 8, 16, 20, 32, 100, 1024, 1500};
constexpr int roundCounts[] = {7, 10};

struct NoiseCase {
  int64_t count = 1, group = 0;
  ElementType dataType = ElementType::F32;
  NoiseKind noise = NoiseKind::Gaussian;
  int rounds = 7, parallel = 0;
  uint64_t seed = 0;

  std::string name() const {
    return std::string(str(noise)) + "_" + std::string(str(dataType)) + "_n" + std::to_string(count) + "g" +
           std::to_string(group) + "_philox" + std::to_string(rounds);
  }
};

std::vector<NoiseCase> noiseCases(uint64_t seed) {
  enum { Count, Group, Data, Kind, Rounds, Par };
  const std::vector<int> levels = {std::size(elementCounts), std::size(noiseGroups), elementTypes.size(), 2,
                                   std::size(roundCounts),   parallelForCount};
  std::vector<NoiseCase> cases;
  for (const std::vector<int> &row : coverPairs(levels, {}, seed)) {
    NoiseCase c;
    c.count = elementCounts[row[Count]];
    c.group = noiseGroups[row[Group]];
    c.dataType = elementTypes[row[Data]];
    c.noise = static_cast<NoiseKind>(row[Kind]);
    c.rounds = roundCounts[row[Rounds]];
    c.parallel = row[Par];
    c.seed = caseSeed(seed, cases.size());
    cases.push_back(c);
  }
  return cases;
}

/// Half a unit in the last place, and what noise may be off by.
constexpr double e = 0x1p-24, noiseError = 1e-6;
/// Roundings of the step of a group: the power of two, its difference to one, the quotient, the product with the scale.
constexpr double unitRoundings = 8;

/// Operands and results of one call, each at an inaccessible page.
struct Memory {
  GuardedBuffer elements, bits, noisy, bitsGradient;
  double scaleGradient = 0;

  Memory(const NoiseCase &c, int64_t groups)
      : elements(c.count * sizeOf(c.dataType)), bits(groups * 4), noisy(c.count * sizeOf(c.dataType)),
        bitsGradient(groups * 4) {}
};

NoiseArgs commonArgs(const NoiseCase &c) {
  NoiseArgs args;
  args.dataType = c.dataType;
  args.count = c.count;
  args.groupSize = c.group;
  args.noise = c.noise;
  args.rounds = c.rounds;
  args.scale = 1.75f;
  args.seed = c.seed * 0x9E3779B97F4A7C15;
  args.offset = c.seed << 33 | 5;
  return args;
}

int64_t groupOf(const NoiseCase &c, int64_t element) { return c.group ? element / c.group : 0; }

void checkNoisy(const NoiseCase &c, const DiffqNoiseArgs &args, const GuardedBuffer &noisy) {
  EXPECT_TRUE(noisy.intactBefore());
  const int digits = c.dataType == ElementType::F32 ? 24 : c.dataType == ElementType::F16 ? 11 : 8;
  for (int64_t i = 0; i < c.count; ++i) {
    const double size = args.scale * reference::unitOf(args, groupOf(c, i)), n = reference::noiseOf(args, i);
    const double exact = loadElement(c.dataType, args.weight, i) + size * n;
    // Rounded once to f32 and once to the type, whose steps below its normal numbers are at most 2^-24.
    const double ofSize = size * noiseError + (unitRoundings + 2) * e * std::fabs(size * n);
    const double bound = ofSize + (e + std::ldexp(1.0, -digits)) * (std::fabs(exact) + ofSize) + 0x1p-24 * e +
                         (c.dataType == ElementType::F16 ? 0x1p-25 : 0);
    const double error = std::fabs(loadElement(c.dataType, noisy.data(), i) - exact);
    ASSERT_LE(error, bound) << "element " << i << ", expected " << exact;
    noteRatio("diffq_noise", error / bound);
  }
}

void checkGradients(const NoiseCase &c, const DiffqNoiseGradArgs &args) {
  // A lane adds at most 64 products of a chunk, a tree and its end 32 more; chunks are added in double precision.
  constexpr double roundings = bq::abi::noiseChunk / 16 + 32 + 1;
  const int64_t size = c.group ? c.group : c.count;
  double scale = 0, scaleBound = 0;
  for (int64_t group = 0; group < args.groups(); ++group) {
    double sum = 0, magnitudes = 0, gradients = 0;
    for (int64_t i = group * size; i < std::min((group + 1) * size, c.count); ++i) {
      const double g = loadElement(c.dataType, args.gradient, i), product = g * reference::noiseOf(args, i);
      sum += product, magnitudes += std::fabs(product), gradients += std::fabs(g);
    }
    const double unit = reference::unitOf(args, group), factor = args.scale * std::log(2.0) * unit * (1 + unit);
    const double bound = gradients * noiseError + (roundings + 2 * unitRoundings + 4) * e * magnitudes;
    const double error = std::fabs(args.bitsGradient[group] + factor * sum);
    ASSERT_LE(error, factor * bound) << "gradient of the bits of group " << group;
    noteRatio("diffq_noise_grad", bound ? error / (factor * bound) : 0);
    scale += unit * sum;
    scaleBound += unit * (bound + roundings * e * magnitudes);
  }
  EXPECT_LE(std::fabs(*args.scaleGradient - scale), scaleBound) << "gradient of the scale";
}

void runNoise(const Subject &subject, const NoiseCase &c) {
  Random random(c.seed);
  NoiseArgs common = commonArgs(c);
  Memory memory(c, common.groups());
  common.bits = reinterpret_cast<const float *>(memory.bits.data());
  for (int64_t i = 0; i < c.count; ++i)
    storeElement(c.dataType, memory.elements.data(), i, random.unit());
  for (int64_t i = 0; i < common.groups(); ++i)
    storeElement(ElementType::F32, memory.bits.data(), i, i % 3 ? 8 + 7 * random.unit() : 1.5f + random.unit());

  DiffqNoiseArgs forward;
  static_cast<NoiseArgs &>(forward) = common;
  forward.weight = memory.elements.data();
  forward.noisy = memory.noisy.data();
  Status status = subject.backend->diffqNoise(forward, parallelFor(c.parallel));
  ASSERT_TRUE(status) << status.error().message;
  checkNoisy(c, forward, memory.noisy);

  DiffqNoiseGradArgs backward;
  static_cast<NoiseArgs &>(backward) = common;
  backward.gradient = memory.elements.data();
  backward.bitsGradient = reinterpret_cast<float *>(memory.bitsGradient.data());
  backward.scaleGradient = &memory.scaleGradient;
  status = subject.backend->diffqNoiseGrad(backward, parallelFor(c.parallel));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(memory.bitsGradient.intactBefore());
  checkGradients(c, backward);

  // The same bits again, however the work is dealt out, and in the weight's own memory.
  const std::vector<float> first(backward.bitsGradient, backward.bitsGradient + common.groups());
  const double firstScale = memory.scaleGradient;
  ASSERT_TRUE(subject.backend->diffqNoiseGrad(backward, parallelFor((c.parallel + 1) % parallelForCount)));
  for (size_t group = 0; group < first.size(); ++group)
    EXPECT_EQ(first[group], backward.bitsGradient[group]) << "the gradient depends on the threads";
  EXPECT_EQ(firstScale, memory.scaleGradient) << "the gradient depends on the threads";
  forward.noisy = memory.elements.data();
  ASSERT_TRUE(subject.backend->diffqNoise(forward, parallelFor((c.parallel + 1) % parallelForCount)));
  for (int64_t i = 0; i < c.count; ++i)
    EXPECT_EQ(loadElement(c.dataType, memory.noisy.data(), i), loadElement(c.dataType, memory.elements.data(), i))
        << "noise is not the same a second time";
}

struct Range {
  float low = 0, high = 0;
  int64_t lowAt = -1, highAt = -1;
  Status status;

  Range(Backend &backend, WeightRangeArgs args, ParallelFor parallel) {
    args.low = &low, args.high = &high, args.lowAt = &lowAt, args.highAt = &highAt;
    status = backend.weightRange(args, parallel);
  }
};

void runRange(const Subject &subject, const NoiseCase &c) {
  Random random(c.seed);
  GuardedBuffer weight(c.count * sizeOf(c.dataType));
  // Few values, so that extremes occur more than once.
  for (int64_t i = 0; i < c.count; ++i)
    storeElement(c.dataType, weight.data(), i, static_cast<float>(random.below(200) - 77));
  WeightRangeArgs args;
  args.dataType = c.dataType;
  args.count = c.count;
  args.weight = weight.data();
  auto compare = [&] {
    const Range got(*subject.backend, args, parallelFor(c.parallel)), want(referenceBackend(), args, &serialFor);
    ASSERT_EQ(static_cast<bool>(got.status), static_cast<bool>(want.status));
    if (!want.status) {
      EXPECT_EQ(got.status.error().message, want.status.error().message);
      EXPECT_EQ(got.lowAt, -1) << "something was written";
      return;
    }
    EXPECT_EQ(got.low, want.low);
    EXPECT_EQ(got.high, want.high);
    EXPECT_EQ(got.lowAt, want.lowAt);
    EXPECT_EQ(got.highAt, want.highAt);
  };
  compare();
  for (float fault : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                      -std::numeric_limits<float>::infinity()}) {
    const int64_t at = random.below(static_cast<int>(c.count));
    const float old = loadElement(c.dataType, weight.data(), at);
    storeElement(c.dataType, weight.data(), at, fault);
    compare();
    storeElement(c.dataType, weight.data(), at, old);
  }
}

} // namespace

void bq::conformance::addNoiseTests(const Subject &subject, uint64_t seed) {
  const std::vector<NoiseCase> cases = noiseCases(seed);
  for (size_t index = 0; index < cases.size(); ++index)
    if (const NoiseCase &c = cases[index]; subject.runs(index, cases.size())) {
      addTest(subject, "Noise", numbered(index) + "_" + c.name(), [=] { runNoise(subject, c); });
      addTest(subject, "WeightRange", numbered(index) + "_" + c.name(), [=] { runRange(subject, c); });
    }
}
