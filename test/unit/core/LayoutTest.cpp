// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

using namespace bq;

namespace {

Format formatOf(int bits, int64_t group) { return {Format::Kind::UInt, bits, group}; }

CpuTarget targetOf(int lanes) {
  CpuTarget target;
  target.features = (lanes >= 8 ? CpuTarget::AVX2 : 0u) | (lanes >= 16 ? CpuTarget::AVX512 : 0u);
  return target;
}

/// Calls visit(layout) for every bit width, vector width, and relation of the row to the group.
template <typename Visit>
void forEachLayout(Visit visit) {
  const std::pair<int64_t, int64_t> shapes[] = {// group (0 = whole row), k
                                                {1, 1},    {1, 5},     {7, 7},     {7, 29},    {16, 64},  {20, 100},
                                                {20, 101}, {32, 31},   {32, 33},   {100, 300}, {100, 97}, {128, 384},
                                                {128, 1},  {300, 901}, {512, 513}, {0, 1},     {0, 13},   {0, 255},
                                                {0, 256},  {0, 257},   {0, 997}};
  for (int bits = 1; bits <= 8; ++bits)
    for (int lanes : {4, 8, 16})
      for (auto [group, k] : shapes) {
        Layout layout = Layout::get(formatOf(bits, group), lanes + 3, k, targetOf(lanes));
        SCOPED_TRACE(layout.str());
        visit(layout);
      }
}

std::vector<uint8_t> randomCodes(const Layout &layout, std::mt19937 &random) {
  std::vector<uint8_t> codes(layout.k);
  for (uint8_t &code : codes)
    code = static_cast<uint8_t>(random() & ((1u << layout.bits) - 1));
  return codes;
}

} // namespace

TEST(Layout, UnpackIsTheInverseOfPack) {
  std::mt19937 random(1);
  forEachLayout([&](const Layout &layout) {
    std::vector<uint8_t> stream(layout.codeBytes()), back(layout.k);
    std::vector<std::vector<uint8_t>> rows;
    for (int64_t row = 0; row < layout.n; ++row) {
      rows.push_back(randomCodes(layout, random));
      layout.packRow(row, rows.back().data(), stream.data());
    }
    for (int64_t row = 0; row < layout.n; ++row) {
      layout.unpackRow(row, stream.data(), back.data());
      ASSERT_EQ(rows[row], back) << "row " << row;
    }
  });
}

TEST(Layout, PaddingIsZeroAndEveryCodeHasItsOwnBits) {
  forEachLayout([&](const Layout &layout) {
    std::vector<uint8_t> stream(layout.codeBytes());
    const std::vector<uint8_t> ones(layout.k, static_cast<uint8_t>((1 << layout.bits) - 1));
    for (int64_t row = 0; row < layout.n; ++row)
      layout.packRow(row, ones.data(), stream.data());
    int64_t set = 0;
    for (uint8_t byte : stream)
      for (int bit = 0; bit < 8; ++bit)
        set += byte >> bit & 1;
    ASSERT_EQ(set, layout.n * layout.k * layout.bits);
  });
}

TEST(Layout, SegmentsCutARowWithoutCrossingGroups) {
  forEachLayout([&](const Layout &layout) {
    int64_t column = 0;
    for (int64_t segment = 0; segment < layout.segments(); ++segment) {
      const int64_t length = layout.segmentLength(segment);
      ASSERT_LE(length, layout.segmentCodes);
      if (!length)
        continue;
      ASSERT_EQ(layout.segmentBegin(segment), column);
      ASSERT_EQ(column / layout.groupSize, (column + length - 1) / layout.groupSize);
      ASSERT_EQ(column / layout.groupSize, segment / layout.segmentsPerGroup);
      column += length;
    }
    ASSERT_EQ(column, layout.k);
  });
}

TEST(Layout, SegmentsAreWholeTilesAndShort) {
  forEachLayout([&](const Layout &layout) {
    ASSERT_EQ(layout.segmentSize % layout.tileCodes(), 0);
    ASSERT_EQ(layout.segmentSize % Layout::segmentAlign, 0);
    ASSERT_GE(layout.segmentSize, layout.segmentCodes);
    ASSERT_LE(layout.segmentSize, Layout::maxSegment);
    ASSERT_EQ(layout.segmentBytes(), layout.segmentSize * layout.bits / 8 * layout.lanes);
    ASSERT_EQ(layout.codeBytes(), layout.blocks() * layout.segments() * layout.segmentBytes());
    ASSERT_EQ(layout.scaleCount(), layout.blocks() * layout.segments() * layout.lanes);
  });
}

