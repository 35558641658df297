// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/NBitModule.h"

#include "quantizers/Tensors.h"
#include "quantizers/nbit/LayerTensors.h"
#include "quantizers/nbit/NBitLayers.h"
#include "quantizers/nbit/PackedEvaluation.h"

#include <torch/serialize/archive.h>

using namespace bq;
using namespace bq::nn;

template <typename Derived>
NBitModule<Derived>::NBitModule(NBitSettings given) : settings(std::move(given)) {
  settings.check();
  reset();
}

template <typename Derived>
void NBitModule<Derived>::registerWeight() {
  at::NoGradGuard noGrad;
  at::Tensor data = settings.freshWeight();
  scaleW = scales = at::Tensor();
  if (!settings.packed) {
    weight = this->register_parameter("weight", data);
    scaleW = this->register_buffer("scale_w", at::ones({}, settings.tensorOptions()));
    return;
  }
  ParameterContents contents;
  contents.shape = settings.weightShape;
  contents.upstreamCompatible = settings.product.upstreamCompatible;
  contents.format = settings.format();
  auto [codes, scale] = settings.trainableCodes(data);
  weight = this->register_parameter("weight", codes, /*requires_grad=*/false);
  if (settings.isBinary())
    scaleW = this->register_buffer("scale_w", scale.to(settings.dtype));
  else
    contents.scales = scales = this->register_buffer("scales", scale.to(settings.dtype));
  qweight.reset();
  QuantizedParameter(weight, *settings.packed, std::move(contents));
}

template <typename Derived>
void NBitModule<Derived>::reset() {
  registerWeight();
  biasA = this->register_parameter("bias_a", at::zeros({settings.inFeatures()}, settings.tensorOptions()));
  scaleA = this->register_parameter("scale_a", at::zeros({}, settings.tensorOptions()));
  scaleAIsSet = false;
}

template <typename Derived>
void NBitModule<Derived>::resetParameters() {
  at::NoGradGuard noGrad;
  biasA.zero_();
  scaleA.zero_();
  scaleAIsSet = false;
  if (scaleW.defined())
    scaleW.fill_(1);
  setWeightData(settings.freshWeight().to(weight.device()));
}

template <typename Derived>
void NBitModule<Derived>::checkTrainable() const {
  TORCH_CHECK(settings.packed || hasFloatWeight(), settings.name,
              ": the float weight is gone, only its quantized form is left: call setWeightData() to train");
}

template <typename Derived>
void NBitModule<Derived>::updateScaleW() {
  at::NoGradGuard noGrad;
  bool stays = settings.product.upstreamCompatible && settings.product.weights.bits == 4;
  if (hasFloatWeight() && !stays)
    scaleW.copy_(settings.product.weights.scaleOf(weight));
}

template <typename Derived>
void NBitModule<Derived>::prepareParams() {
  at::NoGradGuard noGrad;
  if (!hasFloatWeight())
    return;
  scaleW.copy_(settings.product.weights.scaleOf(weight));
  qweight.reset();
}

template <typename Derived>
void NBitModule<Derived>::updateScaleA(const at::Tensor &x) {
  if (scaleAIsSet || settings.product.activations.keepsFloat())
    return;
  at::NoGradGuard noGrad;
  // From zeros alone no scale follows: the next input is asked.
  if (scaleA.item<double>() == 0 && x.numel() && x.any().item<bool>())
    scaleA.copy_(settings.product.activations.scaleOf(x));
  scaleAIsSet = scaleA.item<double>() != 0;
}

/// Place and version of a tensor; never that of another time where it counts no versions.
static std::pair<const void *, int64_t> stampOf(const at::Tensor &tensor) {
  return {tensor.is_inference() ? nullptr : tensor.const_data_ptr(),
          tensor.is_inference() ? -1 : static_cast<int64_t>(tensor._version())};
}

