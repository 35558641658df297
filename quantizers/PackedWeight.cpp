// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/PackedWeight.h"

#include "quantizers/Dispatch.h"
#include "quantizers/Quantize.h"
#include "quantizers/WeightMemo.h"
#include "quantizers/cuda/Place.h"
#include "runtime/Fork.h"
#include "runtime/MixedStream.h"

using namespace bq;

static constexpr const char *className = "torch.classes.bq.PackedWeight";

static WeightTensors tensorsOf(const PackedWeight &weight) {
  return {weight.codes(), weight.scales(), weight.zeros(), weight.groupIndex(), /*isHeld=*/true};
}

PackedWeight::PackedWeight(at::Tensor codes, at::Tensor scales, std::optional<at::Tensor> zeros, const Format &format,
                           std::vector<int64_t> shape, std::optional<at::Tensor> groupIndex)
    : weightFormat(format), weightShape(std::move(shape)), codesTensor(std::move(codes)),
      scalesTensor(std::move(scales)), zerosTensor(std::move(zeros)), groupIndexTensor(std::move(groupIndex)) {
  const auto [rows, columns] = matrixShape(className, weightShape);
  const int64_t n = checkWeight(className, tensorsOf(*this), weightFormat, columns);
  if (weightFormat.isMixed()) {
    const at::Tensor held = codesTensor.cpu().contiguous();
    take(className,
         MixedStream::parse(held.const_data_ptr<uint8_t>(), held.numel(), rows * columns, weightFormat.group));
    codesTensor = withSlack(codesTensor);
  }
  TORCH_CHECK(n == rows, className, ": 'codes' ", shapeText(codesTensor.sizes()), " do not fit the shape ",
              shapeText(weightShape));
  // Equal weights have one saved form.
  if (zerosTensor && zerosTensor->defined() && zerosTensor->numel() == 0 && !weightFormat.hasZeroPoints())
    zerosTensor.reset();
}

PackedWeight::~PackedWeight() = default;

c10::intrusive_ptr<PackedWeight> PackedWeight::quantize(const at::Tensor &weight, const Format &format,
                                                        std::optional<at::Device> device) {
  auto [codes, scales, zeros] = bq::quantize(device ? weight.to(*device) : weight, format);
  auto back = [&](const at::Tensor &tensor) { return tensor.to(weight.device()); };
  return c10::make_intrusive<PackedWeight>(back(codes), back(scales), back(zeros), format, weight.sizes().vec());
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

at::Tensor PackedWeight::conv2d(const at::Tensor &x, const std::optional<at::Tensor> &bias, at::IntArrayRef stride,
                                at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups, Compute compute,
                                Activation activation) const {
  return dispatch::conv2dPacked(x, pointerTo(this), bias, {stride, padding, dilation, groups}, str(compute),
                                str(activation));
}

int64_t PackedWeight::k() const { return c10::multiply_integers(weightShape.begin() + 1, weightShape.end()); }

at::Tensor PackedWeight::embedding(const at::Tensor &indices) const {
  return dispatch::embeddingPacked(indices, pointerTo(this));
}

at::Tensor PackedWeight::dequantize(std::optional<at::ScalarType> type, std::optional<at::Device> device) const {
  WeightTensors tensors = device ? canonical(*device) : tensorsOf(*this);
  return dispatch::dequantize(tensors.codes, tensors.scales, tensors.zeros, weightFormat, weightShape,
                              tensors.groupIndex, type);
}

int64_t PackedWeight::bytes() const {
  int64_t sum = 0;
  for (const at::Tensor &tensor : tensorsOf(*this).all())
    sum += static_cast<int64_t>(tensor.nbytes());
  return sum;
}

int64_t PackedWeight::residentBytes() const {
  std::lock_guard<std::mutex> lock(forkSafeMutex());
  int64_t sum = bytes();
  for (const Form &form : forms) {
    sum += form.prepacked ? form.prepacked->bytes() : 0;
    sum += form.grouped ? form.grouped->bytes() : 0;
    sum += form.transposed ? form.transposed->bytes() : 0;
    if (form.canonical)
      for (const at::Tensor &tensor : form.canonical->all())
        sum += static_cast<int64_t>(tensor.nbytes());
  }
  return sum;
}

template <typename T, typename Make>
std::shared_ptr<const T> PackedWeight::form(at::Device device, std::shared_ptr<const T> Form::*member,
                                            Make make) const {
  WeightTensors tensors = tensorsOf(*this);
  auto current = [&]() -> Form * {
    for (Form &form : forms)
      if (form.device == device)
        return !form.stamp || form.stamp->matches(tensors, weightFormat, k()) ? &form : nullptr;
    return nullptr;
  };
  {
    std::lock_guard<std::mutex> lock(forkSafeMutex());
    if (Form *known = current(); known && known->*member)
      return known->*member;
  }
  // Stamped before it is read: a change made meanwhile is noticed at the next call. Of threads that come here at once
  // each makes one, rather than wait for a lock that a fork would leave behind; one result stays.
  std::optional<WeightStamp> stamp = WeightStamp::of(tensors, weightFormat, k());
  Form made{device, stamp ? std::make_unique<WeightStamp>(std::move(*stamp)) : nullptr, {}, {}, {}, {}};
  made.*member = make(tensors);
  std::vector<Form> old; // Freed after the mutex is.
  std::lock_guard<std::mutex> lock(forkSafeMutex());
  if (Form *known = current()) {
    if (!(known->*member))
      known->*member = made.*member;
    return known->*member;
  }
  for (auto known = forms.begin(); known != forms.end(); ++known)
    if (known->device == device) {
      old.push_back(std::move(*known));
      forms.erase(known);
      break;
    }
  forms.push_back(std::move(made));
  return forms.back().*member;
}

std::shared_ptr<const PrepackedWeight> PackedWeight::prepacked(at::Device device) const {
  return form(device, &Form::prepacked,
              [&](const WeightTensors &tensors) { return prepack(className, tensors, weightFormat, k(), device); });
}

std::shared_ptr<const GroupedWeight> PackedWeight::grouped(const WeightLayout &layout, at::Device device) const {
  auto make = [&](const WeightTensors &tensors) {
    return makeGrouped(className, tensors, weightFormat, k(), layout, device);
  };
  auto known = form(device, &Form::grouped, make);
  return known->layout == layout ? known : make(tensorsOf(*this));
}

std::shared_ptr<const TransposedWeight> PackedWeight::transposed(const WeightLayout &layout) const {
  auto make = [&](const WeightTensors &tensors) {
    return makeTransposed(className, tensors.to(at::kCPU), weightFormat, k(), layout);
  };
  auto known = form(at::kCPU, &Form::transposed, make);
  return known->layout == layout ? known : make(tensorsOf(*this));
}

WeightTensors PackedWeight::canonical(at::Device device) const {
  if (codesTensor.device() == device)
    return tensorsOf(*this);
  return *form(device, &Form::canonical,
               [&](const WeightTensors &tensors) { return std::make_shared<const WeightTensors>(tensors.to(device)); });
}
