// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Bit widths as unbounded numbers that an optimizer can learn.
#ifndef BQ_QUANTIZERS_DIFFQ_BITLOGITS_H
#define BQ_QUANTIZERS_DIFFQ_BITLOGITS_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

namespace bq::diffq {

/// With t = sigmoid(logit): bits = minBits + t (maxBits - minBits), or, byNoise, the noise scale s = 1 / (2^bits - 1)
/// is exp(t ln s(maxBits) + (1 - t) ln s(minBits)). Bits never leave (minBits, maxBits).
struct BQ_TORCH_API BitLogits {
  double minBits = 2, maxBits = 15;
  bool byNoise = false;

  /// Of `bits`, which lie between the bounds.
  double logitOf(double bits) const;
  /// Differentiable; in the type and the shape of the logits.
  at::Tensor bits(const at::Tensor &logits) const;
  /// 1 / (2^bits - 1), differentiable.
  at::Tensor noiseScale(const at::Tensor &logits) const;
};

} // namespace bq::diffq

#endif // BQ_QUANTIZERS_DIFFQ_BITLOGITS_H
