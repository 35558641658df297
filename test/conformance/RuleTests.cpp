// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Conformance.h"
#include "test/conformance/Weight.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace bq;
using namespace bq::conformance;

namespace {

WeightShape smallShape() { return {*Format::parse("uint4:g16"), 5, 40, ElementType::F32, ZeroPointType::U8}; }

/// Quantizes one row to one group of int or uint and gives its codes, one to a byte.
std::vector<int> codesOf(Backend &backend, const char *format, const std::vector<float> &weight, float &scale,
                         int &zero) {
  QuantizeArgs args;
  args.format = *Format::parse(format);
  args.n = 1;
  args.k = args.stride = static_cast<int64_t>(weight.size());
  args.weight = weight.data();
  std::vector<uint8_t> codes(args.format.rowBytes(args.k));
  uint8_t zeroByte = 0;
  args.codes = codes.data();
  args.scales = &scale;
  args.zeros = args.format.hasZeroPoints() ? &zeroByte : nullptr;
  const Status status = backend.quantize(args, &serialFor);
  EXPECT_TRUE(status) << status.error().message;
  zero = zeroByte;
  const int bits = args.format.bits;
  std::vector<int> result;
  for (size_t i = 0; i < weight.size(); ++i) {
    int code = 0;
    for (int bit = 0; bit < bits; ++bit)
      code |= (codes[(i * bits + bit) / 8] >> (i * bits + bit) % 8 & 1) << bit;
    result.push_back(args.format.kind == Format::Kind::Int && code >> (bits - 1) ? code - (1 << bits) : code);
  }
  return result;
}

void quantizeRoundsHalfToEven(Backend &backend) {
  float scale = 0;
  int zero = 0;
  EXPECT_EQ(codesOf(backend, "int4", {7, -7, 3.5f, 2.5f, -0.5f, 1.5f, 0, -3.5f}, scale, zero),
            (std::vector<int>{7, -7, 4, 2, 0, 2, 0, -4}));
  EXPECT_EQ(scale, 1);
  EXPECT_EQ(codesOf(backend, "uint4", {-5, 10, 2.5f, -0.5f, 3.5f, 0}, scale, zero),
            (std::vector<int>{0, 15, 7, 5, 9, 5}));
  EXPECT_EQ(scale, 1);
  EXPECT_EQ(zero, 5);
}

void quantizeWidensTheRangeToHoldZero(Backend &backend) {
  float scale = 0;
  int zero = -1;
  EXPECT_EQ(codesOf(backend, "uint4", {3, 15}, scale, zero), (std::vector<int>{3, 15}));
  EXPECT_EQ(zero, 0);
  EXPECT_EQ(codesOf(backend, "uint4", {-15, -3}, scale, zero), (std::vector<int>{0, 12}));
  EXPECT_EQ(zero, 15);
}

void quantizeTiesGoToTheLowerCode(Backend &backend) {
  float scale = 0;
  int zero = 0;
  EXPECT_EQ(codesOf(backend, "fp4", {6, 0.25f, 0.75f, 5, -5, -0.25f, -0.75f, -6}, scale, zero),
            (std::vector<int>{7, 0, 1, 6, 14, 0, 9, 15}));
  EXPECT_EQ(scale, 1);
  EXPECT_EQ(codesOf(backend, "nf4", {-1, nf4Table[8] / 2, nf4Table[6] / 2, 0, 1}, scale, zero),
            (std::vector<int>{0, 7, 6, 7, 15}));
}

void quantizeGivesGroupsOfZerosScaleOne(Backend &backend) {
  for (auto [format, code] : {std::pair{"int4", 0}, {"uint4", 0}, {"nf4", 7}, {"fp4", 0}}) {
    float scale = 0;
    int zero = -1;
    EXPECT_EQ(codesOf(backend, format, {0.0f, -0.0f, 0.0f}, scale, zero), (std::vector<int>{code, code, code}))
        << format;
    EXPECT_EQ(scale, 1) << format;
    EXPECT_EQ(zero, 0) << format;
  }
}

void quantizeKeepsScalesWithinTheirType(Backend &backend) {
  struct Extreme {
    ElementType scaleType;
    std::vector<float> weight;
    uint32_t scaleBits;
    std::vector<uint8_t> codes;
  };
  const Extreme extremes[] = {
      {ElementType::F16, {1e30f, -1e30f, 1, -1}, 0x7bff, {127, 128, 0, 0}},          // 65504, and codes at their ends
      {ElementType::F16, {1e-6f, -1e-6f, 0, 0}, 0x0400, {0, 0, 0, 0}},               // 2^-14
      {ElementType::BF16, {0x1p-127f, -0x1p-128f, 0, 0}, 0x0080, {0, 0, 0, 0}},      // 2^-126, 1/2 and 1/4 to even
      {ElementType::F32, {0x1.8p-126f, -0x1p-126f, 0, 0}, 0x800000, {2, 255, 0, 0}}, // 2^-126, 3/2 to even
  };
  for (const Extreme &e : extremes) {
    SCOPED_TRACE(std::string(str(e.scaleType)) + " " + std::to_string(e.weight[0]));
    uint32_t scale = 0;
    std::vector<uint8_t> codes(4);
    QuantizeArgs args;
    args.format = *Format::parse("int8");
    args.n = 1;
    args.k = args.stride = 4;
    args.weight = e.weight.data();
    args.scaleType = e.scaleType;
    args.codes = codes.data();
    args.scales = &scale;
    const Status status = backend.quantize(args, &serialFor);
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(scale, e.scaleBits);
    EXPECT_EQ(codes, e.codes);
  }
}

void signIsOneWhereTheWeightIsNotNegative(Backend &backend) {
  float scale = 0;
  int zero = 0;
  EXPECT_EQ(codesOf(backend, "sign", {1, -1, 0.0f, -0.0f, -1e-40f}, scale, zero), (std::vector<int>{1, 0, 1, 1, 0}));
}

void embeddingRefusesBadIndicesAndWritesNothing(Backend &backend) {
  Random random(1);
  const Weight weight(smallShape(), random);
  for (int64_t bad : {int64_t{-1}, int64_t{5}, INT64_MAX, INT64_MIN}) {
    const int64_t indices[] = {0, 4, bad};
    GuardedBuffer y(3 * 40 * 4);
    const Status status = backend.embedding(weight.canonical(), indices, 3, y.data(), &serialFor);
    ASSERT_FALSE(status) << bad;
    EXPECT_EQ(status.error().code, ErrorCode::InvalidArgument);
    EXPECT_NE(status.error().message.find(std::to_string(bad)), std::string::npos) << status.error().message;
    EXPECT_TRUE(std::all_of(y.data(), y.data() + y.size(), [](uint8_t byte) { return byte == GuardedBuffer::filler; }));
  }
}

void linearOfNoRowsIsNoError(Backend &backend) {
  Random random(1);
  const Weight weight(smallShape(), random);
  auto prepacked = backend.prepack(weight.canonical(), &serialFor);
  ASSERT_TRUE(prepacked) << prepacked.error().message;
  LinearArgs args;
  args.xStride = 40;
  args.yStride = 5;
  const Status status = backend.linear(**prepacked, args, &serialFor);
  EXPECT_TRUE(status) << status.error().message;
}

void aWeightOutlivesTheTensorsItWasMadeFrom(Backend &backend) {
  std::shared_ptr<const PrepackedWeight> prepacked;
  std::vector<double> firstRow;
  {
    Random random(1);
    const Weight weight(smallShape(), random);
    auto made = backend.prepack(weight.canonical(), &serialFor);
    ASSERT_TRUE(made) << made.error().message;
    prepacked = *made;
    for (int64_t row = 0; row < 5; ++row)
      firstRow.push_back(weight.value(row, 0));
  }
  // With x the first unit vector, y is the first column of W.
  std::vector<float> x(40), y(5);
  x[0] = 1;
  LinearArgs args;
  args.x = x.data();
  args.m = 1;
  args.xStride = 40;
  args.y = y.data();
  args.yStride = 5;
  const Status status = backend.linear(*prepacked, args, &serialFor);
  ASSERT_TRUE(status) << status.error().message;
  // Two terms of at most 16 units, each with a few roundings.
  for (int row = 0; row < 5; ++row)
    EXPECT_NEAR(y[row], firstRow[row], 32 * 8 * 0x1p-24 * 0.1);
}

void embeddingAndDequantizeHaveNoColumnFactors(Backend &backend) {
  Random random(1);
  WeightShape shape = smallShape();
  shape.columnFactors = true;
  const Weight weight(shape, random);
  GuardedBuffer y(5 * 40 * 4);
  const int64_t index = 0;
  const Status embedded = backend.embedding(weight.canonical(), &index, 1, y.data(), &serialFor);
  const Status dequantized = backend.dequantize(weight.canonical(), y.data(), &serialFor);
  for (const Status &status : {embedded, dequantized}) {
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, "columnFactors is given: embedding and dequantize have none, pass null");
  }
}