// The greatest code times the greatest activation of i16, 127 * 128 + 127, over the longest segment.
TEST(Layout, IntegerSumsOfASegmentFit32Bits) {
  EXPECT_LT(int64_t{255} * (127 * 128 + 127) * Layout::maxSegment, int64_t{1} << 31);
}

TEST(Layout, PlanesArePowersOfTwoThatAddUp) {
  const std::vector<int> expected[] = {{}, {1}, {2}, {2, 1}, {4}, {4, 1}, {4, 2}, {4, 2, 1}, {8}};
  for (int bits = 1; bits <= 8; ++bits)
    EXPECT_EQ(Layout::get(formatOf(bits, 0), 1, 1, targetOf(16)).planes(), expected[bits]) << bits;
}

TEST(Layout, StrTellsLayoutsApart) {
  const Layout a = Layout::get(formatOf(4, 32), 20, 64, targetOf(16));
  EXPECT_EQ(a.str(), "lanes=16 planes=4 n=20 k=64 group=32 segment=32 padded=32");
  EXPECT_EQ(a.str(), Layout::get(formatOf(4, 32), 20, 64, targetOf(16)).str());
  for (const Layout &other :
       {Layout::get(formatOf(4, 32), 20, 64, targetOf(8)), Layout::get(formatOf(5, 32), 20, 64, targetOf(16)),
        Layout::get(formatOf(4, 16), 20, 64, targetOf(16)), Layout::get(formatOf(4, 32), 21, 64, targetOf(16)),
        Layout::get(formatOf(4, 32), 20, 65, targetOf(16))})
    EXPECT_NE(a.str(), other.str());
}

// Two rows of 19 codes, code k of row r being (7k + 3r + 1) mod 2^bits, on four lanes. The bytes were worked out from
// the text of Layout.h by a program of its own. A kernel or a peer relies on them: they never change silently.
TEST(Layout, GoldenBytes) {
  struct Golden {
    int bits;
    std::string hex;
  };
  const Golden golden[] = {
      {1, "1f001f00001f000f0000000000000000"},
      {2, "5500ffaa00ffaa55000000000000000001000300000302000000000000000000"},
      {3, "5500ffaa00ffaa550000000000000000010003000003020000000000000000000a0a1505150a0a0a00000000"
          "00000000"},
      {4, "d148bf26047be259000000000000000059c037ae8cf36ad1000000000000000001080f00040b020000000000"
          "0000000000000000000000000000000000000000"},
      {5, "d148bf26047be259000000000000000059c037ae8cf36ad1000000000000000001080f00040b020000000000"
          "00000000000000000000000000000000000000001e1810031c1801070000000000000000"},
      {6, "d148bf26047be259000000000000000059c037ae8cf36ad100000000000000007448888d7848899d00000000"
          "0000000001080f00040b02000000000000000000000000000000000000000000000000000303030003030000"
          "0000000000000000"},
      {7, "d148bf26047be259000000000000000059c037ae8cf36ad1000000000000000001080f00040b020000000000"
          "00000000000000000000000000000000000000007448888d7848899d00000000000000000303030003030000"
          "0000000000000000181c1c0c181c0c0c0000000000000000"},
      {8, "01080f16040b121900000000000000001d242b3220272e3500000000000000003940474e3c434a5100000000"
          "00000000555c636a585f666d000000000000000071787f00747b820000000000000000000000000000000000"
          "00000000000000000000000000000000000000000000000000000000000000000000000000000000"}};
  for (const Golden &expected : golden) {
    SCOPED_TRACE(expected.bits);
    const Layout layout = Layout::get(formatOf(expected.bits, 0), 2, 19, targetOf(4));
    std::vector<uint8_t> stream(layout.codeBytes()), codes(19);
    for (int row = 0; row < 2; ++row) {
      for (int k = 0; k < 19; ++k)
        codes[k] = static_cast<uint8_t>((7 * k + 3 * row + 1) % (1 << expected.bits));
      layout.packRow(row, codes.data(), stream.data());
    }
    std::string hex;
    for (uint8_t byte : stream)
      for (int digit : {byte >> 4, byte & 15})
        hex += "0123456789abcdef"[digit];
    EXPECT_EQ(hex, expected.hex);
  }
}
