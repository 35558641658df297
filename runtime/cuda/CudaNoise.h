// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// DiffQ's noise, its gradient and the range of a weight on a GPU.
#ifndef BQ_RUNTIME_CUDA_CUDANOISE_H
#define BQ_RUNTIME_CUDA_CUDANOISE_H

#include "runtime/DiffqNoiseArgs.h"
#include "runtime/cuda/CudaKernel.h"

namespace bq {

/// Backend::diffqNoise on `stream`, which is not waited for. Verified arguments of one element or more, in the memory
/// of the device; `kernel`: that of their spec. What fails is the launch. So the next ones too.
Status runDiffqNoise(const LoadedCudaKernel &kernel, const DiffqNoiseArgs &args, cuda::Stream stream);
/// What comes before DiffqNoiseGradArgs::finish(): `heads` and `scaleParts`, f32 [chunks()] of the device, get what it
/// takes. args.scaleGradient is not written.
Status runDiffqNoiseGrad(const LoadedCudaKernel &kernel, const DiffqNoiseGradArgs &args, float *heads,
                         float *scaleParts, cuda::Stream stream);
/// What comes before WeightRangeArgs::finish(): `lows` and `highs`, f32 [chunks()] of the device, get what it takes.
/// The results are not written.
Status runWeightRange(const LoadedCudaKernel &kernel, const WeightRangeArgs &args, float *lows, float *highs,
                      cuda::Stream stream);

} // namespace bq

#endif // BQ_RUNTIME_CUDA_CUDANOISE_H
