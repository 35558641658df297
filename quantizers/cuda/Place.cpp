// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/cuda/Place.h"

#include "quantizers/Tensors.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <map>
#include <mutex>

using namespace bq;
using namespace bq::gpu;

/// Kernels for rows of a device. Never destroyed, as what they refer to.
static CudaRows &rowsOf(const CudaDevice &device, CudaKernels &kernels) {
  static auto *mutex = new std::mutex;
  static auto *known = new std::map<const CudaDevice *, std::unique_ptr<CudaRows>>;
  std::lock_guard<std::mutex> guard(*mutex);
  std::unique_ptr<CudaRows> &rows = (*known)[&device];
  if (!rows)
    rows = std::make_unique<CudaRows>(device, kernels);
  return *rows;
}

void gpu::checkDriver(const char *op) { take(op, CudaKernels::process()); }

Place gpu::placeOn(const char *op, int ordinal, at::Device tensors, cuda::Stream stream) {
  CudaKernels *kernels = take(op, CudaKernels::process());
  const CudaDevice *device = take(op, kernels->driver().device(ordinal));
  return {tensors, device, kernels, &rowsOf(*device, *kernels), stream};
}

at::Device gpu::withIndex(const char *op, at::Device device) {
  if (!device.is_cuda() || device.has_index())
    return device;
  checkDriver(op);
  return c10::impl::VirtualGuardImpl(at::kCUDA).getDevice();
}

Place gpu::currentPlace(const char *op, at::Device device) {
  checkDriver(op);
  const c10::impl::VirtualGuardImpl impl(at::kCUDA);
  return placeOn(op, device.index(), device, impl.getStream(device).native_handle());
}

bool gpu::isCapturing(const char *op, const Place &place) {
  CurrentContext context(*place.device);
  check(op, context.status);
  return take(op, place.kernels->driver().isCapturing(place.stream));
}

void gpu::checkNotCapturing(const char *op, const Place &place, const std::string &what) {
  TORCH_CHECK(!isCapturing(op, place), op, ": ", what, " is not on device ", place.device->ordinal(),
              ", and cannot be put there while the stream is captured into a graph: call bq::prepare(layer, rows), for "
              "the numbers of rows to come, before the capture");
}
