// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/cuda/GpuMixed.h"

#include "quantizers/cuda/GpuRows.h"
#include "runtime/MixedPlaces.h"
#include "runtime/cuda/CudaMixed.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>

using namespace bq;
using namespace bq::gpu;

using at::Tensor;

namespace {

/// A copy on the device, which is there when this returns.
template <typename T>
Tensor onDevice(const Place &place, const std::vector<T> &values, at::ScalarType type) {
  Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::device(place.tensors).dtype(type));
  return tensor.copy_(at::from_blob(const_cast<T *>(values.data()), tensor.sizes(), type));
}

/// Codes that kernels for products can read as words.
Tensor readable(const Tensor &codes) {
  const Tensor padded = withSlack(codes.contiguous());
  return reinterpret_cast<uintptr_t>(padded.const_data_ptr()) % 4 ? withSlack(padded.clone()) : padded;
}

/// The group size of a format, 0 for one group.
int64_t groupOf(const MixedStream &stream) { return stream.groupSize() >= stream.weights() ? 0 : stream.groupSize(); }

} // namespace

GpuMixedWeight::GpuMixedWeight(const char *op, const Place &place, const WeightTensors &weight, const Format &format,
                               int64_t k)
    : kind(format), columns(k), codes(readable(weight.codes)), scales(weight.scales.to(at::kFloat).contiguous()),
      home(place.stream) {
  checkNotCapturing(op, place, "the order of groups of a weight of the format " + format.str());
  const int64_t groups = MixedStream::groupCount(checkWeight(op, weight, format, k) * k, format.group);
  // The widths take four bits a group at most.
  const Tensor head = codes.slice(0, 0, std::min(codes.numel(), MixedStream::headerBytes + (groups + 1) / 2)).cpu();
  const auto *bytes = head.const_data_ptr<uint8_t>();
  stream = take(op, MixedStream::parse(bytes, codes.numel(), format.group));
  order = onDevice(place, stream->order(bytes), at::kInt);
  makeProducts(place, bytes);
}

void GpuMixedWeight::makeProducts(const Place &place, const uint8_t *head) {
  if (!stream->weights() || !verifyPlaces(*stream))
    return;
  const Tensor range = scales.cpu();
  CanonicalWeight view;
  view.format = kind;
  view.n = n();
  view.k = columns;
  view.codes = head;
  view.scales = range.const_data_ptr();
  view.mixed.codeBytes = codes.numel();
  view.mixed.streamRows = view.n;
  const FragmentWeight packed(view);
  weight.emplace(packed, onDevice(place, packed.constantBytes(), at::kByte), /*isPrepacked=*/true, place,
                 codes.const_data_ptr<uint8_t>());
}

Tensor GpuMixedWeight::values(const char *op, const Place &place) const {
  const KernelSpec spec = gpuMixedSpec(KernelSpec::Op::Dequantize, groupOf(*stream));
  Tensor y = at::empty({stream->weights()}, at::device(place.tensors).dtype(at::kFloat));
  if (!y.numel())
    return y;
  if (!hasKernel(op, place, spec)) {
    const BorrowedWeight here = borrow({codes.cpu(), scales.cpu(), std::nullopt, std::nullopt}, kind, columns);
    Tensor values = at::empty({stream->weights()}, at::kFloat);
    check(op, backend(op).dequantize(here.view, values.mutable_data_ptr(), parallelFor));
    return y.copy_(values);
  }
  if (order.is_cuda() && place.stream != home) {
    const c10::impl::VirtualGuardImpl impl(at::kCUDA);
    impl.recordDataPtrOnStream(order.storage().data_ptr(), impl.getStream(place.tensors));
  }
  check(op, dequantizeMixed(kernelFor(op, place, spec), *stream, codes.const_data_ptr<uint8_t>(),
                            order.const_data_ptr<int32_t>(), scales.const_data_ptr<float>(),
                            {0, stream->weights(), 1, 1}, y.mutable_data_ptr<float>(), place.stream));
  return y;
}

Tensor gpu::quantizeMixed(const char *op, const Place &place, const Tensor &weight, const Tensor &widths,
                          const MixedStream &stream, float least, float greatest) {
  checkNotCapturing(op, place, "the order of groups of a weight");
  std::vector<uint8_t> head(static_cast<size_t>(stream.levelsBegin()));
  stream.writeWidths(widths.const_data_ptr<uint8_t>(), head.data());
  const Tensor codes = withSlack(at::empty({stream.bytes()}, at::device(place.tensors).dtype(at::kByte)));
  codes.slice(0, 0, stream.levelsBegin()).copy_(onDevice(place, head, at::kByte));
  if (!stream.weights())
    return codes;
  const Tensor order = onDevice(place, stream.order(head.data()), at::kInt);
  const KernelSpec spec =
      gpuMixedSpec(KernelSpec::Op::Quantize, groupOf(stream), elementType(op, "weight", weight.scalar_type()));
  check(op,
        bq::quantizeMixed(kernelFor(op, place, spec), stream, weight.const_data_ptr(), order.const_data_ptr<int32_t>(),
                          least, greatest, codes.mutable_data_ptr<uint8_t>(), place.stream));
  return codes;
}
