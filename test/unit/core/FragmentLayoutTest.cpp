// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The layout of weights on GPUs, against a decoder that follows the words of FragmentLayout.h from the other side: from
// a lane's registers to rows and columns.
#include "PackFragments.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>

using namespace bq;
using namespace bq::test;

namespace {

Format formatOf(int bits, int64_t group) { return {Format::Kind::UInt, bits, group}; }

/// Calls visit(layout) for every bit width and relation of the row to the group.
template <typename Visit>
void forEachLayout(Visit visit) {
  const std::pair<int64_t, int64_t> shapes[] = {// group (0 = whole row), k
                                                {1, 1},     {1, 5},    {7, 29},    {16, 64},   {20, 101}, {32, 31},
                                                {32, 33},   {64, 192}, {100, 300}, {128, 384}, {128, 1},  {300, 901},
                                                {512, 513}, {0, 13},   {0, 128},   {0, 129},   {0, 257},  {0, 997}};
  for (int bits = 1; bits <= 8; ++bits)
    for (auto [group, k] : shapes)
      for (int64_t n : {1, 9, 16, 35}) {
        const FragmentLayout layout = FragmentLayout::get(formatOf(bits, group), n, k);
        SCOPED_TRACE(layout.str());
        visit(layout);
      }
}

std::vector<std::vector<uint8_t>> randomCodes(const FragmentLayout &layout) {
  std::mt19937 random(1);
  std::vector<std::vector<uint8_t>> rows(layout.n, std::vector<uint8_t>(layout.k));
  for (std::vector<uint8_t> &row : rows)
    for (uint8_t &code : row)
      code = static_cast<uint8_t>(random() & ((1u << layout.bits) - 1));
  return rows;
}

std::vector<uint8_t> packed(const FragmentLayout &layout, const std::vector<std::vector<uint8_t>> &rows) {
  std::vector<uint8_t> stream(layout.codeBytes());
  for (int64_t row = 0; row < layout.n; ++row)
    packRow(layout, row, rows[row].data(), stream.data());
  return stream;
}

/// Calls visit(row, segment, column in the segment, code) for every place of the stream, with padding, read as a kernel
/// does: a lane loads its words of each plane, and takes register i, byte b of unit u out of them.
template <typename Visit>
void decode(const FragmentLayout &layout, const std::vector<uint8_t> &stream, Visit visit) {
  const uint8_t *next = stream.data();
  for (int64_t block = 0; block < layout.blocks(); ++block)
    for (int64_t segment = 0; segment < layout.segments(); ++segment) {
      std::vector<std::vector<uint32_t>> lanes[32]; // [lane][plane][word]
      for (int width : layout.planes()) {
        for (auto &lane : lanes)
          lane.emplace_back();
        const int64_t words = layout.segmentSize / 32 * 16 * width / 32, together = words % 4 ? words % 2 ? 1 : 2 : 4;
        for (int64_t load = 0; load < words / together; ++load)
          for (auto &lane : lanes)
            for (int64_t i = 0; i < together; ++i, next += 4) {
              uint32_t word;
              std::memcpy(&word, next, 4);
              lane.back().push_back(word);
            }
      }
      for (int lane = 0; lane < 32; ++lane)
        for (int64_t unit = 0; unit < layout.segmentSize / 32; ++unit)
          for (int i = 0; i < 4; ++i)
            for (int byte = 0; byte < 4; ++byte) {
              const int g = lane / 4, t = lane % 4, field = static_cast<int>(4 * unit + i);
              unsigned code = 0, offset = 0;
              for (size_t plane = 0; plane < lanes[lane].size(); ++plane) {
                const int width = layout.planes()[plane];
                const uint32_t word = lanes[lane][plane][field / (8 / width)];
                code |= (word >> (8 * byte + width * (field % (8 / width))) & ((1u << width) - 1)) << offset;
                offset += width;
              }
              visit(16 * block + g + 8 * (i % 2), segment, 32 * unit + 8 * t + 4 * (byte % 2) + 2 * (i / 2) + byte / 2,
                    code);
            }
    }
  ASSERT_EQ(next, stream.data() + stream.size());
}

} // namespace

TEST(FragmentLayout, LanesFindEveryCodeAndZerosForPadding) {
  forEachLayout([&](const FragmentLayout &layout) {
    const auto rows = randomCodes(layout);
    int64_t found = 0;
    decode(layout, packed(layout, rows), [&](int64_t row, int64_t segment, int64_t column, unsigned code) {
      const bool isThere = row < layout.n && column < layout.segmentLength(segment);
      found += isThere;
      ASSERT_EQ(code, isThere ? rows[row][layout.segmentBegin(segment) + column] : 0u)
          << "row " << row << ", segment " << segment << ", column " << column;
    });
    ASSERT_EQ(found, layout.n * layout.k);
  });
}

