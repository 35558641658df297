// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Prepacked weights: every code, scale and zero point is where the layout says.
#include "runtime/cpu/CpuWeight.h"
#include "Support.h"
#include "TestWeight.h"
#include "dialect/core/Half.h"
#include "runtime/CodeBits.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace bq;
using namespace bq::test;

namespace {

CpuTarget targetOf(const char *name) { return *CpuTarget::parse(name); }

std::shared_ptr<const CpuWeight> pack(const Weight &weight, const CpuTarget &target, ParallelFor parallel = serialFor) {
  Status status = weight.canonical.verify();
  EXPECT_TRUE(status) << status.error().message;
  Expected<std::shared_ptr<const CpuWeight>> packed = CpuWeight::pack(weight.canonical, target, parallel);
  EXPECT_TRUE(packed);
  return *packed;
}

/// Column i of the packed weight is column `columns[i]` of the canonical one.
void expectCodes(const Weight &weight, const CpuWeight &packed, const std::vector<int32_t> &columns) {
  std::vector<uint8_t> row(weight.canonical.k);
  for (int64_t r = 0; r < weight.canonical.n; ++r) {
    packed.layout().unpackRow(r, packed.codes(), row.data());
    for (int64_t c = 0; c < weight.canonical.k; ++c)
      ASSERT_EQ(row[c], weight.packedAt(r, columns.empty() ? c : columns[c])) << "row " << r << " column " << c;
  }
}

} // namespace

TEST(CpuWeight, CodesComeBackFromEveryFormatAndTarget) {
  for (const char *format : weightFormats)
    for (const char *target : {"znver4", "haswell", "x86-64"})
      for (auto [n, k] : {std::pair<int64_t, int64_t>{1, 1}, {16, 256}, {17, 300}, {5, 1031}}) {
        SCOPED_TRACE(std::string(format) + " " + target + " " + std::to_string(n) + "x" + std::to_string(k));
        Weight weight(format, n, k);
        expectCodes(weight, *pack(weight, targetOf(target)), {});
      }
}

TEST(CpuWeight, ScalesAndZeroPointsAreByBlockSegmentAndLane) {
  for (const char *format : weightFormats)
    for (ZeroPointType zeroType : {ZeroPointType::U8, ZeroPointType::F32}) {
      SCOPED_TRACE(format);
      Weight weight(format, 21, 700, ElementType::F32, zeroType);
      auto packed = pack(weight, targetOf("znver4"));
      const Layout &layout = packed->layout();
      int64_t groups = weight.canonical.format.groupCount(700);
      auto *scales = static_cast<const float *>(packed->scales());
      for (int64_t block = 0; block < layout.blocks(); ++block)
        for (int64_t segment = 0; segment < layout.segments(); ++segment)
          for (int64_t lane = 0; lane < layout.lanes; ++lane) {
            int64_t at = (block * layout.segments() + segment) * layout.lanes + lane;
            int64_t row = block * layout.lanes + lane, from = row * groups + segment / layout.segmentsPerGroup;
            bool padding = row >= 21 || !layout.segmentLength(segment);
            ASSERT_EQ(scales[at], padding ? 0 : reinterpret_cast<const float *>(weight.scales.data())[from]);
            if (!weight.canonical.format.hasZeroPoints())
              continue;
            float zero = zeroType == ZeroPointType::U8 ? static_cast<const uint8_t *>(packed->zeros())[at]
                                                       : static_cast<const float *>(packed->zeros())[at];
            ASSERT_EQ(zero, padding ? 0 : weight.floatZeros[from]);
          }
    }
}

TEST(CpuWeight, HalfScalesStayWhereTheTargetConvertsThem) {
  for (ElementType type : {ElementType::F16, ElementType::BF16}) {
    Weight weight("int4:g32", 8, 64, type);
    auto with = pack(weight, targetOf("haswell")), without = pack(weight, targetOf("x86-64"));
    EXPECT_EQ(with->scaleType(), type);
    EXPECT_EQ(without->scaleType(), ElementType::F32);
    for (int64_t row = 0; row < 8; ++row)
      for (int64_t segment = 0; segment < 2; ++segment) {
        float value = loadElement(type, weight.scales.data(), row * 2 + segment);
        EXPECT_EQ(loadElement(type, with->scales(), segment * 8 + row), value);
        EXPECT_EQ(loadElement(ElementType::F32, without->scales(), (row / 4 * 2 + segment) * 4 + row % 4), value);
      }
  }
}

TEST(CpuWeight, SignHasRowAndColumnScales) {
  Weight weight("sign", 5, 40, ElementType::F16);
  auto packed = pack(weight, targetOf("znver4"));
  for (int64_t row = 0; row < 5; ++row)
    EXPECT_EQ(loadElement(ElementType::F16, packed->scales(), row),
              loadElement(ElementType::F16, weight.scales.data(), row));
  for (int64_t column = 0; column < 40; ++column)
    EXPECT_EQ(packed->columnScale()[column], loadElement(ElementType::F16, weight.scales.data(), 5 + column));
}

