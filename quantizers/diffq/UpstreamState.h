// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A quantized weight as the packed state of DiffQ 0.2.4 has it.
#ifndef BQ_QUANTIZERS_DIFFQ_UPSTREAMSTATE_H
#define BQ_QUANTIZERS_DIFFQ_UPSTREAMSTATE_H

#include "quantizers/Mixed.h"

#include <vector>

namespace bq::diffq {

/// How upstream orders bits: packLines() or packStrided().
enum class PlaneOrder { Lines, Strided };

struct BQ_TORCH_API UpstreamWeight {
  /// [b - 1]: the levels of all groups of b bits, packed into b planes; not defined where there is none. Upstream has
  /// 14 of them and loses groups of 15 bits; the 15th is ours.
  std::vector<at::Tensor> levels;
  at::Tensor bits; ///< Less min_bits, packed.
  double min = 0, max = 0;
};

/// Throws where a group has fewer bits than `minBits`, which upstream's form cannot hold.
BQ_TORCH_API UpstreamWeight toUpstream(const MixedWeight &weight, int64_t minBits, PlaneOrder order,
                                       at::ScalarType words = at::kShort);
/// Throws where planes are missing or do not fit `shape` and `groupSize` (0: one group).
BQ_TORCH_API MixedWeight fromUpstream(const UpstreamWeight &weight, int64_t minBits, PlaneOrder order,
                                      at::IntArrayRef shape, int64_t groupSize);

} // namespace bq::diffq

#endif // BQ_QUANTIZERS_DIFFQ_UPSTREAMSTATE_H
