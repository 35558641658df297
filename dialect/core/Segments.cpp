// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Segments.h"

using namespace bq;

Segments Segments::get(const Format &format, int64_t k, int64_t align, int64_t longest) {
  Segments cut;
  cut.k = k;
  cut.groupSize = format.groupSize(k);
  cut.segmentsPerGroup = (cut.groupSize + longest - 1) / longest;
  cut.segmentCodes = (cut.groupSize + cut.segmentsPerGroup - 1) / cut.segmentsPerGroup;
  // Equal parts of a long group, each a whole number of `align`; rounding up may leave fewer parts.
  if (cut.segmentsPerGroup > 1) {
    cut.segmentCodes = (cut.segmentCodes + align - 1) / align * align;
    cut.segmentsPerGroup = (cut.groupSize + cut.segmentCodes - 1) / cut.segmentCodes;
  }
  cut.segmentSize = (cut.segmentCodes + align - 1) / align * align;
  return cut;
}

std::vector<int> bq::bitPlanes(int bits) {
  std::vector<int> widths;
  for (int width = 8; width; width /= 2)
    if (bits & width)
      widths.push_back(width);
  return widths;
}