template <typename Derived>
void NBitModule<Derived>::generateQuantizedWeight(bool qweightOnly) {
  at::NoGradGuard noGrad;
  if (settings.packed) {
    // Shares the codes, and so follows them.
    if (!settings.product.upstreamCompatible)
      qweight = settings.packedWeight(weight);
    return;
  }
  TORCH_CHECK(hasFloatWeight() || qweight, settings.name, ": there is no weight to quantize: call setWeightData()");
  if (hasFloatWeight()) {
    updateScaleW();
    qweight = settings.packedWeight(settings.codesOf(weight, scaleW));
    qweightStamp = stampOf(weight);
  }
  if (qweightOnly)
    weight.set_data(at::empty({0}, weight.options()));
}

template <typename Derived>
void NBitModule<Derived>::refreshQuantizedWeight() {
  bool isNewest = qweight != nullptr;
  if (qweight && settings.packed)
    isNewest = qweight->scales().device() == weight.device();
  else if (qweight && hasFloatWeight())
    isNewest = qweightStamp.first && qweightStamp == stampOf(weight);
  if (!isNewest)
    generateQuantizedWeight();
}

template <typename Derived>
void NBitModule<Derived>::setWeightData(const at::Tensor &data) {
  at::NoGradGuard noGrad;
  settings.checkData("weight", data, at::kFloat, settings.weightShape);
  if (!settings.packed) {
    weight.set_data(data.to(weight.options(), /*non_blocking=*/false, /*copy=*/true));
    qweight.reset();
    return;
  }
  auto [codes, scale] = settings.trainableCodes(data.to(weight.device()));
  weight.copy_(codes);
  (scales.defined() ? scales : scaleW).copy_(scale);
  QuantizedParameter(weight).contents().residual = at::Tensor();
}

template <typename Derived>
void NBitModule<Derived>::setQuantizedWeightData(const at::Tensor &codes) {
  at::NoGradGuard noGrad;
  if (settings.packed) {
    settings.checkData("codes", codes, weight.scalar_type(), weight.sizes());
    weight.copy_(codes);
    QuantizedParameter(weight).contents().residual = at::Tensor();
    return;
  }
  auto [n, k] = settings.matrix();
  settings.checkData("codes", codes, at::kByte, {n, settings.format().rowBytes(k)});
  qweight = settings.packedWeight(codes.to(scaleW.device(), at::kByte, /*non_blocking=*/false, /*copy=*/true));
  weight.set_data(at::empty({0}, weight.options()));
}

template <typename Derived>
at::Tensor NBitModule<Derived>::optWeight() {
  if (this->is_training()) {
    checkTrainable();
    return settings.packed ? QuantizedParameter(weight).dequantize() : weight;
  }
  if (settings.packed)
    return weight;
  refreshQuantizedWeight();
  return qweight->codes();
}

template <typename Derived>
void NBitModule<Derived>::checkForward(const at::Tensor &x) const {
  const int64_t in = settings.inFeatures();
  TORCH_CHECK(x.defined() && x.is_floating_point(), settings.name, ": expected an input of a floating type");
  checkDevice(settings.name, "x", x, weight.device());
  if (!settings.product.conv) {
    TORCH_CHECK(x.dim() >= 1 && x.size(-1) == in, settings.name, ": expected an input [..., ", in, "], got ",
                shapeText(x.sizes()));
    return;
  }
  TORCH_CHECK(x.dim() == 4 && x.size(1) == in, settings.name, ": expected an input [B, ", in, ", H, W], got ",
              shapeText(x.sizes()));
  const ConvShape &conv = *settings.product.conv;
  for (int d = 0; d < 2; ++d) {
    int64_t reach = conv.dilation[d] * (settings.weightShape[2 + d] - 1) + 1;
    TORCH_CHECK(x.size(2 + d) + 2 * conv.padding[d] >= reach, settings.name, ": an input ", shapeText(x.sizes()),
                " with its padding is smaller than the kernel, which reaches over ", reach);
  }
}

