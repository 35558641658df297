// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weights of the format `mixed`: their codes are written here bit by bit, and what they stand for is worked out apart
// from the backends.
#include "dialect/core/Half.h"
#include "test/conformance/Cases.h"
#include "test/conformance/Conformance.h"
#include "test/conformance/MixedCase.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <utility>

using namespace bq;
using namespace bq::conformance;

namespace {

constexpr int64_t mixedRows[] = {1, 2, 3, 5, 8, 9, 16, 21, 70};
constexpr int64_t mixedOutputs[] = {1, 3, 16, 17, 48, 130};
constexpr int64_t mixedColumns[] = {1, 7, 16, 24, 32, 64, 96, 128, 384, 640, 1000};
constexpr int64_t mixedGroups[] = {0, 1, 7, 8, 16, 24, 32, 64, 128, 300};
/// Least and greatest width.
constexpr int mixedWidths[][2] = {{1, 8}, {2, 4}, {5, 5}, {1, 15}, {9, 15}, {8, 9}, {15, 15}};
constexpr int64_t tapCounts[] = {1, 3, 8};

std::vector<float> makeX(const MixedCase &c, Random &random) {
  std::vector<float> x;
  for (int64_t i = 0; i < c.m; ++i) {
    const XKind kind = i % 3 == c.m / 2 % 3 ? c.x : XKind::Normal;
    const int64_t chosen = random.below(c.k);
    for (int64_t column = 0; column < c.k; ++column) {
      // In fixed point of two words the lower one is the least, -2^15.
      float value = c.isGreatest ? 1 + 0x1p-14f : random.unit();
      if (kind == XKind::Zero)
        value = 0;
      else if (kind == XKind::Spike)
        value = column == chosen ? 1000.0f : value * 0.01f;
      else if (column == chosen && kind != XKind::Normal)
        value = kind == XKind::NaN ? NAN : INFINITY;
      x.push_back(roundTo(c.dataType, value));
    }
  }
  return x;
}

void runLinear(const Subject &subject, const MixedCase &c) {
  Random random(c.seed);
  const MixedWeightCase weight(c, random);
  const std::vector<float> values = makeX(c, random);
  Matrix x(c.dataType, c.m, c.k, c.k), y(c.dataType, c.m, c.n, c.n);
  x.set(values);
  const Bias bias(c.hasBias ? c.n : 0, random);
  auto prepacked = subject.backend->prepack(weight.canonical(), parallelFor(c.parallel));
  ASSERT_TRUE(prepacked) << prepacked.error().message;
  EXPECT_EQ((*prepacked)->n(), c.n);
  EXPECT_EQ((*prepacked)->k(), c.k);

  LinearArgs args = argsOf(x, y);
  args.bias = bias.values();
  args.compute = c.compute;
  args.activation = c.activation;
  const float scale = c.staticBits ? activationScale(c.staticBits, random) : 1;
  args.activationBits = c.staticBits;
  args.activationScale = c.staticBits ? &scale : nullptr;
  const Status status = subject.backend->linear(**prepacked, args, parallelFor(c.parallel));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(y.intactAround()) << "memory around y was written";
  std::vector<float> codes;
  for (float value : values)
    codes.push_back(activationCode(value, c.staticBits, scale));
  checkResults(subject, c.compute, expectMixed(c, weight, codes, scale, args.bias, subject.summation), y, 0, c.n);
}

/// Both ways to the values: all rows, and some by index. DiffQ's arithmetic rounds four times.
void runRows(const Subject &subject, const MixedCase &c) {
  Random random(c.seed);
  const MixedWeightCase weight(c, random);
  std::vector<float> all(static_cast<size_t>(c.n * c.k)), some(static_cast<size_t>(3 * c.k));
  const int64_t indices[] = {c.n - 1, 0, c.n / 2};
  const CanonicalWeight canonical = weight.canonical();
  ASSERT_TRUE(subject.backend->dequantize(canonical, all.data(), parallelFor(c.parallel)));
  ASSERT_TRUE(subject.backend->embedding(canonical, indices, 3, some.data(), parallelFor(c.parallel)));
  for (int64_t row = 0; row < c.n; ++row)
    for (int64_t column = 0; column < c.k; ++column) {
      const double t = weight.range() * weight.unit(row, column), value = weight.min() + t;
      const double tolerance = 4.001 * 0x1p-24 * (std::fabs(weight.min()) + t);
      ASSERT_NEAR(all[row * c.k + column], value, tolerance) << row << ", " << column;
    }
  for (int64_t i = 0; i < 3; ++i)
    for (int64_t column = 0; column < c.k; ++column)
      ASSERT_EQ(some[i * c.k + column], all[indices[i] * c.k + column]) << i << ", " << column;
}

std::vector<MixedCase> mixedCases(const Subject &subject, uint64_t seed) {
  enum { Comp, M, N, K, Group, Widths, Data, Bias, Act, X, Taps, Part, Kept, Static, Par };
  const std::vector<int> levels = {static_cast<int>(subject.computes.size()),
                                   std::size(mixedRows),
                                   std::size(mixedOutputs),
                                   std::size(mixedColumns),
                                   std::size(mixedGroups),
                                   std::size(mixedWidths),
                                   elementTypes.size(),
                                   2,
                                   3,
                                   std::size(xKindNames),
                                   std::size(tapCounts),
                                   2,
                                   2,
                                   2,
                                   parallelForCount};
  constexpr Activation activations[] = {Activation::None, Activation::Relu, Activation::Silu};
  std::vector<MixedCase> cases;
  for (const std::vector<int> &row : coverPairs(levels, {{Comp, Group, Widths}, {K, Group}}, seed)) {
    MixedCase c;
    c.format = {Format::Kind::Mixed, 15, mixedGroups[row[Group]]};
    c.compute = subject.computes[row[Comp]];
    c.m = mixedRows[row[M]];
    c.n = mixedOutputs[row[N]];
    c.k = mixedColumns[row[K]];
    c.taps = c.k % tapCounts[row[Taps]] ? 1 : tapCounts[row[Taps]];
    c.least = mixedWidths[row[Widths]][0];
    c.greatest = mixedWidths[row[Widths]][1];
    c.dataType = elementTypes[row[Data]];
    c.hasBias = row[Bias];
    c.activation = activations[row[Act]];
    c.x = static_cast<XKind>(row[X]);
    c.isPart = row[Part];
    c.isKept = row[Kept];
    c.staticBits = row[Static] && c.compute == Compute::I8 ? 4 : 0;
    c.parallel = row[Par];
    c.seed = caseSeed(seed, cases.size());
    cases.push_back(c);
  }
  // Whole groups have kernels of their own: of one row of activations, of several, and of any number, whose panels lie
  // across tasks.
  for (Compute compute : subject.computes)
    for (auto [m, group] : {std::pair(1, 8),
                            {1, 16},
                            {1, 32},
                            {1, 64},
                            {1, 128},
                            {2, 16},
                            {3, 64},
                            {5, 32},
                            {20, 8},
                            {20, 24},
                            {20, 32},
                            {20, 64}})
      for (int greatest : {8, 15}) {
        MixedCase c;
        c.m = m;
        c.format = {Format::Kind::Mixed, 15, group};
        c.compute = compute;
        c.n = cases.size() % 7 < 3 ? 17 : 130;
        c.k = cases.size() % 11 < 6 ? 384 : 1920;
        c.least = cases.size() % 4 ? 1 : 3;
        c.greatest = greatest;
        c.x = cases.size() % 5 ? XKind::Normal : XKind::Spike;
        c.parallel = static_cast<int>(cases.size() % parallelForCount);
        c.seed = caseSeed(seed, cases.size());
        cases.push_back(c);
      }
  // Rows of so many groups that activations are cut into two segments.
  for (Compute compute : subject.computes)
    for (auto [m, group] : {std::pair(1, 8), {3, 8}, {20, 8}, {1, 32}, {3, 32}}) {
      MixedCase c;
      c.m = m;
      c.format = {Format::Kind::Mixed, 15, group};
      c.compute = compute;
      c.n = 17;
      c.k = 272 * group;
      c.greatest = 9;
      c.seed = caseSeed(seed, cases.size());
      cases.push_back(c);
    }
  // The greatest sums of products: in one of the two lanes of groups of 8 the 516 of the shorter row fit 32 bits, 520
  // do not; in one of eight lanes the 518 of the shorter group do, 520 do not. In one of sixteen lanes of all chains
  // the 256 with a word of 4096 columns do, those of 4128 do in two shares; of 8256 the 528 with 15 bits do in two; in
  // one chain the 256 of 16384 do, those of 16512 do not.
  for (Compute compute : subject.computes)
    for (auto [group, k] : {std::pair(8, 1032),
                            {8, 1040},
                            {4144, 4144},
                            {4160, 4160},
                            {32, 4096},
                            {32, 4128},
                            {64, 8256},
                            {128, 16384},
                            {128, 16512}}) {
      MixedCase c;
      c.format = {Format::Kind::Mixed, 15, group};
      c.compute = compute;
      c.n = 17;
      c.k = k;
      c.least = c.greatest = 8;
      c.isGreatest = true;
      c.seed = caseSeed(seed, cases.size());
      cases.push_back(c);
    }
  return cases;
}

} // namespace

void bq::conformance::addMixedTests(const Subject &subject, uint64_t seed) {
  const std::vector<MixedCase> cases = mixedCases(subject, seed);
  for (size_t index = 0; index < cases.size(); ++index) {
    const MixedCase &c = cases[index];
    if (!subject.runs(index, cases.size()))
      continue;
    addTest(subject, "Mixed", numbered(index) + "_" + c.name(), [=] { runLinear(subject, c); });
    if (index % 4 == 0)
      addTest(subject, "MixedRows", numbered(index) + "_" + c.name(), [=] { runRows(subject, c); });
  }
}
