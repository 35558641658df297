// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/Parameters.h"

#include "quantizers/Dispatch.h"
#include "quantizers/Quantize.h"

#include <torch/csrc/autograd/variable.h>

#include <array>
#include <mutex>

using namespace bq;
using namespace bq::nn;

namespace {

/// What a tensor carries, beside the gradient slot that it gets from LibTorch.
struct ParameterMeta : torch::autograd::AutogradMeta {
  ParameterMeta(at::TensorImpl *tensor, ParameterKind kind, ParameterContents contents)
      : AutogradMeta(tensor), kind(kind), contents(std::move(contents)) {}
  ParameterKind kind;
  ParameterContents contents;
};

ParameterMeta *metaOf(const at::Tensor &tensor) {
  return tensor.defined() ? dynamic_cast<ParameterMeta *>(tensor.unsafeGetTensorImpl()->autograd_meta()) : nullptr;
}

bool isBinary(ParameterKind kind) { return kind == ParameterKind::BinaryLinear || kind == ParameterKind::BinaryConv; }
bool isConv(ParameterKind kind) { return kind == ParameterKind::NBitConv || kind == ParameterKind::BinaryConv; }

std::string nameOf(ParameterKind kind) { return "bq::nn::" + std::string(str(kind)); }

WeightTensors weightOf(const at::Tensor &codes, const ParameterContents &contents) {
  return {codes, contents.scales, contents.zeros.defined() ? std::optional(contents.zeros) : std::nullopt,
          std::nullopt};
}

void checkUpstream(const std::string &name, ParameterKind kind, const at::Tensor &data,
                   const ParameterContents &contents) {
  if (kind == ParameterKind::MpqWeight) {
    GptqWeight weight = contents.gptq;
    weight.words = data;
    checkGptq(weight);
    return;
  }
  TORCH_CHECK(data.scalar_type() == at::kChar && data.sizes() == contents.shape, name, ": expected int8 ",
              contents.shape, ", got ", data.scalar_type(), " ", data.sizes());
}

void checkPacked(const std::string &name, ParameterKind kind, const at::Tensor &data,
                 const ParameterContents &contents) {
  const Format &format = contents.format;
  bool fits = isBinary(kind) ? format.kind == Format::Kind::Sign
              : kind == ParameterKind::MpqWeight
                  ? format.kind == Format::Kind::UInt
                  : format.kind == Format::Kind::Int || format.kind == Format::Kind::UInt;
  TORCH_CHECK(fits, name, ": format ", format.str(), " is not of this kind of parameter: use ",
              isBinary(kind)                     ? "sign"
              : kind == ParameterKind::MpqWeight ? "uint<bits>"
                                                 : "int<bits> or uint<bits>");
  auto [n, k] = matrixShape(name.c_str(), contents.shape);
  TORCH_CHECK(data.dim() == 2 && data.size(0) == n, name, ": expected codes of ", n, " rows, got ", data.sizes());
  if (!isBinary(kind))
    return void(checkWeight(name.c_str(), weightOf(data, contents), format, k));
  TORCH_CHECK(data.scalar_type() == at::kByte && data.size(1) == format.rowBytes(k), name, ": expected uint8 [", n,
              ", ", format.rowBytes(k), "], got ", data.scalar_type(), " ", shapeText(data.sizes()));
}

} // namespace

std::string_view bq::nn::str(ParameterKind kind) {
  constexpr std::array<std::string_view, 5> names = {
      "NBitLinearParameter", "NBitConvParameter", "BinaryLinearParameter", "BinaryConvParameter", "MPQWeightParameter"};
  return names[static_cast<size_t>(kind)];
}

bool QuantizedParameter::is(const at::Tensor &tensor) { return metaOf(tensor) != nullptr; }

QuantizedParameter::QuantizedParameter(at::Tensor tensor) : tensor(std::move(tensor)) {
  TORCH_CHECK(is(this->tensor), "bq::nn::QuantizedParameter: expected a quantized parameter, got ",
              this->tensor.defined()
                  ? "an ordinary tensor of type " + std::string(toString(this->tensor.scalar_type())) + " and shape " +
                        shapeText(this->tensor.sizes())
                  : "an undefined tensor");
}

