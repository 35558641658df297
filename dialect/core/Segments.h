// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How rows of a weight are cut along K for kernels.
#ifndef BQ_DIALECT_CORE_SEGMENTS_H
#define BQ_DIALECT_CORE_SEGMENTS_H

#include "dialect/core/Format.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace bq {

/// A segment is a group, or an equal part of one, never across two groups. It is padded to `segmentSize` codes.
struct Segments {
  int64_t k = 0;
  int64_t groupSize = 0;    ///< Codes of a full group.
  int64_t segmentCodes = 0; ///< Codes of a full segment, before padding; divides groupSize or is the last of a group.
  int64_t segmentSize = 0;  ///< Codes of a segment with padding.
  int64_t segmentsPerGroup = 1;

  /// The segments of rows of k codes, none longer than `longest`, padded to multiples of `align`, which divides
  /// `longest`.
  static Segments get(const Format &format, int64_t k, int64_t align, int64_t longest);

  int64_t groups() const { return (k + groupSize - 1) / groupSize; }
  int64_t segments() const { return groups() * segmentsPerGroup; }

  /// Column of the first code of `segment`, and how many codes of the row it holds (0 for the padding of a short
  /// group).
  int64_t segmentBegin(int64_t segment) const {
    return segment / segmentsPerGroup * groupSize + segment % segmentsPerGroup * segmentCodes;
  }
  int64_t segmentLength(int64_t segment) const {
    int64_t groupEnd = std::min(k, (segment / segmentsPerGroup + 1) * groupSize);
    return std::max<int64_t>(0, std::min(segmentCodes, groupEnd - segmentBegin(segment)));
  }
};

/// Widths of the bit planes that codes of `bits` bits are cut into, powers of two, least significant first: 3 = 2 + 1
/// is given as {2, 1}.
std::vector<int> bitPlanes(int bits);

} // namespace bq

#endif // BQ_DIALECT_CORE_SEGMENTS_H
