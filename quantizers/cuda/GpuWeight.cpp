// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/cuda/GpuWeight.h"

#include <c10/core/impl/VirtualGuardImpl.h>

using namespace bq;
using namespace bq::gpu;

GpuWeight::GpuWeight(const FragmentWeight &packed, at::Tensor tensor, const Place &place)
    : memory(std::move(tensor)), home(place.stream),
      weight(packed, *place.device, memory.const_data_ptr(), *place.kernels) {}

void GpuWeight::use(const Place &place) const {
  if (place.stream == home || !memory.is_cuda())
    return;
  const c10::impl::VirtualGuardImpl impl(at::kCUDA);
  impl.recordDataPtrOnStream(memory.storage().data_ptr(), impl.getStream(place.tensors));
}

at::Tensor GpuWeight::counters(const char *op, const Place &place, int64_t bytes) const {
  auto make = [&] { return at::zeros({bytes}, at::device(place.tensors).dtype(at::kByte)); };
  if (isCapturing(op, place))
    return make();
  std::lock_guard<std::mutex> guard(mutex);
  for (auto &[stream, tensor] : zeros)
    if (stream == place.stream) {
      if (tensor.numel() < bytes)
        tensor = make();
      return tensor;
    }
  return zeros.emplace_back(place.stream, make()).second;
}

std::shared_ptr<const PrepackedWeight> gpu::prepack(const char *op, const Place &place, const WeightTensors &weight,
                                                    const Format &format, int64_t k) {
  checkNotCapturing(op, place, "a weight as its kernels read it");
  BorrowedWeight borrowed = borrow(weight.to(at::kCPU), format, k);
  check(op, borrowed.view.verify());
  const FragmentWeight packed = take(op, FragmentWeight::pack(borrowed.view, parallelFor));
  at::Tensor memory = at::empty({packed.bytes()}, at::device(place.tensors).dtype(at::kByte));
  if (packed.bytes())
    memory.copy_(at::from_blob(const_cast<uint8_t *>(packed.data()), {packed.bytes()}, at::kByte));
  return std::make_shared<GpuWeight>(packed, std::move(memory), place);
}