template <typename Derived>
at::Tensor NBitModule<Derived>::forward(const at::Tensor &x) {
  checkForward(x);
  updateScaleA(x);
  // Sums of integers do not fit into half types.
  at::ScalarType type = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  at::Tensor bias = settings.product.conv ? biasA.view({1, -1, 1, 1}) : biasA;
  at::Tensor input = x.to(type) + bias.to(type);
  if (this->is_training() || !packedEvaluation || settings.product.upstreamCompatible)
    return trainingPath(input).to(x.scalar_type());
  refreshQuantizedWeight();
  const at::Tensor &weightScale = scaleW.defined() ? scaleW : scales;
  return evaluatePacked(input.to(at::kFloat), qweight, weightScale.to(at::kFloat), activationScale(), settings)
      .to(x.scalar_type());
}

template <typename Derived>
at::Tensor NBitModule<Derived>::activationScale() const {
  return scaleA.detach().to(at::kFloat).clamp_min(settings.product.activations.eps);
}

template <typename Derived>
at::Tensor NBitModule<Derived>::trainingPath(const at::Tensor &input) {
  at::ScalarType type = input.scalar_type();
  at::Tensor source = weight;
  if (!settings.packed && !hasFloatWeight()) {
    if (this->is_training() || !qweight)
      checkTrainable();
    // Rounded with their own scale, integers are themselves.
    source = qweight->dequantize(type).view(settings.weightShape) * scaleW.to(type);
  }
  updateScaleW();
  at::Tensor scale = settings.product.activations.keepsFloat() ? at::ones({}, input.options()) : scaleA.to(type);
  return quantizedProduct(input, source, scaleW, scale, settings.product);
}

template <typename Derived>
void NBitModule<Derived>::to(torch::Device device, torch::Dtype dtype, bool nonBlocking) {
  keepTypes({settings.packed ? weight : at::Tensor()}, nonBlocking, [&] { Base::to(device, dtype, nonBlocking); });
}

template <typename Derived>
void NBitModule<Derived>::to(torch::Dtype dtype, bool nonBlocking) {
  keepTypes({settings.packed ? weight : at::Tensor()}, nonBlocking, [&] { Base::to(dtype, nonBlocking); });
}

template <typename Derived>
void NBitModule<Derived>::to(torch::Device device, bool nonBlocking) {
  Base::to(device, nonBlocking);
}

template <typename Derived>
void NBitModule<Derived>::save(torch::serialize::OutputArchive &archive) const {
  Base::save(archive);
  if (!settings.packed && !hasFloatWeight() && qweight)
    archive.write("qweight", qweight->codes(), /*is_buffer=*/true);
}

template <typename Derived>
void NBitModule<Derived>::load(torch::serialize::InputArchive &archive) {
  at::Tensor codes;
  const bool onlyQuantized = !settings.packed && archive.try_read("qweight", codes, /*is_buffer=*/true);
  auto [n, k] = settings.matrix();
  if (onlyQuantized)
    settings.checkData("qweight", codes, at::kByte, {n, settings.format().rowBytes(k)});
  LoadedTensors loaded(settings.name, *this, archive, [&](const std::string &key, at::IntArrayRef shape) {
    return key == "weight" && !settings.packed &&
           shape == (onlyQuantized ? std::vector<int64_t>{0} : settings.weightShape);
  });
  loaded.install();
  scaleAIsSet = false;
  if (settings.packed)
    return;
  qweight.reset();
  if (onlyQuantized)
    qweight = settings.packedWeight(codes.to(scaleW.device()));
}

template class bq::nn::NBitModule<NBitLinearImpl>;
template class bq::nn::NBitModule<NBitConv2dImpl>;
template class bq::nn::NBitModule<BinaryLinearImpl>;
template class bq::nn::NBitModule<BinaryConv2dImpl>;
