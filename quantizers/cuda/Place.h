// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Where work for a GPU is put: a device, and a stream on it.
#ifndef BQ_QUANTIZERS_CUDA_PLACE_H
#define BQ_QUANTIZERS_CUDA_PLACE_H

#include "quantizers/Export.h"
#include "runtime/cuda/CudaRows.h"

#include <ATen/ATen.h>

namespace bq::gpu {

/// For one call. `tensors` is the device of its tensors as LibTorch names it; tests that run kernels on the host's
/// memory have the CPU there.
struct Place {
  at::Device tensors;
  const CudaDevice *device;
  CudaKernels *kernels;
  CudaRows *rows;
  cuda::Stream stream;
};

/// Throws, in one sentence, where there is no driver or no GPU.
void checkDriver(const char *op);
/// The device that LibTorch takes `device` for: "cuda" is the current one. Throws as checkDriver().
at::Device withIndex(const char *op, at::Device device);
/// LibTorch's current stream on a CUDA device. Throws as checkDriver().
Place currentPlace(const char *op, at::Device device);
/// A device by its number, with tensors on `tensors`. Throws as checkDriver().
BQ_TORCH_API Place placeOn(const char *op, int ordinal, at::Device tensors, cuda::Stream stream);

/// Whether the stream is being captured into a graph.
bool isCapturing(const char *op, const Place &place);
/// Throws while the stream is being captured: `what` must be on the device before; the text names bq::prepare.
void checkNotCapturing(const char *op, const Place &place, const std::string &what);

} // namespace bq::gpu

#endif // BQ_QUANTIZERS_CUDA_PLACE_H
