// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weights prepacked by kernels: every code, scale and zero point is where the layout says, bit for bit, and all padding
// is zero. Memory is NaN before.
#include "runtime/WeightParts.h"
#include "runtime/emu/EmuWeight.h"
#include "test/unit/core/PackFragments.h"
#include "test/unit/runtime/TestWeight.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

using namespace bq;
using namespace bq::emu;
using namespace bq::test;

namespace {

std::shared_ptr<const EmuWeight> prepack(const Weight &weight) {
  static EmuKernels kernels;
  Status status = weight.canonical.verify();
  EXPECT_TRUE(status) << status.error().message;
  auto packed = EmuWeight::prepack(kernels, weight.canonical);
  EXPECT_TRUE(packed) << packed.error().message;
  return packed ? *packed : nullptr;
}

std::vector<uint8_t> bytesOf(const EmuMemory &memory, const FragmentWeight::Part &part) {
  const uint8_t *data = memory.data<uint8_t>();
  return {data, data + part.bytes};
}

/// The stream that the layout makes of the codes, column i being column `columns[i]` of the canonical weight.
std::vector<uint8_t> streamOf(const Weight &weight, const FragmentLayout &layout, const std::vector<int32_t> &columns) {
  std::vector<uint8_t> stream(layout.codeBytes()), row(weight.canonical.k);
  for (int64_t r = 0; r < weight.canonical.n; ++r) {
    for (int64_t c = 0; c < weight.canonical.k; ++c)
      row[c] = weight.packedAt(r, columns.empty() ? c : columns[c]);
    packRow(layout, r, row.data(), stream.data());
  }
  return stream;
}

/// One value of `width` bytes for each row and group, where the layout has it.
std::vector<uint8_t> reordered(const FragmentLayout &layout, const void *values, int64_t width) {
  std::vector<uint8_t> result(layout.scaleCount() * width);
  for (int64_t row = 0; row < layout.n; ++row)
    for (int64_t segment = 0; segment < layout.segments(); ++segment)
      if (layout.segmentLength(segment))
        std::memcpy(result.data() + scaleIndex(layout, row, segment) * width,
                    static_cast<const uint8_t *>(values) +
                        (row * layout.groups() + segment / layout.segmentsPerGroup) * width,
                    width);
  return result;
}

void expectPrepacked(const Weight &weight) {
  const CanonicalWeight &canonical = weight.canonical;
  SCOPED_TRACE(canonical.format.str() + " " + std::to_string(canonical.n) + "x" + std::to_string(canonical.k));
  const std::shared_ptr<const EmuWeight> packed = prepack(weight);
  ASSERT_TRUE(packed);
  const FragmentWeight &fragments = packed->fragments;
  const FragmentLayout &layout = fragments.layout();
  EXPECT_EQ(bytesOf(packed->codes, fragments.codes), streamOf(weight, layout, columnsByGroup(canonical)));
  EXPECT_EQ(bytesOf(packed->scales, fragments.scales),
            reordered(layout, canonical.scales, sizeOf(canonical.scaleType)));
  EXPECT_EQ(bytesOf(packed->zeros, fragments.zeros),
            fragments.zeros ? reordered(layout, canonical.zeros, zeroPointBytes(canonical.zeroType))
                            : std::vector<uint8_t>());
  const std::vector<float> columnScale = columnScaleOf(canonical);
  ASSERT_EQ(fragments.columnScale.bytes, static_cast<int64_t>(columnScale.size() * 4));
  for (size_t i = 0; i < columnScale.size(); ++i)
    ASSERT_EQ(packed->columnScale.data<float>()[i], columnScale[i]) << i;
}

constexpr ElementType scaleTypes[] = {ElementType::F32, ElementType::F16, ElementType::BF16};

} // namespace

TEST(Prepack, EveryFormatOnOddSizes) {
  size_t number = 0;
  for (const char *format : weightFormats)
    for (int64_t k : {300, 1031}) {
      const ZeroPointType zeroType = number % 2 ? ZeroPointType::U8 : ZeroPointType::F32;
      const ElementType scaleType = scaleTypes[number % 3];
      // One kernel for any number of rows.
      for (int64_t n : {1, 17, 32})
        expectPrepacked(Weight(format, n, k, scaleType, zeroType));
      ++number;
    }
}

TEST(Prepack, EveryWidthInGroupsOfItsOwn) {
  for (int bits = 1; bits <= 8; ++bits) {
    const std::string format = "uint" + std::to_string(bits);
    // Whole pieces of eight codes and whole segments; a short last group; groups shorter than a piece; one column.
    expectPrepacked(Weight(format + ":g128", 40, 384));
    expectPrepacked(Weight(format + ":g64", 9, 200));
    expectPrepacked(Weight(format + ":g5", 16, 23));
    expectPrepacked(Weight(format, 3, 1));
  }
}

TEST(Prepack, ColumnsInTheOrderOfGroups) {
  for (const char *format : {"int4:g32", "uint3:g20", "nf4:g64", "uint8:g16", "uint1:g100"}) {
    Weight weight(format, 19, 230);
    std::vector<int32_t> groups;
    for (int32_t column = 0; column < 230; ++column)
      groups.push_back(static_cast<int32_t>(column / weight.canonical.format.groupSize(230)));
    std::mt19937 random(3);
    std::shuffle(groups.begin(), groups.end(), random);
    weight.canonical.groupIndex = groups.data();
    expectPrepacked(weight);
  }
}

TEST(Prepack, NoRowsNeedNoKernel) {
  const std::shared_ptr<const EmuWeight> packed = prepack(Weight("int4:g32", 0, 64));
  ASSERT_TRUE(packed);
  EXPECT_EQ(packed->bytes(), 0);
}
