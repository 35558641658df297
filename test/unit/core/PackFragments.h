// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Weights in the order of FragmentLayout, code by code as its words say: what kernels that prepack are compared with.
#ifndef BQ_TEST_UNIT_CORE_PACKFRAGMENTS_H
#define BQ_TEST_UNIT_CORE_PACKFRAGMENTS_H

#include "dialect/core/FragmentLayout.h"

namespace bq::test {

/// Sets, in a zeroed stream of layout.codeBytes(), the codes of one row: `codes` are k values, one to a byte.
inline void packRow(const FragmentLayout &layout, int64_t row, const uint8_t *codes, uint8_t *stream) {
  const int64_t inBlock = row % FragmentLayout::blockRows, block = row / FragmentLayout::blockRows;
  for (int64_t segment = 0; segment < layout.segments(); ++segment) {
    const int64_t begin = layout.segmentBegin(segment), length = layout.segmentLength(segment);
    uint8_t *plane = stream + (block * layout.segments() + segment) * layout.segmentWords() * 4;
    int offset = 0;
    for (int width : layout.planes()) {
      const int64_t perByte = 8 / width, load = layout.loadWords(width);
      for (int64_t i = 0; i < length; ++i) {
        const int64_t unit = i / FragmentLayout::unitCodes;
        const int64_t lane = inBlock % 8 * 4 + i % FragmentLayout::unitCodes / 8;
        const int64_t byte = i % 2 * 2 + i / 4 % 2, reg = i / 2 % 2 * 2 + inBlock / 8;
        const int64_t field = 4 * unit + reg, word = field / perByte;
        const int64_t at = (word / load * 32 + lane) * load + word % load;
        const int code = codes[begin + i] >> offset & ((1 << width) - 1);
        plane[4 * at + byte] |= static_cast<uint8_t>(code << (width * (field % perByte)));
      }
      plane += layout.laneWords(width) * 32 * 4;
      offset += width;
    }
  }
}

/// Where in scales and zero points row `row` of segment `segment` is.
inline int64_t scaleIndex(const FragmentLayout &layout, int64_t row, int64_t segment) {
  const int64_t inBlock = row % FragmentLayout::blockRows, block = row / FragmentLayout::blockRows;
  return (block * layout.segments() + segment) * FragmentLayout::blockRows + inBlock % 8 * 2 + inBlock / 8;
}

} // namespace bq::test

#endif // BQ_TEST_UNIT_CORE_PACKFRAGMENTS_H
