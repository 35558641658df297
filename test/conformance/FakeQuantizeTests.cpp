// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Half.h"
#include "dialect/core/KernelAbi.h"
#include "runtime/reference/FakeQuantize.h"
#include "test/conformance/Cases.h"
#include "test/conformance/Conformance.h"
#include "test/conformance/Cover.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace bq;
using namespace bq::conformance;

namespace {

enum class Values { Normal, Halves, Limits, Clipped, Extreme };
constexpr const char *valueNames[] = {"normal", "halves", "limits", "clipped", "extreme"};
constexpr const char *formats[] = {"int2", "int3", "int4", "int8", "uint1", "uint2", "uint4", "uint8", "sign"};
enum class Zero { None, Integer, Fraction };
constexpr const char *zeroNames[] = {"", "_zero", "_fraction"};
/// Less than, equal to and more than a step of 16 and a chunk, one, odd.
constexpr int64_t columnCounts[] = {
    1, 7, 16, 37, 128, bq::abi::fakeQuantizeChunk - 1, bq::abi::fakeQuantizeChunk, bq::abi::fakeQuantizeChunk + 17};
constexpr int64_t rowCounts[] = {1, 3};

struct FakeQuantizeCase {
  Format format;
  int64_t rows = 1, columns = 1;
  ElementType dataType = ElementType::F32;
  Zero zero = Zero::None;
  Values values = Values::Normal;
  int parallel = 0;
  uint64_t seed = 0;

  std::string name() const {
    return format.str() + zeroNames[static_cast<int>(zero)] + "_" + std::string(str(dataType)) + "_m" +
           std::to_string(rows) + "k" + std::to_string(columns) + "_" + valueNames[static_cast<int>(values)];
  }
};

std::vector<FakeQuantizeCase> fakeQuantizeCases(uint64_t seed) {
  enum { FormatOf, Rows, Columns, Data, ZeroOf, Value, Par };
  const std::vector<int> levels = {std::size(formats),  std::size(rowCounts), std::size(columnCounts),
                                   elementTypes.size(), std::size(zeroNames), std::size(valueNames),
                                   parallelForCount};
  std::vector<FakeQuantizeCase> cases;
  for (const std::vector<int> &row : coverPairs(levels, {}, seed)) {
    FakeQuantizeCase c;
    c.format = *Format::parse(formats[row[FormatOf]]);
    c.rows = rowCounts[row[Rows]];
    c.columns = columnCounts[row[Columns]];
    c.dataType = elementTypes[row[Data]];
    if (!c.format.hasColumnScale())
      c.zero = static_cast<Zero>(row[ZeroOf]);
    c.values = static_cast<Values>(row[Value]);
    c.parallel = row[Par];
    c.seed = caseSeed(seed, cases.size());
    cases.push_back(c);
  }
  return cases;
}

/// A value for a scale of about 1/4.
float makeValue(const FakeQuantizeCase &c, Random &random) {
  const float span = static_cast<float>(c.format.greatestValue() - c.format.leastValue());
  switch (c.values) {
  case Values::Normal:
    return random.unit() * span / 4;
  case Values::Halves: // codes and the middles between them
    return static_cast<float>(random.below(4 * static_cast<int>(span) + 5) - 2 * static_cast<int>(span) - 2) / 8;
  case Values::Limits: // the ends of the range, where the gradient stops
    return static_cast<float>(random.below(2) ? c.format.leastValue() : c.format.greatestValue()) / 4;
  case Values::Clipped:
    return (random.below(2) ? 1 : -1) * (std::fabs(random.unit()) + 1) * 1000;
  case Values::Extreme: {
    const float extremes[] = {0.0f,
                              -0.0f,
                              minNormal(c.dataType) / 4,
                              -minNormal(c.dataType),
                              maxFinite(c.dataType),
                              std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity(),
                              std::numeric_limits<float>::quiet_NaN()};
    return extremes[random.below(std::size(extremes))];
  }
  }
  return 0;
}

/// Operands and results of one call, each at an inaccessible page.
struct Memory {
  GuardedBuffer x, gradient, scale, zero, y, xGradient, scaleGradient;

  explicit Memory(const FakeQuantizeCase &c)
      : x(bytes(c)), gradient(bytes(c)), scale(c.rows * 4), zero(c.zero == Zero::None ? 0 : c.rows * 4), y(bytes(c)),
        xGradient(bytes(c)), scaleGradient(c.rows * 4) {}

