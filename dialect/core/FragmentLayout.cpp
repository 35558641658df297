// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/FragmentLayout.h"

using namespace bq;

FragmentLayout FragmentLayout::get(const Format &format, int64_t n, int64_t k) {
  FragmentLayout layout;
  layout.bits = format.bits;
  layout.n = n;
  // A segment of one bit is longer, so that a lane has words enough for wide loads.
  const bool hasSinglePlane = format.bits & 1;
  static_cast<Segments &>(layout) =
      Segments::get(format, k, hasSinglePlane ? 2 * unitCodes : unitCodes, format.bits == 1 ? 256 : 128);
  return layout;
}

void FragmentLayout::packRow(int64_t row, const uint8_t *codes, uint8_t *stream) const {
  const int64_t inBlock = row % blockRows;
  for (int64_t segment = 0; segment < segments(); ++segment) {
    const int64_t begin = segmentBegin(segment), length = segmentLength(segment);
    uint8_t *plane = stream + (row / blockRows * segments() + segment) * segmentWords() * 4;
    int offset = 0;
    for (int width : planes()) {
      const int64_t perByte = 8 / width, load = loadWords(width);
      for (int64_t i = 0; i < length; ++i) {
        const int64_t unit = i / unitCodes, lane = inBlock % 8 * 4 + i % unitCodes / 8;
        const int64_t byte = i % 2 * 2 + i / 4 % 2, reg = i / 2 % 2 * 2 + inBlock / 8;
        const int64_t field = 4 * unit + reg, word = field / perByte;
        const int64_t at = (word / load * 32 + lane) * load + word % load;
        plane[4 * at + byte] |=
            static_cast<uint8_t>((codes[begin + i] >> offset & ((1 << width) - 1)) << (width * (field % perByte)));
      }
      plane += laneWords(width) * 32 * 4;
      offset += width;
    }
  }
}

std::string FragmentLayout::str() const {
  std::string text = "fragments planes=";
  for (int width : planes())
    text += (text.back() == '=' ? "" : "+") + std::to_string(width);
  return text + " n=" + std::to_string(n) + " k=" + std::to_string(k) + " group=" + std::to_string(groupSize) +
         " segment=" + std::to_string(segmentCodes) + " padded=" + std::to_string(segmentSize);
}
