// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A weight with the noise that rounding it to some number of bits would cause, differentiable with respect to both.
#ifndef BQ_QUANTIZERS_DIFFQNOISE_H
#define BQ_QUANTIZERS_DIFFQNOISE_H

#include "dialect/core/Noise.h"
#include "quantizers/Export.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <tuple>

namespace bq {

/// noisy = weight + (max(weight) - min(weight)) / (2^bits[g] - 1) * n, in the weight's type, shape and device, where g
/// is the element's group and n its noise. `weight` is float, half or bfloat16, contiguous, of any shape, and finite.
/// `bits` is float [groups], each above 0: groups of `groupSize` elements in memory order, the last perhaps shorter; or
/// one group for the whole tensor where groupSize is 0.
///
/// The noise is a function of seed, offset and the element's index alone, by Philox4x32: seed is the key, offset the
/// subsequence, and the random integers are those of at::Philox4_32 for 10 `rounds`; 7 and 10 are accepted. It is the
/// same for any number of threads and is made again, not kept, for the gradient.
///
/// Differentiable once with respect to weight, through max and min too (the gradient goes to the first of equal ones),
/// and to bits. Throws where an argument does not fit, and for a weight with NaN or infinity. On a CUDA device the call
/// waits for the range of the weight, so that it cannot be captured into a graph; the gradient waits for nothing.
BQ_TORCH_API at::Tensor diffqNoise(const at::Tensor &weight, const at::Tensor &bits, int64_t groupSize, NoiseKind kind,
                                   uint64_t seed, uint64_t offset, int64_t rounds = 7);

/// diffqNoise() without a gradient.
at::Tensor diffqNoiseForward(const at::Tensor &weight, const at::Tensor &bits, int64_t groupSize, NoiseKind kind,
                             uint64_t seed, uint64_t offset, int64_t rounds);
/// Its gradients with respect to weight and bits, from that of the result; the range of the weight is found again.
std::tuple<at::Tensor, at::Tensor> diffqNoiseBackward(const at::Tensor &gradient, const at::Tensor &weight,
                                                      const at::Tensor &bits, int64_t groupSize, NoiseKind kind,
                                                      uint64_t seed, uint64_t offset, int64_t rounds);
/// Checks of the arguments of both that read no elements; sizes may be symbolic.
void checkDiffqNoise(const at::Tensor &weight, const at::Tensor &bits, int64_t groupSize, int64_t rounds);
void checkDiffqNoiseBackward(const at::Tensor &gradient, const at::Tensor &weight, const at::Tensor &bits,
                             int64_t groupSize, int64_t rounds);

/// The least and the greatest element of a weight, and where in memory order the first such element is.
struct WeightRange {
  float low = 0, high = 0;
  int64_t lowAt = 0, highAt = 0;
};
/// One read of a weight of type float, half or bfloat16, of one element or more. Throws, saying where, for NaN and
/// infinity. On a CUDA device the call waits for the result.
BQ_TORCH_API WeightRange weightRange(const at::Tensor &weight);

} // namespace bq

#endif // BQ_QUANTIZERS_DIFFQNOISE_H
