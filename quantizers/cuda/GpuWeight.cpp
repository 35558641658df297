// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/cuda/GpuWeight.h"

#include "quantizers/cuda/GpuMixed.h"
#include "quantizers/cuda/GpuRows.h"

#include <c10/core/impl/VirtualGuardImpl.h>

using namespace bq;
using namespace bq::gpu;

GpuWeight::GpuWeight(const FragmentWeight &packed, at::Tensor tensor, bool isPrepacked, const Place &place,
                     at::Tensor mixedCodes)
    : hasContent(isPrepacked), ownBytes(packed.bytes()), memory(std::move(tensor)), codes(std::move(mixedCodes)),
      home(place.stream), weight(packed, *place.device, memory.const_data_ptr(), *place.kernels,
                                 codes.defined() ? codes.const_data_ptr<uint8_t>() : nullptr) {
  if (memory.is_cuda())
    homeStream = c10::impl::VirtualGuardImpl(at::kCUDA).getStream(place.tensors);
}

void GpuWeight::use(const char *op, const Place &place) const {
  if (place.stream == home || !homeStream)
    return;
  if (!isWritten) {
    checkNotCapturing(op, place, "a weight as its kernels read it");
    finish();
  }
  const c10::impl::VirtualGuardImpl impl(at::kCUDA);
  for (const at::Tensor &tensor : {memory, codes})
    if (tensor.defined())
      impl.recordDataPtrOnStream(tensor.storage().data_ptr(), impl.getStream(place.tensors));
}

void GpuWeight::finish() const {
  if (homeStream && !isWritten)
    homeStream->synchronize();
  isWritten = true;
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
  if (format.isMixed())
    return std::make_shared<GpuMixedWeight>(op, place, weight.to(place.tensors), format, k);
  // The host sees what is small: which columns a group has, and a table.
  WeightTensors tensors = weight.to(place.tensors);
  if (tensors.groupIndex && tensors.groupIndex->defined())
    tensors.groupIndex = tensors.groupIndex->to(at::kCPU);
  if (format.kind == Format::Kind::Lut)
    tensors.zeros = tensors.zeros->to(at::kCPU);
  const BorrowedWeight borrowed = borrow(tensors, format, k);
  check(op, borrowed.view.verify());

  const FragmentWeight packed(borrowed.view);
  at::Tensor memory = at::empty({packed.bytes()}, at::device(place.tensors).dtype(at::kByte));
  if (const FragmentWeight::Part &constants = packed.constants)
    memory.slice(0, constants.offset, constants.offset + constants.bytes)
        .copy_(at::from_blob(const_cast<uint8_t *>(packed.constantBytes().data()), {constants.bytes}, at::kByte));
  const bool isPrepacked = !packed.n() || hasKernel(op, place, packed.prepackSpec());
  if (isPrepacked)
    check(op, place.rows->prepack(borrowed.view, packed, memory.mutable_data_ptr(), place.stream));
  return std::make_shared<GpuWeight>(packed, std::move(memory), isPrepacked, place);
}
