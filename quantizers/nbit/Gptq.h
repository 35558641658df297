// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Weights in the packed form of GPTQ checkpoints, to float and to canonical tensors and back.
#ifndef BQ_QUANTIZERS_NBIT_GPTQ_H
#define BQ_QUANTIZERS_NBIT_GPTQ_H

#include "dialect/core/Format.h"
#include "quantizers/Export.h"
#include "quantizers/Tensors.h"

#include <ATen/ATen.h>

#include <cstdint>

namespace bq {

/// What the zero points of a GPTQ weight mean, with q the integer of a weight and s the scale of its group. Tensors
/// do not tell the first two apart, so it is always said.
enum class ZeroConvention {
  StoredMinusOne, ///< W = s (q - z), packed words hold z - 1, z in [1, 2^bits]: GPTQ, AutoGPTQ's first format
  Stored,         ///< W = s (q - z), packed words hold z, z in [0, 2^bits - 1]: AutoGPTQ's second format
  Scaled,         ///< W = q s - z, z a float tensor that has the scale in it
};

/// A weight W [K, N] (inputs by outputs, the transpose of a linear layer's) in packed form. Row i of the packed
/// integers is row i of W, or row rowOrder[i] where that is given.
struct GptqWeight {
  at::Tensor words;       ///< int32 [ceil(K * bits / 32), N], packed along K as packWords() does
  at::Tensor scales;      ///< Floating [G, N]
  at::Tensor zeros;       ///< int32 [G, ceil(N * bits / 32)], packed along N; floating [G, N] where Scaled
  at::Tensor groupIndex;  ///< Integer [K], the group of each packed row; not defined: groups of K / G rows
  at::Tensor rowOrder;    ///< Integer [K], a permutation (q_perm); not defined or all zero: as they are
  int64_t bits = 4;       ///< 1 to 8
  int64_t inFeatures = 0; ///< K
  ZeroConvention zeroConvention = ZeroConvention::StoredMinusOne;

  int64_t outFeatures() const { return words.size(1); }
};

/// Checks types, shapes, devices, that groups exist and that rowOrder is a permutation; where no groupIndex is given K
/// must be a multiple of G. Throws, naming what does not fit and what would.
BQ_TORCH_API void checkGptq(const GptqWeight &weight);

/// The integers, uint8 [K, N], as packed (not permuted).
BQ_TORCH_API at::Tensor gptqIntegers(const GptqWeight &weight);
/// W [K, N] in the type of the scales.
BQ_TORCH_API at::Tensor unpackGptq(const GptqWeight &weight);
/// Words for a floating W [K, N] with the scales and zero points of `like`: nearest integers, ties to even, clamped to
/// [0, 2^bits - 1]. Scaled: round((W + z) / s), otherwise round(W / s + z). Computed in float, or double where a tensor
/// is; `upstreamCompatible`: in the type that W and the scales have together. Throws where W holds NaN.
BQ_TORCH_API at::Tensor packGptq(const at::Tensor &matrix, const GptqWeight &like, bool upstreamCompatible = false);

/// Zero points z of W = s (q - z), [G, N]: float32 whole numbers for the packed conventions, z / s in the type of the
/// scales where Scaled.
BQ_TORCH_API at::Tensor gptqZeros(const GptqWeight &weight);
/// Zero points [G, N] of any type in packed form, int32 [G, ceil(N * bits / 32)]. Rounds to nearest, ties to even;
/// throws where one is outside of what the convention can hold, naming it. `upstreamCompatible`: truncated toward zero,
/// and what does not fit loses its upper bits, so that with StoredMinusOne a zero point 0 is read as 2^bits.
BQ_TORCH_API at::Tensor packGptqZeros(const at::Tensor &zeros, int64_t bits,
                                      ZeroConvention convention = ZeroConvention::StoredMinusOne,
                                      bool upstreamCompatible = false);

/// The group of each row of W, int32 [K], rowOrder taken into account.
BQ_TORCH_API at::Tensor gptqGroupIndex(const GptqWeight &weight);

/// The format that toCanonical() gives: uint<bits>, with :g<G> where groups are contiguous.
BQ_TORCH_API Format canonicalFormat(const GptqWeight &weight);
/// The same weight as [N, K] in canonicalFormat(). Codes and scales are the same numbers in another order. Zero points
/// are those of gptqZeros(), exact for the packed conventions. A group index is given only where groups are not
/// contiguous. Throws where no group size makes as many groups of K columns.
BQ_TORCH_API WeightTensors toCanonical(const GptqWeight &weight);
/// A canonical weight [N, inFeatures] in uint<bits> as GPTQ tensors, always with a group index and without a rowOrder:
/// the inverse of toCanonical(). For the packed conventions zero points must be whole numbers that the convention can
/// hold: throws, naming one that is not. Scaled ones become z * s in the type of the scales.
BQ_TORCH_API GptqWeight fromCanonical(const WeightTensors &weight, const Format &format, int64_t inFeatures,
                                      ZeroConvention convention);

/// For EXL2 weights, whose groups differ in bits: group of each row and rows left in that group, itself counted, as
/// int32 [2 * rows], alternating. `groups` is [2 * G] of integers: bits, first packed row of each group, ascending;
/// `packedRows` the number of packed rows (words along K) in all.
BQ_TORCH_API at::Tensor makeGroupMap(const at::Tensor &groups, int64_t packedRows);

} // namespace bq

#endif // BQ_QUANTIZERS_NBIT_GPTQ_H
