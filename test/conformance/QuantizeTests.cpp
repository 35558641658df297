// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Half.h"
#include "test/conformance/Cases.h"
#include "test/conformance/Conformance.h"
#include "test/conformance/Cover.h"
#include "test/conformance/QuantizeGolden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace bq;
using namespace bq::conformance;

namespace {

enum class Values { Normal, Zero, SomeZero, Equal, Positive, Negative, Halves, Denormal, Tiny, Huge, Spike };
constexpr const char *valueNames[] = {"normal", "zero",     "somezero", "equal", "positive", "negative",
                                      "halves", "denormal", "tiny",     "huge",  "spike"};
constexpr int64_t weightRows[] = {1, 3, 20};

struct QuantizeCase {
  Format format;
  int64_t n = 1, k = 1;
  ElementType dataType = ElementType::F32, scaleType = ElementType::F32;
  bool strided = false;
  Values values = Values::Normal;
  int parallel = 0;
  uint64_t seed = 0;

  std::string name() const {
    return weightName(format, ZeroPointType::None, scaleType) + "_" + std::string(str(dataType)) + "_n" +
           std::to_string(n) + "k" + std::to_string(k) + (strided ? "_strided" : "") + "_" +
           valueNames[static_cast<int>(values)];
  }
};

std::vector<QuantizeCase> quantizeCases(uint64_t seed) {
  std::vector<WeightKind> kinds;
  for (const WeightKind &kind : weightKinds())
    if (kind.format.kind != Format::Kind::Lut && kind.zeroType != ZeroPointType::F32)
      kinds.push_back(kind);
  enum { Kind, N, K, Group, Data, Scale, Strided, Value, Par };
  const std::vector<int> levels = {static_cast<int>(kinds.size()),
                                   std::size(weightRows),
                                   shortColumnCounts.size(),
                                   groupSizes.size(),
                                   elementTypes.size(),
                                   elementTypes.size(),
                                   2,
                                   std::size(valueNames),
                                   parallelForCount};
  std::vector<QuantizeCase> cases;
  for (const std::vector<int> &row : coverPairs(levels, {}, seed)) {
    QuantizeCase c;
    c.format = kinds[row[Kind]].grouped(groupSizes[row[Group]]);
    c.n = weightRows[row[N]];
    c.k = shortColumnCounts[row[K]];
    c.dataType = elementTypes[row[Data]];
    c.scaleType = elementTypes[row[Scale]];
    c.strided = row[Strided];
    c.values = static_cast<Values>(row[Value]);
    c.parallel = row[Par];
    c.seed = caseSeed(seed, cases.size());
    cases.push_back(c);
  }
  for (const WeightKind &kind : kinds) {
    const size_t index = cases.size();
    const LongRow &row = longRows[index % longRows.size()];
    QuantizeCase c;
    c.format = kind.grouped(row.group);
    c.n = 2;
    c.k = row.k;
    c.dataType = elementTypes[index % elementTypes.size()];
    c.scaleType = elementTypes[(index + 1) % elementTypes.size()];
    c.seed = caseSeed(seed, index);
    cases.push_back(c);
  }
  return cases;
}

float makeValue(const QuantizeCase &c, int64_t column, Random &random) {
  const float unit = random.unit();
  const bool f16 = c.dataType == ElementType::F16;
  switch (c.values) {
  case Values::Normal:
    return unit * 0.1f;
  case Values::Zero:
    return random.below(2) ? 0.0f : -0.0f;
  case Values::SomeZero:
    return column / c.format.groupSize(c.k) % 2 ? 0.0f : random.below(3) ? unit : 0.0f;
  case Values::Equal:
    return 0.3f;
  case Values::Positive:
    return std::fabs(unit) + 0.5f;
  case Values::Negative:
    return -std::fabs(unit) - 0.5f;
  case Values::Halves: // codes and the middles between them, of a scale of 1/4 where the range is met
    return static_cast<float>(random.below(1 << (c.format.bits + 1)) - (1 << c.format.bits)) / 8;
  case Values::Denormal:
    return unit * minNormal(c.dataType);
  case Values::Tiny: // the scale is below the normal numbers of f16, or of f32
    return f16 ? unit * 0x1p-14f : unit * 0x1p-122f;
  case Values::Huge: // the scale is above the numbers of f16; the range is above those of f32
    return unit * maxFinite(c.dataType);
  case Values::Spike:
    return random.below(16) ? unit * 0.01f : unit * 100;
  }
  return 0;
}

struct Outputs {
  GuardedBuffer codes, scales, zeros;

