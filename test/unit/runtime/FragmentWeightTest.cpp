// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weights prepacked for GPUs: every code, scale and zero point is where the layout says.
#include "runtime/cuda/FragmentWeight.h"
#include "Support.h"
#include "TestWeight.h"
#include "dialect/core/Half.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

using namespace bq;
using namespace bq::test;

namespace {

FragmentWeight pack(const Weight &weight, ParallelFor parallel = serialFor) {
  Status status = weight.canonical.verify();
  EXPECT_TRUE(status) << status.error().message;
  Expected<FragmentWeight> packed = FragmentWeight::pack(weight.canonical, parallel);
  EXPECT_TRUE(packed);
  return std::move(*packed);
}

std::vector<uint8_t> bytesOf(const FragmentWeight &packed, const FragmentWeight::Part &part) {
  return {packed.data() + part.offset, packed.data() + part.offset + part.bytes};
}

template <typename T>
T valueAt(const FragmentWeight &packed, const FragmentWeight::Part &part, int64_t index) {
  EXPECT_LE(static_cast<int64_t>((index + 1) * sizeof(T)), part.bytes);
  T value;
  std::memcpy(&value, packed.data() + part.offset + index * sizeof(T), sizeof(T));
  return value;
}

/// The stream that the layout makes of the codes, column i being column `columns[i]` of the canonical weight.
std::vector<uint8_t> streamOf(const Weight &weight, const FragmentLayout &layout, const std::vector<int32_t> &columns) {
  std::vector<uint8_t> stream(layout.codeBytes()), row(weight.canonical.k);
  for (int64_t r = 0; r < weight.canonical.n; ++r) {
    for (int64_t c = 0; c < weight.canonical.k; ++c)
      row[c] = weight.packedAt(r, columns.empty() ? c : columns[c]);
    layout.packRow(r, row.data(), stream.data());
  }
  return stream;
}

} // namespace

TEST(FragmentWeight, CodesAreInTheOrderOfTheLayout) {
  for (const char *format : weightFormats)
    for (auto [n, k] : {std::pair<int64_t, int64_t>{1, 1}, {16, 256}, {17, 300}, {5, 1031}}) {
      SCOPED_TRACE(std::string(format) + " " + std::to_string(n) + "x" + std::to_string(k));
      Weight weight(format, n, k);
      FragmentWeight packed = pack(weight);
      EXPECT_EQ(packed.layout().str(), FragmentLayout::get(weight.canonical.format, n, k).str());
      EXPECT_EQ(bytesOf(packed, packed.codes), streamOf(weight, packed.layout(), {}));
    }
}

TEST(FragmentWeight, ScalesAndZeroPointsAreByBlockSegmentAndRow) {
  for (const char *format : weightFormats)
    for (ZeroPointType zeroType : {ZeroPointType::U8, ZeroPointType::F32})
      for (ElementType scaleType : {ElementType::F32, ElementType::F16, ElementType::BF16}) {
        SCOPED_TRACE(format);
        Weight weight(format, 21, 700, scaleType, zeroType);
        FragmentWeight packed = pack(weight);
        EXPECT_EQ(packed.scaleType(), scaleType);
        const FragmentLayout &layout = packed.layout();
        const int64_t groups = weight.canonical.format.groupCount(700);
        ASSERT_EQ(packed.scales.bytes, layout.scaleCount() * sizeOf(scaleType));
        for (int64_t row = 0; row < layout.blocks() * FragmentLayout::blockRows; ++row)
          for (int64_t segment = 0; segment < layout.segments(); ++segment) {
            const int64_t at = layout.scaleIndex(row, segment);
            const int64_t from = row * groups + segment / layout.segmentsPerGroup;
            const bool padding = row >= 21 || !layout.segmentLength(segment);
            ASSERT_EQ(loadElement(scaleType, packed.data() + packed.scales.offset, at),
                      padding ? 0 : loadElement(scaleType, weight.scales.data(), from));
            if (!weight.canonical.format.hasZeroPoints()) {
              ASSERT_FALSE(packed.zeros);
              continue;
            }
            const float zero = zeroType == ZeroPointType::U8 ? valueAt<uint8_t>(packed, packed.zeros, at)
                                                             : valueAt<float>(packed, packed.zeros, at);
            ASSERT_EQ(zero, padding ? 0 : weight.floatZeros[from]);
          }
      }
}

TEST(FragmentWeight, SignHasScalesOfRowsAndColumns) {
  Weight weight("sign", 18, 75, ElementType::F16);
  FragmentWeight packed = pack(weight);
  for (int64_t row = 0; row < 18; ++row)
    EXPECT_EQ(f16ToFloat(valueAt<uint16_t>(packed, packed.scales, packed.layout().scaleIndex(row, 0))),
              loadElement(ElementType::F16, weight.scales.data(), row));
  ASSERT_EQ(packed.columnScale.bytes, 75 * 4);
  for (int64_t column = 0; column < 75; ++column)
    EXPECT_EQ(valueAt<float>(packed, packed.columnScale, column),
              loadElement(ElementType::F16, weight.scales.data(), 18 + column));
  EXPECT_FALSE(packed.table);
}

TEST(FragmentWeight, ColumnsAreSortedByGroupInAStableOrder) {
  Weight weight("uint4:g4", 9, 10);
  std::vector<int32_t> groups{2, 0, 0, 1, 1, 0, 2, 1, 0, 1}, expected{1, 2, 5, 8, 3, 4, 7, 9, 0, 6};
  weight.canonical.groupIndex = groups.data();
  FragmentWeight packed = pack(weight);
  ASSERT_EQ(packed.permutation.bytes, 10 * 4);
  for (int64_t i = 0; i < 10; ++i)
    EXPECT_EQ(valueAt<int32_t>(packed, packed.permutation, i), expected[i]);
  EXPECT_EQ(bytesOf(packed, packed.codes), streamOf(weight, packed.layout(), expected));
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
    Weight weight(format, 33, 130);
    FragmentWeight packed = pack(weight);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(packed.data()) % 64, 0u);
    int64_t end = 0;
    for (const FragmentWeight::Part &part :
         {packed.codes, packed.scales, packed.zeros, packed.table, packed.permutation, packed.columnScale}) {
      EXPECT_EQ(part.offset % 64, 0);
      EXPECT_GE(part.offset, end);
      end = part.offset + part.bytes;
    }
    EXPECT_LE(end, packed.bytes());
  }
}

TEST(FragmentWeight, NoRowsNeedNoMemory) {
  Weight weight("int4:g32", 0, 64);
  EXPECT_EQ(pack(weight).bytes(), 0);
}

TEST(FragmentWeight, ThreadsPackWhatOneThreadPacks) {
  Weight weight("uint3:g32", 2050, 512);
  FragmentWeight one = pack(weight), many = pack(weight, threadedFor);
  ASSERT_EQ(one.bytes(), many.bytes());
  EXPECT_EQ(std::memcmp(one.data(), many.data(), one.bytes()), 0);
}