QuantizedParameter::QuantizedParameter(at::Tensor tensor, ParameterKind kind) : QuantizedParameter(std::move(tensor)) {
  TORCH_CHECK(this->kind() == kind, nameOf(kind), ": got a ", str(this->kind()));
}

QuantizedParameter::QuantizedParameter(at::Tensor data, ParameterKind kind, ParameterContents contents)
    : tensor(std::move(data)) {
  std::string name = nameOf(kind);
  TORCH_CHECK(tensor.defined() && !tensor.is_floating_point(), name, ": expected a tensor of integers");
  TORCH_CHECK(contents.shape.size() == (isConv(kind) ? 4u : 2u), name, ": a weight of shape ", contents.shape,
              " has not ", isConv(kind) ? 4 : 2, " dimensions");
  if (contents.upstreamCompatible)
    checkUpstream(name, kind, tensor, contents);
  else
    checkPacked(name, kind, tensor, contents);
  at::TensorImpl *impl = tensor.unsafeGetTensorImpl();
  impl->set_autograd_meta(std::make_unique<ParameterMeta>(impl, kind, std::move(contents)));
}

ParameterKind QuantizedParameter::kind() const { return metaOf(tensor)->kind; }

ParameterContents &QuantizedParameter::contents() const { return metaOf(tensor)->contents; }

WeightTensors QuantizedParameter::weight() const { return weightOf(tensor, contents()); }

std::pair<at::Tensor, at::Tensor> QuantizedParameter::integersAndScales() const {
  const ParameterContents &own = contents();
  if (own.upstreamCompatible)
    return {isBinary(kind()) ? tensor.sign().to(at::kFloat) : tensor.to(at::kFloat), {}};
  auto [n, k] = matrixShape("bq::nn::QuantizedParameter", own.shape);
  TORCH_CHECK(!own.format.hasZeroPoints() && own.format.groupCount(k) <= 1, describe(),
              ": integers with one scale for a row are asked of a weight with groups or zero points");
  bool binary = isBinary(kind());
  at::Tensor ones = at::ones(binary ? at::DimVector{n + k} : at::DimVector{n, 1}, tensor.options().dtype(at::kFloat));
  at::Tensor integers =
      dispatch::dequantize(tensor, ones, std::nullopt, own.format, own.shape, std::nullopt, std::nullopt);
  return {integers, binary ? at::Tensor() : own.scales.to(at::kFloat).view(-1)};
}

at::Tensor QuantizedParameter::dequantize() const {
  const ParameterContents &own = contents();
  if (own.upstreamCompatible && kind() == ParameterKind::MpqWeight) {
    GptqWeight weight = own.gptq;
    weight.words = tensor;
    return unpackGptq(weight);
  }
  if (own.upstreamCompatible)
    return tensor.to(at::kFloat);
  if (isBinary(kind()))
    return integersAndScales().first;
  WeightTensors packed = weight();
  return dispatch::dequantize(packed.codes, packed.scales, packed.zeros, own.format, own.shape, std::nullopt,
                              std::nullopt);
}

std::vector<int64_t> QuantizedParameter::gradShape() const {
  const ParameterContents &own = contents();
  if (own.upstreamCompatible && kind() == ParameterKind::MpqWeight)
    return {own.shape[1], own.shape[0]};
  return own.shape;
}

std::vector<int64_t> QuantizedParameter::momentShape() const {
  const ParameterContents &own = contents();
  if (own.upstreamCompatible)
    return gradShape();
  auto [n, k] = matrixShape("bq::nn::QuantizedParameter", own.shape);
  return {n, k};
}

void QuantizedParameter::accumulateGrad(const at::Tensor &gradient) const {
  static std::mutex mutex;
  TORCH_CHECK(gradient.sizes() == gradShape(), describe(), ": a gradient of shape ", shapeText(gradient.sizes()),
              " does not fit, expected ", shapeText(gradShape()));
  at::NoGradGuard noGrad;
  std::lock_guard<std::mutex> lock(mutex);
  at::Tensor &slot = tensor.mutable_grad();
  slot = slot.defined() ? slot + gradient : gradient.detach();
}

std::string QuantizedParameter::describe() const {
  const ParameterContents &own = contents();
  return std::string(str(kind())) + " " + shapeText(own.shape) +
         (own.upstreamCompatible ? std::string(" as bitorch-engine has it") : " " + own.format.str());
}
