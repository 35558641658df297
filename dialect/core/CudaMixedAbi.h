// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The signatures of generated kernels for GPUs that write and read codes of the format `mixed`. As in CudaAbi.h
/// pointers are to memory of the device.
///
/// A row of a launch is mixedRow codes.
#ifndef BQ_DIALECT_CORE_CUDAMIXEDABI_H
#define BQ_DIALECT_CORE_CUDAMIXEDABI_H

#include "dialect/core/CudaAbi.h"
#include "dialect/core/MixedIndex.h"

#include <cstdint>

namespace bq::cuda {

/// Codes that a block of threads does.
constexpr int64_t mixedRow = 1024;

/// Levels of the float weight between `least` and `greatest`, as bq::roundToLevels() has them. A launch does the groups
/// of one width, in the order in which the stream has them, and writes every byte that holds a code of theirs. `order`:
/// int32 [groups of the weight], the number of each group, in the order of the stream. `begin` is the byte of the
/// stream where the levels of the width begin, `firstGroup` the place in `order` of the first of its groups, `count`
/// the number of its codes.
using MixedQuantizeFn = void (*)(const void *weight, const int32_t *order, uint8_t *codes, float least, float greatest,
                                 int32_t bits, int64_t begin, int64_t firstGroup, int64_t count);

/// The inverse, as bq::levelsToValues() has it, for elements [firstElement, firstElement + elements) of the weight.
/// `scales`: the least and the greatest value. `places`: uint32 [groups of the stream], mixedPlace() of each. `y`: f32
/// [elements]; where `taps` is above 1 its rows of k elements have element channel * taps + tap of the weight's rows at
/// tap * (k / taps) + channel.
using MixedDequantizeFn = void (*)(const uint8_t *codes, const float *scales, const uint32_t *places,
                                   const abi::MixedIndex *index, float *y, int64_t firstElement, int64_t elements,
                                   int64_t k, int64_t taps);

/// What a group of a weight is found by: its number among the groups of its width, and its width, 1 to 15.
constexpr uint32_t mixedPlace(uint32_t number, int width) { return number << 4 | static_cast<uint32_t>(width); }
/// Groups of one width, and eights of all codes, that kernels count which find groups by their places.
constexpr int64_t maxMixedGroups = int64_t{1} << 28, maxMixedEights = int64_t{1} << 31;

/// Products: LinearFn with other names for some of its arguments. `codes` is the stream, at a multiple of 4 and with
/// mixedSlack bytes behind it that may be read; `scales` and, as `zeros`, `places` are those of
/// MixedDequantizeFn; `table` is an abi::MixedIndex. Of the permutation, where columns are those of a
/// convolution, columns are the stream's.
using MixedLinearFn = LinearFn;
constexpr int64_t mixedSlack = 20;
/// Rows of x up to which sums take weights as they are; with more, and of patches, in bf16 and i8 rounded to bf16.
constexpr int64_t maxStreamedRows = 8;

} // namespace bq::cuda

#endif // BQ_DIALECT_CORE_CUDAMIXEDABI_H