void computesThatItLacksAreUnsupported(const Subject &subject) {
  Random random(1);
  const Weight weight(smallShape(), random);
  auto prepacked = subject.backend->prepack(weight.canonical(), &serialFor);
  ASSERT_TRUE(prepacked) << prepacked.error().message;
  const std::vector<float> x(40);
  for (Compute compute : computes) {
    if (std::find(subject.computes.begin(), subject.computes.end(), compute) != subject.computes.end())
      continue;
    GuardedBuffer y(5 * 4);
    LinearArgs args;
    args.x = x.data();
    args.m = 1;
    args.xStride = 40;
    args.y = y.data();
    args.yStride = 5;
    args.compute = compute;
    const Status status = subject.backend->linear(**prepacked, args, &serialFor);
    ASSERT_FALSE(status) << str(compute);
    EXPECT_EQ(status.error().code, ErrorCode::Unsupported);
    // What was asked for, and everything that could be.
    EXPECT_NE(status.error().message.find(str(compute)), std::string::npos) << status.error().message;
    for (Compute other : subject.computes)
      EXPECT_NE(status.error().message.find(str(other)), std::string::npos) << status.error().message;
    EXPECT_TRUE(std::all_of(y.data(), y.data() + y.size(), [](uint8_t byte) { return byte == GuardedBuffer::filler; }));
  }
}

