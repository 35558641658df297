// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/FragmentLayout.h"

using namespace bq;

FragmentLayout FragmentLayout::get(const Format &format, int64_t n, int64_t k) {
  FragmentLayout layout;
  layout.bits = format.bits;
  layout.n = n;
  if (format.isMixed()) {
    layout.k = layout.groupSize = layout.segmentCodes = k;
    layout.segmentSize = (k + 7) / 8 * 8;
    return layout;
  }
  // A segment of one bit is longer, so that a lane has words enough for wide loads.
  const bool hasSinglePlane = format.bits & 1;
  static_cast<Segments &>(layout) =
      Segments::get(format, k, hasSinglePlane ? 2 * unitCodes : unitCodes, format.bits == 1 ? 256 : 128);
  return layout;
}

std::string FragmentLayout::str() const {
  if (isStream())
    return "stream n=" + std::to_string(n) + " k=" + std::to_string(k);
  std::string text = "fragments planes=";
  for (int width : planes())
    text += (text.back() == '=' ? "" : "+") + std::to_string(width);
  return text + " n=" + std::to_string(n) + " k=" + std::to_string(k) + " group=" + std::to_string(groupSize) +
         " segment=" + std::to_string(segmentCodes) + " padded=" + std::to_string(segmentSize);
}