TEST(FragmentLayout, EveryCodeHasItsOwnBits) {
  forEachLayout([&](const FragmentLayout &layout) {
    const uint8_t greatest = static_cast<uint8_t>((1 << layout.bits) - 1);
    const std::vector<std::vector<uint8_t>> ones(layout.n, std::vector<uint8_t>(layout.k, greatest));
    int64_t set = 0;
    for (uint8_t byte : packed(layout, ones))
      for (int bit = 0; bit < 8; ++bit)
        set += byte >> bit & 1;
    ASSERT_EQ(set, layout.n * layout.k * layout.bits);
  });
}

// The operand A of a warp of m16n8k16 (PTX ISA, matrix fragments for f16): register i of lane 4 g + t holds, in its
// halves, row g + 8 (i % 2), columns 2 t + 8 (i / 2) and the next. Taken in order over the steps of a unit, its columns
// are those of operand B where each lane has eight in a row.
TEST(FragmentLayout, BytesOfARegisterAreOperandsOfTwoSteps) {
  const FragmentLayout layout = FragmentLayout::get(formatOf(8, 0), 16, 32);
  std::vector<std::vector<uint8_t>> rows(16, std::vector<uint8_t>(32));
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 32; ++column)
      rows[row][column] = static_cast<uint8_t>(column);
  const std::vector<uint8_t> stream = packed(layout, rows);
  for (int lane = 0; lane < 32; ++lane)
    for (int step = 0; step < 2; ++step)
      for (int i = 0; i < 4; ++i)
        for (int half = 0; half < 2; ++half)
          // Eight bytes of activations of a lane are columns 8 t and on: step s has four of them, for B's registers 0
          // and 1, which stand opposite to A's columns 2 t and 2 t + 8.
          EXPECT_EQ(stream[16 * lane + 4 * i + step + 2 * half], 8 * (lane % 4) + 4 * step + 2 * (i / 2) + half);
}

TEST(FragmentLayout, ScalesOfABlockHaveAllTheirPlaces) {
  forEachLayout([&](const FragmentLayout &layout) {
    std::set<int64_t> seen;
    for (int64_t row = 0; row < layout.blocks() * 16; ++row)
      for (int64_t segment = 0; segment < layout.segments(); ++segment) {
        const int64_t inBlock = row % 16;
        const int64_t at = scaleIndex(layout, row, segment);
        ASSERT_EQ(at, (row / 16 * layout.segments() + segment) * 16 + 2 * (inBlock % 8) + inBlock / 8);
        ASSERT_TRUE(seen.insert(at).second);
      }
    ASSERT_EQ(static_cast<int64_t>(seen.size()), layout.scaleCount());
    ASSERT_EQ(*seen.rbegin(), layout.scaleCount() - 1);
  });
}

TEST(FragmentLayout, SegmentsAreWholeUnitsOfWholeWords) {
  forEachLayout([&](const FragmentLayout &layout) {
    ASSERT_EQ(layout.segmentSize % (layout.bits % 2 ? 64 : 32), 0);
    ASSERT_LE(layout.segmentSize, layout.bits == 1 ? 256 : 128);
    ASSERT_GE(layout.segmentSize, layout.segmentCodes);
    ASSERT_EQ(layout.codeBytes(), layout.blocks() * 16 * layout.paddedColumns() * layout.bits / 8);
    for (int width : layout.planes()) {
      ASSERT_EQ(layout.laneWords(width) * 64, layout.segmentSize * width);
      ASSERT_EQ(layout.laneWords(width) % layout.loadWords(width), 0);
    }
  });
}

TEST(FragmentLayout, StrTellsLayoutsApart) {
  const FragmentLayout a = FragmentLayout::get(formatOf(4, 32), 20, 64);
  EXPECT_EQ(a.str(), "fragments planes=4 n=20 k=64 group=32 segment=32 padded=32");
  EXPECT_EQ(a.str(), FragmentLayout::get(formatOf(4, 32), 20, 64).str());
  for (const FragmentLayout &other :
       {FragmentLayout::get(formatOf(5, 32), 20, 64), FragmentLayout::get(formatOf(4, 16), 20, 64),
        FragmentLayout::get(formatOf(4, 32), 21, 64), FragmentLayout::get(formatOf(4, 32), 20, 65)})
    EXPECT_NE(a.str(), other.str());
}
