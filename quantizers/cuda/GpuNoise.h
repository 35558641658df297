// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// DiffQ's noise, its gradient and the range of a weight on a GPU.
#ifndef BQ_QUANTIZERS_CUDA_GPUNOISE_H
#define BQ_QUANTIZERS_CUDA_GPUNOISE_H

#include "quantizers/DiffqNoise.h"
#include "quantizers/cuda/Place.h"
#include "runtime/DiffqNoiseArgs.h"

namespace bq::gpu {

/// bq::weightRange() of a contiguous tensor on the device of `place`, which waits for the stream. Throws as that does,
/// where there is no kernel, and while the stream is captured into a graph.
BQ_TORCH_API WeightRange weightRange(const char *op, const Place &place, const at::Tensor &weight);

/// Backend::diffqNoise on the stream of `place`, which is not waited for; `args` are in the memory of the device.
/// Throws where there is no kernel, or they do not fit.
BQ_TORCH_API void diffqNoise(const char *op, const Place &place, const DiffqNoiseArgs &args);

/// Backend::diffqNoiseGrad in the same way: `bitsGradient`, float [groups], takes the place of both results in `args`
/// and is written. Returns the gradient of the scale, double [], on the device.
BQ_TORCH_API at::Tensor diffqNoiseGrad(const char *op, const Place &place, DiffqNoiseGradArgs args,
                                       const at::Tensor &bitsGradient);

} // namespace bq::gpu

#endif // BQ_QUANTIZERS_CUDA_GPUNOISE_H