  explicit Outputs(const QuantizeArgs &a)
      : codes(a.n * a.format.rowBytes(a.k)),
        scales(a.format.hasColumnScale() ? 0 : a.n * a.format.groupCount(a.k) * sizeOf(a.scaleType)),
        zeros(a.format.hasZeroPoints() ? a.n * a.format.groupCount(a.k) : 0) {}

  void writeTo(QuantizeArgs &args) const {
    args.codes = codes.data();
    args.scales = scales.size() ? scales.data() : nullptr;
    args.zeros = zeros.size() ? zeros.data() : nullptr;
  }
};

void expectSame(const char *what, const GuardedBuffer &got, const GuardedBuffer &expected) {
  EXPECT_TRUE(got.intactBefore()) << "memory before the " << what << " was written";
  const auto [left, right] = std::mismatch(got.data(), got.data() + got.size(), expected.data());
  if (left != got.data() + got.size())
    ADD_FAILURE() << what << ": byte " << left - got.data() << " of " << got.size() << " is " << int(*left)
                  << ", the reference has " << int(*right);
}

void runQuantize(const Subject &subject, const QuantizeCase &c) {
  Random random(c.seed);
  QuantizeArgs args;
  args.format = c.format;
  args.n = c.n;
  args.k = c.k;
  args.dataType = c.dataType;
  args.scaleType = c.scaleType;
  args.stride = c.strided ? c.k + 1 + random.below(20) : c.k;
  GuardedBuffer weight(((c.n - 1) * args.stride + c.k) * sizeOf(c.dataType));
  for (int64_t row = 0; row < c.n; ++row)
    for (int64_t column = 0; column < c.k; ++column)
      storeElement(c.dataType, weight.data(), row * args.stride + column, makeValue(c, column, random));
  args.weight = weight.data();

  const Outputs got(args), expected(args);
  got.writeTo(args);
  const Status status = subject.backend->quantize(args, parallelFor(c.parallel));
  ASSERT_TRUE(status) << status.error().message;
  expected.writeTo(args);
  ASSERT_TRUE(referenceBackend().quantize(args, &serialFor));
  expectSame("codes", got.codes, expected.codes);
  expectSame("scales", got.scales, expected.scales);
  expectSame("zero points", got.zeros, expected.zeros);
}

std::string hexOf(const GuardedBuffer &buffer) {
  std::string text;
  for (int64_t i = 0; i < buffer.size(); ++i)
    for (int digit : {buffer.data()[i] >> 4, buffer.data()[i] & 15})
      text += "0123456789abcdef"[digit];
  return text;
}

/// A row whose codes, scales and zero points were worked out by another program.
void runGolden(const Subject &subject, const QuantizeGolden &golden) {
  std::vector<float> weight;
  for (int i = 0; i < quantizeGoldenColumns; ++i)
    weight.push_back(quantizeGoldenValue(i));
  QuantizeArgs args;
  args.format = *Format::parse(golden.format);
  args.n = 1;
  args.k = args.stride = quantizeGoldenColumns;
  args.weight = weight.data();
  args.scaleType = *parseElementType(golden.scaleType);
  const Outputs got(args);
  got.writeTo(args);
  const Status status = subject.backend->quantize(args, &serialFor);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(hexOf(got.codes), golden.codes);
  EXPECT_EQ(hexOf(got.scales), golden.scales);
  EXPECT_EQ(hexOf(got.zeros), golden.zeros);
}

} // namespace

void bq::conformance::addQuantizeTests(const Subject &subject, uint64_t seed) {
  const std::vector<QuantizeCase> cases = quantizeCases(seed);
  for (size_t index = 0; index < cases.size(); ++index)
    if (const QuantizeCase &c = cases[index]; subject.runs(index, cases.size()))
      addTest(subject, "Quantize", numbered(index) + "_" + c.name(), [=] { runQuantize(subject, c); });
  for (const QuantizeGolden &golden : quantizeGoldens()) {
    const Format format = *Format::parse(golden.format);
    addTest(subject, "QuantizeGolden", weightName(format, ZeroPointType::None, *parseElementType(golden.scaleType)),
            [=] { runGolden(subject, golden); });
  }
}
