// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the host has to do with weights prepacked for GPUs: how large their parts are, and what it brings itself.
#include "runtime/cuda/FragmentWeight.h"
#include "TestWeight.h"
#include "dialect/core/Half.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

using namespace bq;
using namespace bq::test;

namespace {

/// Where what the host brings begins.
const uint8_t *constant(const FragmentWeight &packed, const FragmentWeight::Part &part) {
  EXPECT_GE(part.offset, packed.constants.offset);
  EXPECT_LE(part.offset + part.bytes, packed.constants.offset + packed.constants.bytes);
  return packed.constantBytes().data() + (part.offset - packed.constants.offset);
}

} // namespace

TEST(FragmentWeight, PartsAreAsLargeAsTheLayoutSays) {
  for (const char *format : weightFormats)
    for (ElementType scaleType : {ElementType::F32, ElementType::F16}) {
      SCOPED_TRACE(format);
      const Weight weight(format, 21, 700, scaleType);
      const FragmentWeight packed(weight.canonical);
      const FragmentLayout &layout = packed.layout();
      EXPECT_EQ(layout.str(), FragmentLayout::get(weight.canonical.format, 21, 700).str());
      EXPECT_EQ(packed.codes.bytes, layout.codeBytes());
      EXPECT_EQ(packed.scales.bytes, layout.scaleCount() * sizeOf(scaleType));
      EXPECT_EQ(packed.zeros.bytes, weight.canonical.format.hasZeroPoints() ? layout.scaleCount() : 0);
      EXPECT_EQ(packed.columnScale.bytes, weight.canonical.format.hasColumnScale() ? 700 * 4 : 0);
    }
}

TEST(FragmentWeight, ColumnsAreSortedByGroupInAStableOrder) {
  Weight weight("uint4:g4", 9, 10);
  std::vector<int32_t> groups{2, 0, 0, 1, 1, 0, 2, 1, 0, 1}, expected{1, 2, 5, 8, 3, 4, 7, 9, 0, 6};
  EXPECT_FALSE(FragmentWeight(weight.canonical).prepackSpec().permuted);
  weight.canonical.groupIndex = groups.data();
  const FragmentWeight packed(weight.canonical);
  ASSERT_EQ(packed.permutation.bytes, 10 * 4);
  EXPECT_EQ(std::memcmp(constant(packed, packed.permutation), expected.data(), 10 * 4), 0);
  EXPECT_TRUE(packed.prepackSpec().permuted);
}

TEST(FragmentWeight, TheTableIsThatOfTheFormat) {
  for (const char *format : {"nf4:g64", "lut3"}) {
    const Weight weight(format, 5, 64);
    const FragmentWeight packed(weight.canonical);
    ASSERT_EQ(packed.table.bytes, static_cast<int64_t>(sizeof(cuda::WeightTable)));
    cuda::WeightTable table, expected;
    std::memcpy(&table, constant(packed, packed.table), sizeof(table));
    fillTable(expected, nf4Table, 1 << weight.canonical.format.bits);
    EXPECT_EQ(std::memcmp(&table, &expected, sizeof(table)), 0);
  }
}

TEST(FragmentWeight, TheTableHasPairsOfItsValues) {
  const float values[4] = {-2, 0, 0.5, 1};
  cuda::WeightTable table;
  fillTable(table, values, 4);
  for (int i = 0; i < 16; ++i)
    EXPECT_EQ(table.f32[i], values[i % 4]);
  for (int i = 0; i < 256; ++i) {
    const float low = values[i % 16 % 4], high = values[i / 16 % 4];
    EXPECT_EQ(bf16ToFloat(static_cast<uint16_t>(table.bf16Pairs[i])), low); // all are bf16 values
    EXPECT_EQ(bf16ToFloat(static_cast<uint16_t>(table.bf16Pairs[i] >> 16)), high);
    EXPECT_EQ(table.i8Pairs[i] & 255, std::lround(low / 2 * 127) + 128);
    EXPECT_EQ(table.i8Pairs[i] >> 8, std::lround(high / 2 * 127) + 128);
  }
  EXPECT_EQ(table.i8Scale, 2.0f / 127);
}

TEST(FragmentWeight, TablesOfZerosAndOfNoNumbersHaveAFixedPointToo) {
  const float zeros[2] = {0, -0.0f}, infinite[2] = {1, INFINITY}, none[2] = {NAN, 1};
  cuda::WeightTable table;
  fillTable(table, zeros, 2);
  EXPECT_EQ(table.i8Pairs[1], 0x8080);
  EXPECT_EQ(table.i8Scale, 0);
  for (const float *values : {infinite, none}) {
    fillTable(table, values, 2);
    EXPECT_EQ(table.i8Pairs[1], 0x8080);
    EXPECT_TRUE(std::isnan(table.i8Scale));
  }
}

TEST(FragmentWeight, PartsAreAlignedAndApart) {
  for (const char *format : {"lut3:g20", "uint5:g20", "sign"}) {
    const Weight weight(format, 33, 130);
    const FragmentWeight packed(weight.canonical);
    int64_t end = 0;
    for (const FragmentWeight::Part &part :
         {packed.codes, packed.scales, packed.zeros, packed.columnScale, packed.permutation, packed.table}) {
      EXPECT_EQ(part.offset % 64, 0);
      EXPECT_GE(part.offset, end);
      end = part.offset + part.bytes;
    }
    EXPECT_LE(end, packed.bytes());
    EXPECT_EQ(packed.constants.offset + packed.constants.bytes, packed.bytes());
    EXPECT_EQ(static_cast<int64_t>(packed.constantBytes().size()), packed.constants.bytes);
  }
}

TEST(FragmentWeight, NoRowsNeedNoMemory) {
  const Weight weight("int4:g32", 0, 64);
  EXPECT_EQ(FragmentWeight(weight.canonical).bytes(), 0);
}
