// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Weights in the format `mixed`: groups of 1 to 15 bits each, between one least and one greatest value (DiffQ).
#ifndef BQ_QUANTIZERS_MIXED_H
#define BQ_QUANTIZERS_MIXED_H

#include "quantizers/Convert.h"
#include "quantizers/Export.h"
#include "quantizers/PackedWeight.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bq {

/// A weight in canonical form. Groups are `groupSize` weights one after the other in the weight's own logical order
/// (for a convolution [O, I / groups, kh, kw]), whatever its strides; the last group may have fewer.
struct BQ_TORCH_API MixedWeight {
  at::Tensor codes;           ///< uint8, one dimension: the stream of runtime/MixedStream.h
  at::Tensor scales;          ///< float [2]: the least and the greatest value
  std::vector<int64_t> shape; ///< Of the weight, of any number of dimensions.
  int64_t groupSize = 0;      ///< 0: all weights are one group.

  /// `mixed:g<G>`, or `mixed` for one group.
  std::string format() const;
  /// Bytes of the canonical tensors.
  int64_t bytes() const;
};

/// What a canonical weight holds.
struct BQ_TORCH_API MixedLevels {
  at::Tensor levels; ///< int16 [groups, G], zeros behind a short last group; for one group [1, number of weights]
  at::Tensor bits;   ///< uint8 [groups]
  double min = 0, max = 0;
};

/// `levels`: int16 or uint8 [groups, G], each below 2^bits of its group, on the CPU; what a short last group does not
/// have is not read. `bits`: uint8 [groups], 1 to 15. A group of all weights is `levels` of one row and as many columns
/// as weights. The value of a level is min + (max - min) * level / (2^bits - 1). Throws, naming the group, where
/// something does not fit.
BQ_TORCH_API MixedWeight packMixed(const at::Tensor &levels, const at::Tensor &bits, double min, double max,
                                   at::IntArrayRef shape);
/// The inverse, on the CPU. Throws where the stream is damaged, or does not fit the shape.
BQ_TORCH_API MixedLevels unpackMixed(const MixedWeight &weight);

/// Rounds a weight of any shape, of type float, half or bfloat16, to groups of these widths (uint8 [groups]):
///
///   level = rint(((w - min) / (max - min)) / (1 / (2^bits - 1)))
///
/// in float, in this order, with the least and greatest element of the whole weight. A weight whose elements are all
/// equal gets levels of 0. `groupSize` 0: all are one group. The result is where the weight is: on a CUDA device codes
/// are the same bytes; the call waits for the range of the weight, and `bits` come to the host. Throws for NaN and
/// infinity, and on a CUDA device where there is no kernel.
BQ_TORCH_API MixedWeight quantizeMixed(const at::Tensor &weight, const at::Tensor &bits, int64_t groupSize);

/// The weight as layers hold it, of shape [N, K] or [O, I / groups, kh, kw].
BQ_TORCH_API c10::intrusive_ptr<PackedWeight> packedWeight(const MixedWeight &weight);
/// What convert() needs to give these layers of a model, by name, these weights, and leave all others as they are.
BQ_TORCH_API ConvertOptions mixedConversion(const std::map<std::string, MixedWeight> &weights,
                                            Compute compute = Compute::F32);

/// The weight, float: level * (1 / (2^bits - 1)) * (max - min) + min, in float, in this order; where the
/// codes are. Widths of groups on a CUDA device come to the host.
BQ_TORCH_API at::Tensor dequantizeMixed(const MixedWeight &weight);

} // namespace bq

#endif // BQ_QUANTIZERS_MIXED_H
