// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/PackedWeight.h"

#include "quantizers/Dispatch.h"
#include "quantizers/Quantize.h"
#include "quantizers/WeightMemo.h"
#include "runtime/Fork.h"

using namespace bq;

static constexpr const char *className = "torch.classes.bq.PackedWeight";

static WeightTensors tensorsOf(const PackedWeight &weight) {
  return {weight.codes(), weight.scales(), weight.zeros(), weight.groupIndex()};
}

PackedWeight::PackedWeight(at::Tensor codes, at::Tensor scales, std::optional<at::Tensor> zeros, const Format &format,
                           std::vector<int64_t> shape, std::optional<at::Tensor> groupIndex)
    : weightFormat(format), weightShape(std::move(shape)), codesTensor(std::move(codes)),
      scalesTensor(std::move(scales)), zerosTensor(std::move(zeros)), groupIndexTensor(std::move(groupIndex)) {
  TORCH_CHECK(weightShape.size() == 2, className, ": expected a shape [N, K], got ", shapeText(weightShape));
  int64_t n = checkWeight(className, tensorsOf(*this), weightFormat, weightShape[1]);
  TORCH_CHECK(n == weightShape[0], className, ": 'codes' ", shapeText(codesTensor.sizes()), " do not fit the shape ",
              shapeText(weightShape));
  // Equal weights have one saved form.
  if (zerosTensor && zerosTensor->defined() && zerosTensor->numel() == 0 && !weightFormat.hasZeroPoints())
    zerosTensor.reset();
}

PackedWeight::~PackedWeight() = default;

c10::intrusive_ptr<PackedWeight> PackedWeight::quantize(const at::Tensor &weight, const Format &format) {
  TORCH_CHECK(weight.dim() == 2, className, ": expected a weight [N, K], got ", shapeText(weight.sizes()));
  auto [codes, scales, zeros] = bq::quantize(weight, format);
  return c10::make_intrusive<PackedWeight>(codes, scales, zeros, format, weight.sizes().vec());
}

PackedWeight::State PackedWeight::state() const {
  return {1, weightFormat.str(), weightShape, codesTensor, scalesTensor, zerosTensor, groupIndexTensor};
}

c10::intrusive_ptr<PackedWeight> PackedWeight::fromState(State state) {
  auto &[version, format, shape, codes, scales, zeros, groupIndex] = state;
  TORCH_CHECK(version == 1, className, ": saved in version ", version, ", this build of bq reads version 1");
  return c10::make_intrusive<PackedWeight>(codes, scales, zeros, take(className, Format::parse(format)), shape,
                                           groupIndex);
}

static c10::intrusive_ptr<PackedWeight> pointerTo(const PackedWeight *weight) {
  return c10::intrusive_ptr<PackedWeight>::reclaim_copy(const_cast<PackedWeight *>(weight));
}

at::Tensor PackedWeight::linear(const at::Tensor &x, const std::optional<at::Tensor> &bias, Compute compute,
                                Activation activation) const {
  return dispatch::linearPacked(x, pointerTo(this), bias, str(compute), str(activation));
}

at::Tensor PackedWeight::embedding(const at::Tensor &indices) const {
  return dispatch::embeddingPacked(indices, pointerTo(this));
}

at::Tensor PackedWeight::dequantize(std::optional<at::ScalarType> type) const {
  return dispatch::dequantize(codesTensor, scalesTensor, zerosTensor, weightFormat, weightShape, groupIndexTensor,
                              type);
}

int64_t PackedWeight::bytes() const {
  int64_t sum = 0;
  for (const at::Tensor &tensor : tensorsOf(*this).all())
    sum += static_cast<int64_t>(tensor.nbytes());
  return sum;
}

int64_t PackedWeight::residentBytes() const {
  std::lock_guard<std::mutex> lock(forkSafeMutex());
  return bytes() + (prepackedForm ? prepackedForm->bytes() : 0);
}

std::shared_ptr<const PrepackedWeight> PackedWeight::prepacked() const {
  WeightTensors tensors = tensorsOf(*this);
  auto isCurrent = [&] { return prepackedForm && (!stamp || stamp->matches(tensors, weightFormat, weightShape[1])); };
  {
    std::lock_guard<std::mutex> lock(forkSafeMutex());
    if (isCurrent())
      return prepackedForm;
  }
  // Stamped before it is read: a change made meanwhile is noticed at the next call. Of threads that come here at once
  // each prepacks, rather than wait for a lock that a fork would leave behind; one result stays.
  std::optional<WeightStamp> current = WeightStamp::of(tensors, weightFormat, weightShape[1]);
  std::shared_ptr<const PrepackedWeight> made = prepack(className, tensors, weightFormat, weightShape[1]), old;
  std::lock_guard<std::mutex> lock(forkSafeMutex());
  if (!isCurrent()) {
    old = std::exchange(prepackedForm, made);
    stamp = current ? std::make_unique<WeightStamp>(std::move(*current)) : nullptr;
  }
  return prepackedForm;
}
