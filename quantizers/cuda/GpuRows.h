// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a GPU does row by row on canonical weights: embedding, dequantize, quantize; and fake
/// quantization.
#ifndef BQ_QUANTIZERS_CUDA_GPUROWS_H
#define BQ_QUANTIZERS_CUDA_GPUROWS_H

#include "quantizers/Tensors.h"
#include "quantizers/cuda/Place.h"

namespace bq::gpu {

/// Whether there is the kernel of a spec of CudaRows; where not, LibTorch takes its place, and a warning has said so
/// once. Throws for errors that are the caller's to see.
BQ_TORCH_API bool hasKernel(const char *op, const Place &place, const KernelSpec &spec);

/// That kernel. Throws where there is none.
const LoadedCudaKernel &kernelFor(const char *op, const Place &place, const KernelSpec &spec);

/// The weight [n, k] that canonical tensors on the device of `place` stand for, in the type of the scales; they have no
/// group index. Where there is no kernel LibTorch decodes it, after one warning.
BQ_TORCH_API at::Tensor dequantize(const char *op, const Place &place, const WeightTensors &weight,
                                   const Format &format, int64_t k);

/// y[i, :] = W[indices[i], :] for int64 indices [count], contiguous; y has the type of the scales. Indices out of range
/// are an assertion of the device, which nothing waits for. Falls back as dequantize().
BQ_TORCH_API void embedding(const char *op, const Place &place, const at::Tensor &indices, const WeightTensors &weight,
                            const Format &format, int64_t k, at::Tensor y);

/// Backend::quantize on the stream of `place`, which is not waited for. Throws where there is no kernel.
BQ_TORCH_API void quantize(const char *op, const Place &place, const QuantizeArgs &args);

/// Backend::fakeQuantize on the stream of `place`, which is not waited for. Throws where there is no kernel.
BQ_TORCH_API void fakeQuantize(const char *op, const Place &place, const FakeQuantizeArgs &args);
/// Backend::fakeQuantizeGrad as fakeQuantize(); returns what `scaleGradient`, which is not used, would hold: float
/// [rows], on the device.
BQ_TORCH_API at::Tensor fakeQuantizeGrad(const char *op, const Place &place, const FakeQuantizeGradArgs &args);

} // namespace bq::gpu

#endif // BQ_QUANTIZERS_CUDA_GPUROWS_H
