// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cuda/CudaMixed.h"

using namespace bq;

/// What GpuMixed.h launches with.
static auto launcher(const LoadedCudaKernel &kernel, cuda::Stream stream) {
  return [&kernel, stream](auto function, int64_t rows, auto... arguments) {
    return kernel.launch<decltype(function)>(0, rows, stream, arguments...);
  };
}

Status bq::quantizeMixed(const LoadedCudaKernel &kernel, const MixedStream &stream, const void *weight,
                         const int32_t *order, float least, float greatest, uint8_t *codes, cuda::Stream to) {
  return launchMixedQuantize(stream, weight, order, least, greatest, codes, launcher(kernel, to));
}

Status bq::dequantizeMixed(const LoadedCudaKernel &kernel, const uint8_t *codes, const float *scales,
                           const uint32_t *places, const abi::MixedIndex *index, const MixedElements &elements,
                           float *y, cuda::Stream to) {
  return launchMixedDequantize(codes, scales, places, index, elements, y, launcher(kernel, to));
}
