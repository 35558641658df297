// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Steps of optimizers on a GPU.
#ifndef BQ_RUNTIME_CUDA_CUDAUPDATE_H
#define BQ_RUNTIME_CUDA_CUDAUPDATE_H

#include "runtime/GpuUpdate.h"
#include "runtime/cuda/CudaKernel.h"

namespace bq {

/// Where a gradient that is not finite is reported, without anybody waiting for it.
struct GradientReport {
  int64_t *found = nullptr; ///< In the memory of the device: while this is not zero, steps change nothing.
  int64_t *host = nullptr;  ///< Gets the same; memory of the host that the device can write.
  int64_t ticket = 0;       ///< What the place in the gradient is added to; above zero.
};

/// `kernel`: that of gpuUpdateSpec(args), or of any step on gradients of this type.
Status checkGradient(const LoadedCudaKernel &kernel, const UpdateArgs &args, const GradientReport &report,
                     cuda::Stream stream);

/// Backend::update on `stream`, which is not waited for, without a look at the gradient. Verified arguments, in the
/// memory of the device. `kernel`: that of gpuUpdateSpec(args). `found`: as GradientReport has it. `memory`:
/// updateMemoryBytes() of the device, aligned to 16 bytes. What fails is the launch.
Status runUpdate(const LoadedCudaKernel &kernel, const UpdateArgs &args, const int64_t *found, void *memory,
                 cuda::Stream stream);

} // namespace bq

#endif // BQ_RUNTIME_CUDA_CUDAUPDATE_H
