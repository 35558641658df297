// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The prepacked layout of a weight on the CPU, described once: packing, unpacking and the kernels' loads derive from
/// it.
#ifndef BQ_DIALECT_CORE_LAYOUT_H
#define BQ_DIALECT_CORE_LAYOUT_H

#include "dialect/core/CpuTarget.h"
#include "dialect/core/Segments.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bq {

/// Rows of the weight are blocks of `lanes`; row r of a block lives in dword lane r of every vector.
///
/// Along K a row is cut into segments, padded with zeros to a whole number of tiles. The stream of a block is
///
///   [segment][tile][plane][line][lane] dwords
///
/// A code of b bits is cut into bit planes whose widths are powers of two, least significant first (3 = 2 + 1). A line
/// of a plane of width p is one vector that holds, for each lane, 32/p consecutive codes: code i of the line is at bits
/// [8*(i%4) + p*(i/4), + p) of the dword. A tile is as many codes as a line of the narrowest plane holds.
/// Thus four codes k..k+3 (k a multiple of 4) are in the four bytes of a lane at the same shift, in every plane, which
/// is the operand of a four-way dot product, and each of them can be masked where it stands.
///
/// Scales and zero points are [block][segment][lane]; those of padded rows are zero.
struct Layout : Segments {
  int lanes = 16;
  int bits = 4;
  int64_t n = 0;

  /// Longest segment. Integer sums over it fit 32 bits for any format and compute (255 * 16383 * 256 < 2^31), and its
  /// unpacked panel fits the caches near the core.
  static constexpr int64_t maxSegment = 256;
  /// Segments are padded to a multiple of this, so that activations are converted in whole vectors.
  static constexpr int64_t segmentAlign = 16;

  /// The layout of a weight [n, k]; n and k are positive.
  static Layout get(const Format &format, int64_t n, int64_t k, const CpuTarget &target);

  /// Widths of the bit planes, least significant first.
  std::vector<int> planes() const { return bitPlanes(bits); }
  /// Codes of one row in a tile.
  int64_t tileCodes() const { return 32 / planes().back(); }
  int64_t tilesPerSegment() const { return segmentSize / tileCodes(); }
  /// Lines of a plane of width `plane` in a tile.
  int64_t linesPerTile(int plane) const { return tileCodes() * plane / 32; }
  int64_t lineBytes() const { return lanes * 4; }
  int64_t tileBytes() const { return tileCodes() * bits / 32 * lineBytes(); }
  int64_t segmentBytes() const { return tilesPerSegment() * tileBytes(); }

  int64_t blocks() const { return (n + lanes - 1) / lanes; }
  int64_t codeBytes() const { return blocks() * segments() * segmentBytes(); }
  /// Scales, or zero points: one for each lane of each segment of each block.
  int64_t scaleCount() const { return blocks() * segments() * lanes; }

  /// Sets, in a zeroed stream of codeBytes(), the codes of one row: `codes` are k values, one to a byte.
  void packRow(int64_t row, const uint8_t *codes, uint8_t *stream) const;
  /// The inverse of packRow.
  void unpackRow(int64_t row, const uint8_t *stream, uint8_t *codes) const;

  /// One line that says all of the above; equal for equal layouts.
  std::string str() const;
};

} // namespace bq

#endif // BQ_DIALECT_CORE_LAYOUT_H
