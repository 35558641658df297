// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

using namespace bq;

namespace {

bool isNaN16(uint16_t bits, uint16_t infinity) { return (bits & 0x7fff) > infinity; }

/// Nearest even by definition: no neighbour of `rounded` is nearer, and where one is as near, `rounded` is even.
void expectNearest(float value, uint16_t rounded, float (*widen)(uint16_t)) {
  const double distance = std::fabs(static_cast<double>(widen(rounded)) - value);
  for (int step : {-1, 1}) {
    const auto neighbour = static_cast<uint16_t>(rounded + step);
    const float other = widen(neighbour);
    if ((neighbour & 0x8000) != (rounded & 0x8000) || !std::isfinite(other))
      continue;
    const double otherDistance = std::fabs(static_cast<double>(other) - value);
    ASSERT_LE(distance, otherDistance) << value << " gave " << rounded;
    ASSERT_TRUE(distance < otherDistance || rounded % 2 == 0) << value << " gave " << rounded;
  }
}

} // namespace

TEST(Half, WidenAndRoundIsTheIdentity) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (isNaN16(half, 0x7c00)) {
      EXPECT_TRUE(std::isnan(f16ToFloat(half)));
      EXPECT_EQ(floatToF16(f16ToFloat(half)), half | 0x200) << bits;
    } else {
      ASSERT_EQ(floatToF16(f16ToFloat(half)), half) << bits;
    }
    if (isNaN16(half, 0x7f80)) {
      EXPECT_TRUE(std::isnan(bf16ToFloat(half)));
      EXPECT_EQ(floatToBF16(bf16ToFloat(half)), half | 0x40) << bits;
    } else {
      ASSERT_EQ(floatToBF16(bf16ToFloat(half)), half) << bits;
    }
  }
}

TEST(Half, F16ValuesAreTheirDefinition) {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const int exponent = bits >> 10, fraction = bits & 0x3ff;
    const double value = exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
    ASSERT_EQ(f16ToFloat(static_cast<uint16_t>(bits)), value);
    ASSERT_EQ(f16ToFloat(static_cast<uint16_t>(bits | 0x8000)), -value);
  }
}

TEST(Half, RoundsToNearestEven) {
  std::mt19937 random(1);
  for (int i = 0; i < 200000; ++i) {
    // All signs and fractions, exponents where the 16-bit types have values, and their ends.
    const uint32_t exponent = 127 - 30 + random() % 50;
    const float value = detail::floatOf((random() & 0x807fffff) | exponent << 23);
    if (std::fabs(value) < 65504)
      expectNearest(value, floatToF16(value), f16ToFloat);
    expectNearest(value, floatToBF16(value), bf16ToFloat);
  }
  // Exactly halfway between two neighbours, everywhere.
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float middle = (f16ToFloat(static_cast<uint16_t>(bits)) + f16ToFloat(static_cast<uint16_t>(bits + 1))) / 2;
    ASSERT_EQ(floatToF16(middle), bits + (bits & 1)) << bits;
    ASSERT_EQ(floatToF16(std::nextafter(middle, 0.0f)), bits) << bits;
    ASSERT_EQ(floatToF16(std::nextafter(middle, 1e9f)), bits + 1) << bits;
  }
}

TEST(Half, EndsOfTheRange) {
  EXPECT_EQ(floatToF16(65504.0f), 0x7bff);
  EXPECT_EQ(floatToF16(65519.996f), 0x7bff);
  EXPECT_EQ(floatToF16(65520.0f), 0x7c00);
  EXPECT_EQ(floatToF16(-1e30f), 0xfc00);
  EXPECT_EQ(floatToF16(0x1p-25f), 0); // halfway to the least denormal
  EXPECT_EQ(floatToF16(-0x1p-26f), 0x8000);
  EXPECT_EQ(floatToF16(0x1.8p-25f), 1);
  EXPECT_EQ(floatToBF16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(floatToBF16(-0.0f), 0x8000);
  EXPECT_TRUE(std::isnan(f16ToFloat(floatToF16(std::nanf("")))));
  EXPECT_TRUE(std::isnan(f16ToFloat(floatToF16(detail::floatOf(0x7f800001)))));
  EXPECT_TRUE(std::isnan(bf16ToFloat(floatToBF16(detail::floatOf(0xff800001)))));
  EXPECT_EQ(roundTo(ElementType::F16, maxFinite(ElementType::F16)), 65504.0f);
  EXPECT_EQ(floatToBF16(maxFinite(ElementType::BF16)), 0x7f7f);
  EXPECT_EQ(floatToF16(minNormal(ElementType::F16)), 0x0400);
  EXPECT_EQ(floatToBF16(minNormal(ElementType::BF16)), 0x0080);
}

TEST(Half, ElementsByType) {
  for (ElementType type : {ElementType::F32, ElementType::F16, ElementType::BF16}) {
    char memory[1 + 4 * 4] = {};
    for (int i = 0; i < 4; ++i)
      storeElement(type, memory + 1, i, 1.0f + 0.001f * i);
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(loadElement(type, memory + 1, i), roundTo(type, 1.0f + 0.001f * i)) << str(type);
  }
}
