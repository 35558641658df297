// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/cuda/GpuMixed.h"

#include "quantizers/cuda/GpuRows.h"
#include "runtime/MixedPlaces.h"
#include "runtime/cuda/CudaMixed.h"

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
                               int64_t k, const WeightLayout &layout)
    : kind(format), columns(k), codes(readable(weight.codes)), scales(weight.scales.to(at::kFloat).contiguous()) {
  checkNotCapturing(op, place, "the places of groups of a weight of the format " + format.str());
  const int64_t groups = MixedStream::groupCount(checkWeight(op, weight, format, k) * k, format.group);
  // The widths take four bits a group at most.
  const Tensor head = codes.slice(0, 0, std::min(codes.numel(), MixedStream::headerBytes + (groups + 1) / 2)).cpu();
  const auto *bytes = head.const_data_ptr<uint8_t>();
  stream = take(op, MixedStream::parse(bytes, codes.numel(), format.group));
  makeProducts(place, bytes, layout);
}

void GpuMixedWeight::makeProducts(const Place &place, const uint8_t *head, const WeightLayout &layout) {
  if (!stream->weights() || !verifyPlaces(*stream))
    return;
  const Tensor range = scales.cpu();
  CanonicalWeight view;
  view.format = kind;
  view.n = n() / layout.groups;
  view.k = columns;
  view.codes = head;
  view.scales = range.const_data_ptr();
  view.mixed.codeBytes = codes.numel();
  view.mixed.streamRows = n();
  view.mixed.taps = layout.taps;
  const FragmentWeight packed(view, layout.groups);
  memory = onDevice(place, packed.constantBytes(), at::kByte);
  parts = packed.group(0);
  for (int64_t i = 0; i < layout.groups; ++i)
    groups.push_back(
        std::make_shared<const GpuWeight>(i ? packed.group(i) : packed, memory, /*isPrepacked=*/true, place, codes));
}

Tensor GpuMixedWeight::values(const char *op, const Place &place) const {
  const KernelSpec spec = gpuMixedSpec(KernelSpec::Op::Dequantize, groupOf(*stream));
  Tensor y = at::empty({stream->weights()}, at::device(place.tensors).dtype(at::kFloat));
  if (!y.numel())
    return y;
  const Status counts = verifyPlaces(*stream);
  if (counts ? !hasKernel(op, place, spec) : fallsBack(spec, counts.error())) {
    const BorrowedWeight here = borrow({codes.cpu(), scales.cpu(), std::nullopt, std::nullopt}, kind, columns);
    Tensor values = at::empty({stream->weights()}, at::kFloat);
    check(op, backend(op).dequantize(here.view, values.mutable_data_ptr(), parallelFor));
    return y.copy_(values);
  }
  groups.front()->use(op, place);
  const uint8_t *base = memory.const_data_ptr<uint8_t>();
  check(op, dequantizeMixed(kernelFor(op, place, spec), codes.const_data_ptr<uint8_t>(),
                            reinterpret_cast<const float *>(base + parts->scales.offset),
                            reinterpret_cast<const uint32_t *>(base + parts->zeros.offset),
                            reinterpret_cast<const abi::MixedIndex *>(base + parts->table.offset),
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