  FakeQuantizeGradArgs args(const FakeQuantizeCase &c) const {
    FakeQuantizeGradArgs args;
    args.forward.format = c.format;
    args.forward.dataType = c.dataType;
    args.forward.rows = c.rows;
    args.forward.columns = c.columns;
    args.forward.x = x.data();
    args.forward.scale = reinterpret_cast<const float *>(scale.data());
    args.forward.zero = zero.size() ? reinterpret_cast<const float *>(zero.data()) : nullptr;
    args.forward.y = y.data();
    args.gradient = gradient.data();
    args.xGradient = xGradient.data();
    args.scaleGradient = reinterpret_cast<float *>(scaleGradient.data());
    return args;
  }

private:
  static int64_t bytes(const FakeQuantizeCase &c) { return c.rows * c.columns * sizeOf(c.dataType); }
};

/// Results are the same values, and NaN in the same places; a zero may have either sign, and a bf16 that is not a
/// normal number may be zero.
void expectSame(const char *what, const FakeQuantizeCase &c, const GuardedBuffer &got, const GuardedBuffer &expected) {
  EXPECT_TRUE(got.intactBefore()) << "memory before " << what << " was written";
  for (int64_t i = 0; i < c.rows * c.columns; ++i) {
    const float left = loadElement(c.dataType, got.data(), i), right = loadElement(c.dataType, expected.data(), i);
    const bool isFlushed =
        c.dataType == ElementType::BF16 && left == 0 && std::fabs(right) < minNormal(ElementType::BF16);
    if (left != right && !isFlushed && !(std::isnan(left) && std::isnan(right))) {
      ADD_FAILURE() << what << "[" << i << "] is " << left << ", the reference has " << right;
      return;
    }
  }
}

/// What a gradient of a scale may differ by. A product is rounded once, a chunk is summed in f32, in which no element
/// is added more than fakeQuantizeChunk / 16 + 32 times on any way that backends take (a lane of 16 and what a chunk's
/// end leaves, or a thread of 128 and a tree), and the sum of the chunks is rounded once.
double boundOf(double magnitudes) {
  constexpr double roundings = bq::abi::fakeQuantizeChunk / 16 + 32 + 2;
  return roundings * std::ldexp(1.0, -24) / (1 - roundings * std::ldexp(1.0, -24)) * magnitudes +
         std::numeric_limits<float>::denorm_min() * roundings;
}

void runFakeQuantize(const Subject &subject, const FakeQuantizeCase &c) {
  Random random(c.seed);
  const Memory got(c), expected(c);
  const FakeQuantizeGradArgs args = got.args(c);
  for (int64_t i = 0; i < c.rows; ++i) {
    storeElement(ElementType::F32, got.scale.data(), i, 0.25f + (c.values == Values::Normal ? random.unit() / 8 : 0));
    if (c.zero != Zero::None)
      storeElement(ElementType::F32, got.zero.data(), i,
                   static_cast<float>(random.below(c.format.greatestValue() + 1)) +
                       (c.zero == Zero::Fraction ? 0.3f : 0.0f));
  }
  // A scale that is not positive counts as the least normal number.
  if (c.values == Values::Extreme)
    storeElement(ElementType::F32, got.scale.data(), 0, random.below(2) ? 0.0f : -1.0f);
  for (int64_t i = 0; i < c.rows * c.columns; ++i) {
    storeElement(c.dataType, got.x.data(), i, makeValue(c, random));
    storeElement(c.dataType, got.gradient.data(), i, random.unit());
  }

  Status status = subject.backend->fakeQuantize(args.forward, parallelFor(c.parallel));
  ASSERT_TRUE(status) << status.error().message;
  status = subject.backend->fakeQuantizeGrad(args, parallelFor(c.parallel));
  ASSERT_TRUE(status) << status.error().message;

  FakeQuantizeGradArgs wanted = args;
  wanted.forward.y = expected.y.data();
  wanted.xGradient = expected.xGradient.data();
  wanted.scaleGradient = reinterpret_cast<float *>(expected.scaleGradient.data());
  ASSERT_TRUE(referenceBackend().fakeQuantize(wanted.forward, &serialFor));
  ASSERT_TRUE(referenceBackend().fakeQuantizeGrad(wanted, &serialFor));
  expectSame("y", c, got.y, expected.y);
  expectSame("xGradient", c, got.xGradient, expected.xGradient);

  EXPECT_TRUE(got.scaleGradient.intactBefore()) << "memory before scaleGradient was written";
  for (int64_t row = 0; row < c.rows; ++row) {
    double magnitudes = 0;
    for (int64_t i = row * c.columns; i < (row + 1) * c.columns; ++i)
      magnitudes += std::fabs(loadElement(c.dataType, args.gradient, i) *
                              reference::fakeQuantizeElement(c.format, loadElement(c.dataType, args.forward.x, i),
                                                             args.forward.scale[row],
                                                             args.forward.zero ? args.forward.zero[row] : 0)
                                  .slope);
    const double left = args.scaleGradient[row], right = wanted.scaleGradient[row];
    if (std::isnan(right)) {
      EXPECT_TRUE(std::isnan(left)) << "scaleGradient[" << row << "] is " << left << ", the reference has NaN";
      continue;
    }
    const double bound = boundOf(magnitudes);
    EXPECT_LE(std::fabs(left - right), bound)
        << "scaleGradient[" << row << "] is " << left << ", the reference has " << right;
    noteRatio("fake_quantize_grad", std::fabs(left - right) / bound);
  }

  // The same bits however the work is dealt out.
  const std::vector<float> first(args.scaleGradient, args.scaleGradient + c.rows);
  ASSERT_TRUE(subject.backend->fakeQuantizeGrad(args, parallelFor((c.parallel + 1) % parallelForCount)));
  for (int64_t row = 0; row < c.rows; ++row)
    EXPECT_TRUE(first[row] == args.scaleGradient[row] || std::isnan(first[row]))
        << "scaleGradient[" << row << "] depends on the threads";
}

} // namespace

void bq::conformance::addFakeQuantizeTests(const Subject &subject, uint64_t seed) {
  const std::vector<FakeQuantizeCase> cases = fakeQuantizeCases(seed);
  for (size_t index = 0; index < cases.size(); ++index)
    if (const FakeQuantizeCase &c = cases[index]; subject.runs(index, cases.size()))
      addTest(subject, "FakeQuantize", numbered(index) + "_" + c.name(), [=] { runFakeQuantize(subject, c); });
}
