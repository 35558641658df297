// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cuda/CudaNoise.h"

#include "runtime/GpuNoise.h"

using namespace bq;

/// What GpuNoise.h launches with.
static auto launcher(const LoadedCudaKernel &kernel, cuda::Stream stream) {
  return [&kernel, stream](auto function, int64_t rows, auto... arguments) {
    return kernel.launch<decltype(function)>(0, rows, stream, arguments...);
  };
}

Status bq::runDiffqNoise(const LoadedCudaKernel &kernel, const DiffqNoiseArgs &args, cuda::Stream stream) {
  return launchDiffqNoise(args, launcher(kernel, stream));
}

Status bq::runDiffqNoiseGrad(const LoadedCudaKernel &kernel, const DiffqNoiseGradArgs &args, float *heads,
                             float *scaleParts, cuda::Stream stream) {
  return launchDiffqNoiseGrad(args, heads, scaleParts, launcher(kernel, stream));
}

Status bq::runWeightRange(const LoadedCudaKernel &kernel, const WeightRangeArgs &args, float *lows, float *highs,
                          cuda::Stream stream) {
  return launchWeightRange(args, lows, highs, launcher(kernel, stream));
}
