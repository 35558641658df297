// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Levels of the format `mixed` from values and back, in float in the order in which DiffQ computes them.
#ifndef BQ_RUNTIME_MIXEDROWS_H
#define BQ_RUNTIME_MIXEDROWS_H

#include "runtime/MixedStream.h"

namespace bq {

/// The least and the greatest of some values.
struct ValueRange {
  float min = 0, max = 0; ///< 0 for no values.
  bool isFinite = true;   ///< Neither NaN nor infinity among them; else the others mean nothing.
};
ValueRange rangeOf(const float *values, int64_t count, ParallelFor parallel);

/// rint(((value - min) / (max - min)) / (1 / (2^bits - 1))), at most 2^bits - 1; 0 where max is min.
void roundToLevels(const float *values, int64_t count, float min, float max, int bits, uint16_t *levels);

/// `bits`: [groups]; `levels`: [groups, group size], of which what a short last group does not have is not written.
void unpackMixedLevels(const MixedStream &stream, const uint8_t *codes, uint8_t *bits, uint16_t *levels,
                       ParallelFor parallel);

/// What levels stand for: level * (1 / (2^bits - 1)) * (max - min) + min, rounded after each operation.
void levelsToValues(const uint16_t *levels, int64_t count, float min, float max, int bits, float *values);

/// Groups of each width before the one in which the first weight of each task of a kernel lies, for rows
/// [firstRow, firstRow + n) of k weights: [tasks][abi::MixedIndex::widths].
std::vector<uint32_t> mixedTaskRanks(const MixedStream &stream, const uint8_t *codes, int64_t firstRow, int64_t n,
                                     int64_t k);

/// y[i, :] = W[indices[i], :], or all n rows in order where `indices` is null; f32, contiguous. `weight` is mixed and
/// has been verified, and so have the indices.
void decodeMixedRows(const CanonicalWeight &weight, const int64_t *indices, int64_t count, float *y,
                     ParallelFor parallel);

/// All weights. `scales`: min, max.
void dequantizeMixedRange(const MixedStream &stream, const uint8_t *codes, const float *scales, float *values,
                          ParallelFor parallel);

} // namespace bq

#endif // BQ_RUNTIME_MIXEDROWS_H