TEST(CpuWeight, ColumnsAreSortedByGroupAndStayInOrderWithinOne) {
  Weight weight("uint4:g4", 9, 10);
  std::vector<int32_t> groups{2, 0, 0, 1, 1, 0, 2, 1, 0, 1};
  weight.canonical.groupIndex = groups.data();
  auto packed = pack(weight, targetOf("haswell"));
  std::vector<int32_t> expected{1, 2, 5, 8, 3, 4, 7, 9, 0, 6};
  ASSERT_NE(packed->permutation(), nullptr);
  EXPECT_EQ(std::vector<int32_t>(packed->permutation(), packed->permutation() + 10), expected);
  expectCodes(weight, *packed, expected);
}

TEST(CpuWeight, ManyColumnsKeepTheirOrderWithinAGroup) {
  constexpr int64_t k = 1000, groups = 10;
  Weight weight("uint4:g100", 3, k);
  std::vector<int32_t> groupIndex(k), expected;
  for (int64_t column = 0; column < k; ++column)
    groupIndex[column] = static_cast<int32_t>(column * 7 % groups);
  for (int64_t group = 0; group < groups; ++group)
    for (int64_t column = 0; column < k; ++column)
      if (groupIndex[column] == group)
        expected.push_back(static_cast<int32_t>(column));
  weight.canonical.groupIndex = groupIndex.data();
  auto packed = pack(weight, targetOf("znver4"));
  ASSERT_NE(packed->permutation(), nullptr);
  EXPECT_EQ(std::vector<int32_t>(packed->permutation(), packed->permutation() + k), expected);
  expectCodes(weight, *packed, expected);
}

TEST(CpuWeight, GroupsThatAreInOrderNeedNoPermutation) {
  Weight weight("uint4:g4", 9, 10);
  std::vector<int32_t> groups{0, 0, 0, 0, 1, 1, 1, 1, 2, 2};
  weight.canonical.groupIndex = groups.data();
  auto packed = pack(weight, targetOf("haswell"));
  EXPECT_EQ(packed->permutation(), nullptr);
  expectCodes(weight, *packed, {});
}

TEST(CpuWeight, TheTableHasEveryFormOfItsValues) {
  float values[4] = {-2, 0, 0.5, 1};
  bq::abi::WeightTable table;
  fillTable(table, values, 4);
  for (int i = 0; i < 16; ++i) {
    float value = values[i % 4];
    EXPECT_EQ(table.f32[i], value);
    EXPECT_EQ(bf16ToFloat(table.bf16[i]), value); // all are bf16 values
    EXPECT_EQ(table.bf16[i + 16], table.bf16[i]);
    EXPECT_EQ(table.i8[i], std::lround(value / 2 * 127) + 128);
    EXPECT_EQ(table.i16High[i] * 256 + table.i16Low[i], std::lround(value / 2 * 32767) + 32768);
  }
  EXPECT_EQ(table.i8Scale, 2.0f / 127);
  EXPECT_EQ(table.i16Scale, 2.0f / 32767);
}

TEST(CpuWeight, TablesOfZerosAndOfNoNumbersHaveAFixedPointToo) {
  float zeros[2] = {0, -0.0f}, infinite[2] = {1, INFINITY}, none[2] = {NAN, 1};
  bq::abi::WeightTable table;
  fillTable(table, zeros, 2);
  EXPECT_EQ(table.i8[0], 128);
  EXPECT_EQ(table.i8Scale, 0);
  for (float *values : {infinite, none}) {
    fillTable(table, values, 2);
    EXPECT_EQ(table.i8[0], 128);
    EXPECT_TRUE(std::isnan(table.i8Scale));
    EXPECT_TRUE(std::isnan(table.i16Scale));
  }
}

TEST(CpuWeight, MemoryIsAlignedAndLargeWeightsAreOnHugePages) {
  Weight small("uint4:g4", 9, 10), large("uint4:g32", 1024, 4096);
  auto packed = pack(small, targetOf("haswell")), huge = pack(large, targetOf("haswell"));
  for (const void *part : {static_cast<const void *>(packed->codes()), packed->scales(), packed->zeros()})
    EXPECT_EQ(reinterpret_cast<uintptr_t>(part) % 64, 0u);
  EXPECT_GE(huge->bytes(), huge->layout().codeBytes());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(huge->codes()) % (2 << 20), 0u);
}

TEST(CpuWeight, ThreadsPackWhatOneThreadPacks) {
  Weight weight("uint3:g32", 2050, 512);
  auto one = pack(weight, targetOf("znver4")), many = pack(weight, targetOf("znver4"), threadedFor);
  ASSERT_EQ(one->bytes(), many->bytes());
  EXPECT_EQ(std::vector<uint8_t>(one->codes(), one->codes() + one->bytes()),
            std::vector<uint8_t>(many->codes(), many->codes() + many->bytes()));
}

TEST(CpuWeight, CodesOfEveryWidthAndLengthGoThereAndBack) {
  std::mt19937 random(3);
  for (int bits = 1; bits <= 8; ++bits)
    for (int64_t count = 1; count < 40; ++count) {
      // Exact sizes, so that a sanitizer sees a byte too many.
      std::vector<uint8_t> codes(count), packed((count * bits + 7) / 8), again(count);
      for (uint8_t &code : codes)
        code = static_cast<uint8_t>(random() % (1u << bits));
      packCodes(codes.data(), bits, count, packed.data());
      unpackCodes(packed.data(), bits, count, again.data());
      EXPECT_EQ(again, codes) << bits << " bits, " << count << " codes";
    }
}
