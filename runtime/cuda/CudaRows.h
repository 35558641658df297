// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a GPU does row by row on canonical weights: embedding, dequantize, quantize; and fake
/// quantization.
#ifndef BQ_RUNTIME_CUDA_CUDAROWS_H
#define BQ_RUNTIME_CUDA_CUDAROWS_H

#include "runtime/Backend.h"
#include "runtime/KernelTable.h"
#include "runtime/RowKey.h"
#include "runtime/cuda/CudaKernels.h"
#include "runtime/cuda/FragmentWeight.h"

namespace bq {

/// A canonical weight in the memory of a GPU, its columns in the order of groups. Borrowed until the stream is done.
struct CudaRowWeight {
  Format format;
  int64_t n = 0, k = 0;
  const uint8_t *codes = nullptr; ///< [n, format.rowBytes(k)]
  const void *scales = nullptr;   ///< [n, groupCount(k)]; for sign [n]
  ElementType scaleType = ElementType::F32;
  const void *zeros = nullptr; ///< [n, groupCount(k)] of zeroType
  ZeroPointType zeroType = ZeroPointType::None;
  const float *table = nullptr;       ///< [16] for nf4, fp4 and lut, shorter ones repeated
  const float *columnScale = nullptr; ///< f32 [k] for sign
};

/// The calls of Backend of these names on `stream` of a device, which is not waited for. Kernels are found in
/// nanoseconds after the first call of their kind; errors are those of CudaKernels::get and of launches. Usable from
/// any thread.
class CudaRows {
public:
  /// Both outlive this.
  CudaRows(const CudaDevice &device, CudaKernels &kernels) : device(device), kernels(kernels) {}

  /// Indices, in the memory of the device, must be valid rows: nobody checks them.
  Status embedding(const CudaRowWeight &weight, const int64_t *indices, int64_t count, void *y, cuda::Stream stream);
  Status dequantize(const CudaRowWeight &weight, void *y, cuda::Stream stream);
  Status quantize(const QuantizeArgs &args, cuda::Stream stream);
  /// Writes what `packed` describes to `memory`, where its constants are already. Of the verified weight that it was
  /// made from, `weight` has codes, scales and zero points in the memory of the device.
  Status prepack(const CanonicalWeight &weight, const FragmentWeight &packed, void *memory, cuda::Stream stream);
  /// `args` in the memory of the device.
  Status fakeQuantize(const FakeQuantizeArgs &args, cuda::Stream stream);
  /// `args` in the memory of the device, but for scaleGradient, which is not written: `partials`, f32 [rows,
  /// tasksPerRow()], get what each task adds to it.
  Status fakeQuantizeGrad(const FakeQuantizeGradArgs &args, float *partials, cuda::Stream stream);

  /// The kernel of a spec, which the calls ask for too: what fails after this has succeeded is the launch. Errors are
  /// those of CudaKernels::get; lasting ones are remembered, by their first line.
  Expected<const LoadedCudaKernel *> kernel(const KernelSpec &spec, cuda::Stream stream);

private:
  /// A kernel, or why there is none.
  using Known = Expected<const LoadedCudaKernel *>;

  const CudaDevice &device;
  CudaKernels &kernels;
  KernelTable<RowKey, Known> known;
};

} // namespace bq

#endif // BQ_RUNTIME_CUDA_CUDAROWS_H
