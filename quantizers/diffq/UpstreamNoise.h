// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Training noise as DiffQ 0.2.4 makes it, from random numbers that are given, by LibTorch's operators.
#ifndef BQ_QUANTIZERS_DIFFQ_UPSTREAMNOISE_H
#define BQ_QUANTIZERS_DIFFQ_UPSTREAMNOISE_H

#include "dialect/core/Noise.h"
#include "quantizers/Export.h"

#include <ATen/ATen.h>

#include <cstdint>

namespace bq::diffq {

/// Groups of `groupSize` elements, the last perhaps shorter; one group of all where groupSize is 0.
inline int64_t groupCount(int64_t elements, int64_t groupSize) {
  return groupSize == 0 ? 1 : (elements + groupSize - 1) / groupSize;
}

/// weight + (max - min) / (2^bits - 1) n, in float, then in the weight's type; differentiable with respect to weight,
/// through max and min too (the gradient is shared among equal ones), and bits, float [groups]. `random`, float with
/// the weight's number of elements, is from N(0, 1) for Gaussian, n is half of it; or from [0, 1) for Uniform, n is it
/// less 1/2.
BQ_TORCH_API at::Tensor addNoise(const at::Tensor &weight, const at::Tensor &bits, int64_t groupSize, NoiseKind kind,
                                 const at::Tensor &random);

} // namespace bq::diffq

#endif // BQ_QUANTIZERS_DIFFQ_UPSTREAMNOISE_H