void weightsThatDoNotFitAreRefused(Backend &backend) {
  Random random(1);
  const Weight weight(smallShape(), random);
  auto refuses = [&](const std::function<void(CanonicalWeight &)> &change) {
    CanonicalWeight bad = weight.canonical();
    change(bad);
    GuardedBuffer y(5 * 40 * 4);
    auto prepacked = backend.prepack(bad, &serialFor);
    const int64_t index = 0;
    return !prepacked && prepacked.error().code == ErrorCode::InvalidArgument &&
           !backend.dequantize(bad, y.data(), &serialFor) && !backend.embedding(bad, &index, 1, y.data(), &serialFor);
  };
  EXPECT_TRUE(refuses([](CanonicalWeight &w) { w.codes = nullptr; }));
  EXPECT_TRUE(refuses([](CanonicalWeight &w) { w.scales = nullptr; }));
  EXPECT_TRUE(refuses([](CanonicalWeight &w) { w.zeros = nullptr; }));
  EXPECT_TRUE(refuses([](CanonicalWeight &w) { w.zeroType = ZeroPointType::None; }));
  EXPECT_TRUE(refuses([](CanonicalWeight &w) { w.n = -1; }));
  EXPECT_TRUE(refuses([](CanonicalWeight &w) { w.k = 0; }));
  EXPECT_TRUE(refuses([](CanonicalWeight &w) { w.format.bits = 9; }));
  EXPECT_TRUE(refuses([](CanonicalWeight &w) { w.format = *Format::parse("lut4"); }));
  static const std::vector<int32_t> crowded(40, 0);
  EXPECT_TRUE(refuses([](CanonicalWeight &w) { w.groupIndex = crowded.data(); }));
  static const std::vector<int32_t> outside(40, 3);
  EXPECT_TRUE(refuses([](CanonicalWeight &w) { w.groupIndex = outside.data(); }));
}

} // namespace

void bq::conformance::addRuleTests(const Subject &subject) {
  const std::pair<const char *, void (*)(Backend &)> rules[] = {
      {"QuantizeRoundsHalfToEven", quantizeRoundsHalfToEven},
      {"QuantizeWidensTheRangeToHoldZero", quantizeWidensTheRangeToHoldZero},
      {"QuantizeTiesGoToTheLowerCode", quantizeTiesGoToTheLowerCode},
      {"QuantizeGivesGroupsOfZerosScaleOne", quantizeGivesGroupsOfZerosScaleOne},
      {"QuantizeKeepsScalesWithinTheirType", quantizeKeepsScalesWithinTheirType},
      {"SignIsOneWhereTheWeightIsNotNegative", signIsOneWhereTheWeightIsNotNegative},
      {"EmbeddingRefusesBadIndicesAndWritesNothing", embeddingRefusesBadIndicesAndWritesNothing},
      {"LinearOfNoRowsIsNoError", linearOfNoRowsIsNoError},
      {"AWeightOutlivesTheTensorsItWasMadeFrom", aWeightOutlivesTheTensorsItWasMadeFrom},
      {"WeightsThatDoNotFitAreRefused", weightsThatDoNotFitAreRefused},
  };
  for (auto [name, rule] : rules)
    addTest(subject, "Rules", name, [rule = rule, backend = subject.backend] { rule(*backend); });
  if (subject.hasFactors)
    addTest(subject, "Rules", "EmbeddingAndDequantizeHaveNoColumnFactors",
            [backend = subject.backend] { embeddingAndDequantizeHaveNoColumnFactors(*backend); });
  addTest(subject, "Rules", "ComputesThatItLacksAreUnsupported",
          [subject] { computesThatItLacksAreUnsupported(subject); });
}
