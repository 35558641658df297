// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weights of the format `mixed`: their codes are written here bit by bit, and what they stand for is worked out apart
// from the backends.
//
// With W = min + r t, t = level / (2^bits - 1), a kernel may sum min x and r t x apart: let A = sum |x| (|min| + r t).
// A product meets at most three roundings for W or for t and r, those of its sum, four more for lanes, or nineteen for
// the threads of a block, and two for min, the units of x and the bias. Then, with e and g(c) as in Bounds.h,
//
//   f32   g(K + 40) A.
//   bf16  2^-8 sum |x W| for rounding x, unless it is bf16 already; then as f32. Levels are exact.
//   i8    (1/2 + 6 * 127 e) steps of max|x| / 127 times sum |W|, since one x meets min and t; g(K + 40) A.
//   i16   the same with 16256 for 127.
#include "dialect/core/Half.h"
#include "test/conformance/Cases.h"
#include "test/conformance/Conformance.h"
#include "test/conformance/MixedCase.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

using namespace bq;
using namespace bq::conformance;

namespace {

constexpr int64_t mixedRows[] = {1, 2, 3, 5, 8, 9, 16, 21};
constexpr int64_t mixedOutputs[] = {1, 3, 16, 17, 48, 130};
constexpr int64_t mixedColumns[] = {1, 7, 16, 24, 32, 64, 96, 128, 384, 640, 1000};
constexpr int64_t mixedGroups[] = {0, 1, 7, 8, 16, 24, 32, 64, 128, 300};
/// Least and greatest width.
constexpr int mixedWidths[][2] = {{1, 8}, {2, 4}, {5, 5}, {1, 15}, {9, 15}, {8, 9}, {15, 15}};
constexpr int64_t tapCounts[] = {1, 3, 8};

double gamma(double count) { return count * 0x1p-24 / (1 - count * 0x1p-24); }

double activate(Activation kind, double s) {
  return kind == Activation::Relu ? std::max(s, 0.0) : kind == Activation::Silu ? s / (1 + std::exp(-s)) : s;
}

std::vector<Expectation> expect(const MixedCase &c, const MixedWeightCase &weight, const std::vector<float> &x,
                                double unit, const float *bias, Summation summation) {
  std::vector<Expectation> expected;
  const bool isFixed = c.compute == Compute::I8 || c.compute == Compute::I16;
  const double levels = c.compute == Compute::I8 ? 127 : 16256;
  for (int64_t i = 0; i < c.m; ++i) {
    double greatest = 0;
    bool isFinite = true;
    for (int64_t column = 0; column < c.k; ++column) {
      greatest = std::max(greatest, std::fabs(static_cast<double>(x[i * c.k + column])));
      isFinite &= std::isfinite(x[i * c.k + column]);
    }
    for (int64_t row = 0; row < c.n; ++row) {
      double value = 0, terms = 0, size = 0, weights = 0;
      for (int64_t column = 0; column < c.k; ++column) {
        const double v = unit * x[i * c.k + column], t = weight.range() * weight.unit(row, column);
        const double w = weight.min() + t;
        value += v * w;
        size += std::fabs(v * w);
        weights += std::fabs(w);
        terms += std::fabs(v) * (std::fabs(weight.min()) + t);
      }
      double error = gamma(static_cast<double>(c.k + 40)) * terms;
      if (summation == Summation::Exact)
        error = terms * 0x1p-52 * static_cast<double>(c.k + 8);
      else if (isFixed && !c.staticBits)
        error += (0.5 + 6 * levels * 0x1p-24) * greatest / levels * weights;
      else if (c.compute == Compute::BF16 && c.dataType != ElementType::BF16)
        error += 0x1p-8 * size;
      Expectation e;
      const double sum = value + (bias ? static_cast<double>(bias[row]) : 0);
      e.value = activate(c.activation, sum);
      error = 1.1 * error + (c.activation == Activation::None ? 2 : 10) * 0x1p-24 * (std::fabs(sum) + error);
      const double rounding = c.dataType == ElementType::F32   ? 0x1p-24
                              : c.dataType == ElementType::F16 ? 0x1p-11
                                                               : 0x1p-8;
      e.tolerance = error + (rounding + 0x1p-24) * (std::fabs(e.value) + error) +
                    (c.dataType == ElementType::F16 ? 0x1p-24 : FLT_MIN);
      e.mayOverflow = std::fabs(e.value) + e.tolerance >= maxFinite(c.dataType);
      e.rowIsFinite = isFinite;
      expected.push_back(e);
    }
  }
  return expected;
}

std::vector<float> makeX(const MixedCase &c, Random &random) {
  std::vector<float> x;
  for (int64_t i = 0; i < c.m; ++i) {
    const XKind kind = i % 3 == c.m / 2 % 3 ? c.x : XKind::Normal;
    const int64_t chosen = random.below(c.k);
    for (int64_t column = 0; column < c.k; ++column) {
      float value = random.unit();
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
  for (int64_t i = 0; i < c.m * c.k; ++i)
    x.set(i / c.k, i % c.k, values[i]);
  std::vector<float> bias(static_cast<size_t>(c.n));
  for (float &value : bias)
    value = random.unit();
  auto prepacked = subject.backend->prepack(weight.canonical(), parallelFor(c.parallel));
  ASSERT_TRUE(prepacked) << prepacked.error().message;
  EXPECT_EQ((*prepacked)->n(), c.n);
  EXPECT_EQ((*prepacked)->k(), c.k);

  LinearArgs args;
  args.dataType = c.dataType;
  args.x = x.buffer.data();
  args.m = c.m;
  args.xStride = c.k;
  args.bias = c.hasBias ? bias.data() : nullptr;
  args.compute = c.compute;
  args.activation = c.activation;
  args.y = y.buffer.data();
  args.yStride = c.n;
  const float scale = c.staticBits ? activationScale(c.staticBits, random) : 1;
  args.activationBits = c.staticBits;
  args.activationScale = c.staticBits ? &scale : nullptr;
  const Status status = subject.backend->linear(**prepacked, args, parallelFor(c.parallel));
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(y.intactAround()) << "memory around y was written";
  std::vector<float> codes;
  for (float value : values)
    codes.push_back(activationCode(value, c.staticBits, scale));
  checkResults(subject, c.compute, expect(c, weight, codes, scale, args.bias, subject.summation), y, 0, c.n);
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
      ASSERT_NEAR(all[row * c.k + column], value, gamma(4) * (std::fabs(weight.min()) + t)) << row << ", " << column;
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
    c.seed = seed * 1000003 + cases.size();
    cases.push_back(c);
  }
  // One row of activations and whole groups have a kernel of their own.
  for (Compute compute : subject.computes)
    for (int64_t group : {8, 16, 32, 64, 128})
      for (int greatest : {8, 15}) {
        MixedCase c;
        c.format = {Format::Kind::Mixed, 15, group};
        c.compute = compute;
        c.n = cases.size() % 2 ? 17 : 130;
        c.k = cases.size() % 3 ? 384 : 1920;
        c.least = cases.size() % 4 ? 1 : 3;
        c.greatest = greatest;
        c.x = cases.size() % 5 ? XKind::Normal : XKind::Spike;
        c.seed = seed * 1000003 + cases.size();
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
