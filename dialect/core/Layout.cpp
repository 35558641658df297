// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Layout.h"

#include "dialect/core/MixedIndex.h"

#include <algorithm>
#include <cstring>

using namespace bq;

Layout Layout::get(const Format &format, int64_t n, int64_t k, const CpuTarget &target) {
  Layout layout;
  layout.lanes = target.lanes();
  layout.bits = format.bits;
  layout.n = n;
  if (format.isMixed()) {
    // Codes stay where they are: this is of the activations, with zeros behind each segment, as many as a step of a
    // kernel may read there. Where groups are listed, a segment has whole groups.
    constexpr int64_t step = 64;
    const int64_t group = format.group;
    const bool isListed = abi::MixedIndex::hasWholeSteps(group) && k % group == 0;
    const int64_t align = isListed ? std::max(step, group) : step;
    Format row = format;
    row.group = 0;
    static_cast<Segments &>(layout) =
        Segments::get(row, k, align, isListed ? abi::MixedIndex::maxListed * group / align * align : k);
    layout.segmentSize += step;
    return layout;
  }
  static_cast<Segments &>(layout) = Segments::get(format, k, std::max(layout.tileCodes(), segmentAlign), maxSegment);
  return layout;
}

namespace {

/// Calls visit(byte of the stream, shift in the byte, width, shift in the code, column) for every piece of a row.
template <typename Visit>
void forEachPiece(const Layout &layout, int64_t row, Visit visit) {
  const std::vector<int> planes = layout.planes();
  const int64_t tileCodes = layout.tileCodes();
  int64_t block = row / layout.lanes * layout.segments() * layout.segmentBytes();
  for (int64_t segment = 0; segment < layout.segments(); ++segment) {
    int64_t column = layout.segmentBegin(segment), length = layout.segmentLength(segment);
    for (int64_t i = 0; i < length; ++i) {
      int64_t plane = block + segment * layout.segmentBytes() + i / tileCodes * layout.tileBytes();
      int offset = 0;
      for (int width : planes) {
        int64_t perLine = 32 / width, inTile = i % tileCodes, inLine = inTile % perLine;
        int64_t byte = plane + inTile / perLine * layout.lineBytes() + row % layout.lanes * 4 + inLine % 4;
        visit(byte, static_cast<int>(inLine / 4 * width), width, offset, column + i);
        plane += layout.linesPerTile(width) * layout.lineBytes();
        offset += width;
      }
    }
  }
}

} // namespace

void Layout::packRow(int64_t row, const uint8_t *codes, uint8_t *stream) const {
  // Codes 4j..4j+3 of a line are the four bytes of its dword at one shift, so they are moved together. unpackRow keeps
  // to the description piece by piece.
  const std::vector<int> widths = planes();
  const int64_t tile = tileCodes(), line = lineBytes(), count = segments(), stride = segmentBytes();
  uint8_t *next = stream + row / lanes * count * stride + row % lanes * 4;
  for (int64_t segment = 0; segment < count; ++segment, next += stride) {
    uint8_t *out = next;
    const int64_t begin = segmentBegin(segment), length = segmentLength(segment);
    for (int64_t i = 0; i < length; i += tile) {
      uint32_t words[8] = {};
      std::memcpy(words, codes + begin + i, std::min(tile, length - i));
      int offset = 0;
      for (int width : widths) {
        const uint32_t mask = 0x01010101u * ((1u << width) - 1);
        for (int64_t first = 0; first < tile / 4; first += 8 / width, out += line) {
          uint32_t dword = 0;
          for (int j = 0; j < 8 / width; ++j)
            dword |= (words[first + j] >> offset & mask) << (width * j);
          std::memcpy(out, &dword, sizeof(dword));
        }
        offset += width;
      }
    }
  }
}

void Layout::unpackRow(int64_t row, const uint8_t *stream, uint8_t *codes) const {
  std::fill_n(codes, k, uint8_t{0});
  forEachPiece(*this, row, [&](int64_t byte, int shift, int width, int offset, int64_t column) {
    codes[column] |= static_cast<uint8_t>((stream[byte] >> shift & ((1 << width) - 1)) << offset);
  });
}

std::string Layout::str() const {
  std::string text = "lanes=" + std::to_string(lanes) + " planes=";
  for (int width : planes())
    text += (text.back() == '=' ? "" : "+") + std::to_string(width);
  return text + " n=" + std::to_string(n) + " k=" + std::to_string(k) + " group=" + std::to_string(groupSize) +
         " segment=" + std::to_string(segmentCodes) + " padded=" + std::to_string(segmentSize);
}
