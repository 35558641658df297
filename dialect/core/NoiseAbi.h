// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The C signatures of the kernels for DiffQ's noise, as dialect/core/KernelAbi.h has them for the others.
#ifndef BQ_DIALECT_CORE_NOISEABI_H
#define BQ_DIALECT_CORE_NOISEABI_H

#include <cstdint>

namespace bq::abi {

/// Elements of a weight that are one task; the last may have fewer. Whole blocks of noise.
constexpr int64_t noiseChunk = 1024;
/// Elements whose noise comes of sixteen counters: element e has number e % 64 / 16 of counter e / 64 * 16 + e % 16.
constexpr int64_t noiseBlock = 64;

/// Tasks are chunks of a weight of `count` elements. `bits`: f32 [groups]; `scale`: one f32, max - min; `counter`: seed
/// (two words), offset (two words). `noisy`: as the weight.
using DiffqNoiseFn = void (*)(const void *weight, const float *bits, const float *scale, const uint32_t *counter,
                              void *noisy, int64_t count, int64_t begin, int64_t end);

/// Tasks as in DiffqNoiseFn. `gradient`: with respect to the noisy weight. `bitsGradient`: f32 [groups], of each group
/// the part of the chunk that it begins in; `heads`: of each chunk the part of its first group, where that begins
/// before it, else 0; `scaleParts`: of each chunk its part of the gradient of `scale`.
using DiffqNoiseGradFn = void (*)(const void *gradient, const float *bits, const float *scale, const uint32_t *counter,
                                  float *bitsGradient, float *heads, float *scaleParts, int64_t count, int64_t begin,
                                  int64_t end);

/// Tasks are chunks of a weight of `count` elements. `lows` and `highs`: of each chunk its least and greatest element;
/// both NaN where it holds one or an infinity.
using WeightRangeFn = void (*)(const void *weight, float *lows, float *highs, int64_t count, int64_t begin,
                               int64_t end);

} // namespace bq::abi

#endif // BQ_DIALECT_CORE_NOISEABI_H
