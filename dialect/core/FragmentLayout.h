// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The prepacked layout of a weight on GPUs, described once: what kernels store and load derives from it.
#ifndef BQ_DIALECT_CORE_FRAGMENTLAYOUT_H
#define BQ_DIALECT_CORE_FRAGMENTLAYOUT_H

#include "dialect/core/Segments.h"

namespace bq {

/// Weights are the operand A of `mma`, straight from memory to the registers of the lane that needs them.
///
/// Rows are blocks of 16; along K a row is cut into segments, padded with zeros to whole units of 32 codes (64 where
/// there is a plane of one bit). The stream of a block is
///
///   [segment][plane][load][lane][word]
///
/// A lane = 4 g + t has 16 codes of each unit: of rows g and g + 8, columns 8 t .. 8 t + 7 of the unit. They are
/// register i = 0..3, byte b = 0..3: row g + 8 (i % 2), column 8 t + 4 (b % 2) + 2 (i / 2) + b / 2. As bytes, register
/// i is register i of the A operand of m16n8k32; bytes s and s + 2 of it, in the halves of a word, are register i of
/// the A operand of step s of two m16n8k16. Operand B is thus made of 8 columns in a row for each lane.
///
/// In a plane of width p, code (unit u, register i, byte b) of a lane is in its word (4 u + i) / (8 / p), at bits
/// 8 b + p ((4 u + i) % (8 / p)). A lane's words of a plane are loaded `loadWords` at a time.
///
/// Scales and zero points are [block][segment][16], row r of a block at 2 (r % 8) + r / 8; those of padded rows and of
/// segments without codes are zero.
///
/// Weights of the format `mixed` stay as they are saved: of their layout activations alone are a part, rows of one
/// segment padded to eights; a kernel that decodes such a weight to shared memory cuts them into segments of what is
/// there at once.
struct FragmentLayout : Segments {
  int bits = 4;
  int64_t n = 0;

  static constexpr int64_t blockRows = 16;
  static constexpr int64_t unitCodes = 32;

  /// The layout of a weight [n, k]; n and k are positive.
  static FragmentLayout get(const Format &format, int64_t n, int64_t k);

  /// That of the format `mixed`.
  bool isStream() const { return bits > 8; }

  std::vector<int> planes() const { return bitPlanes(bits); }
  int64_t units() const { return segmentSize / unitCodes; } ///< Of a segment.
  /// Words of a plane of width `plane` that a lane has of a segment, and how many of them are loaded at a time.
  int64_t laneWords(int plane) const { return segmentSize * plane / 64; }
  int64_t loadWords(int plane) const {
    int64_t words = laneWords(plane);
    return words % 4 == 0 ? 4 : words % 2 == 0 ? 2 : 1;
  }
  int64_t segmentWords() const { return segmentSize * bits / 2; } ///< Words of a block's segment, of all lanes.
  int64_t blocks() const { return (n + blockRows - 1) / blockRows; }
  int64_t codeBytes() const { return blocks() * segments() * segmentWords() * 4; }
  /// Scales, or zero points.
  int64_t scaleCount() const { return blocks() * segments() * blockRows; }
  /// Columns of activations in the order of the segments, with padding.
  int64_t paddedColumns() const { return segments() * segmentSize; }

  /// One line that says all of the above; equal for equal layouts.
  std::string str() const;
};

} // namespace bq

#endif // BQ_DIALECT_CORE_FRAGMENTLAYOUT_H
