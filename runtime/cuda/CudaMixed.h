// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Codes of the format `mixed` on a GPU.
#ifndef BQ_RUNTIME_CUDA_CUDAMIXED_H
#define BQ_RUNTIME_CUDA_CUDAMIXED_H

#include "runtime/GpuMixed.h"
#include "runtime/cuda/CudaKernel.h"

namespace bq {

/// launchMixedQuantize() and launchMixedDequantize() on `to`, which is not waited for. `kernel`: that of
/// gpuMixedSpec(). What fails is the launch.
Status quantizeMixed(const LoadedCudaKernel &kernel, const MixedStream &stream, const void *weight,
                     const int32_t *order, float least, float greatest, uint8_t *codes, cuda::Stream to);
Status dequantizeMixed(const LoadedCudaKernel &kernel, const uint8_t *codes, const float *scales,
                       const uint32_t *places, const abi::MixedIndex *index, const MixedElements &elements, float *y,
                       cuda::Stream to);

} // namespace bq

#endif // BQ_RUNTIME_CUDA_CUDAMIXED_H
