// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The signatures of generated kernels for GPUs that make DiffQ's noise. As in CudaAbi.h pointers are to memory of the
/// device. A row of the launch is a chunk of abi::noiseChunk elements, which one block of threads does.
#ifndef BQ_DIALECT_CORE_CUDANOISEABI_H
#define BQ_DIALECT_CORE_CUDANOISEABI_H

#include <cstdint>

namespace bq::cuda {

/// As abi::DiffqNoiseFn; the scale, and the words of seed and offset, come by value.
using DiffqNoiseFn = void (*)(const void *weight, const float *bits, float scale, int32_t seedLow, int32_t seedHigh,
                              int32_t offsetLow, int32_t offsetHigh, void *noisy, int64_t count);

/// As abi::DiffqNoiseGradFn in the same way.
using DiffqNoiseGradFn = void (*)(const void *gradient, const float *bits, float scale, int32_t seedLow,
                                  int32_t seedHigh, int32_t offsetLow, int32_t offsetHigh, float *bitsGradient,
                                  float *heads, float *scaleParts, int64_t count);

/// As abi::WeightRangeFn.
using WeightRangeFn = void (*)(const void *weight, float *lows, float *highs, int64_t count);

} // namespace bq::cuda

#endif // BQ_DIALECT_CORE_CUDANOISEABI_H
