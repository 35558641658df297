// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/OneBitLinear.h"

#include "quantizers/Linear.h"
#include "quantizers/Tensors.h"
#include "quantizers/nbit/LayerTensors.h"
#include "quantizers/nbit/Packing.h"
#include "quantizers/onebit/StraightThrough.h"

#include <torch/nn/init.h>

#include <cmath>

using namespace bq;
using namespace bq::nn;

using at::Tensor;

static constexpr const char *layerName = "bq::nn::OneBitLinear";

namespace {

/// Kaiming uniform, as in torch::nn::Linear.
Tensor freshWeight(const OneBitLinearOptions &options) {
  return torch::nn::init::kaiming_uniform_(at::empty({options.out_features(), options.in_features()}, options.dtype()),
                                           std::sqrt(5.0));
}

/// Never that of another time where a tensor counts no versions.
std::pair<const void *, int64_t> stampOf(const Tensor &tensor) {
  return {tensor.is_inference() ? nullptr : tensor.const_data_ptr(),
          tensor.is_inference() ? -1 : static_cast<int64_t>(tensor._version())};
}

} // namespace

OneBitLinearImpl::OneBitLinearImpl(OneBitLinearOptions given) : options(std::move(given)) {
  TORCH_CHECK(options.in_features() > 0 && options.out_features() > 0, layerName, ": sizes must be positive, got ",
              options.in_features(), " and ", options.out_features());
  TORCH_CHECK(options.dtype() == at::kFloat || options.dtype() == at::kDouble, layerName, ": dtype is ",
              options.dtype(), ": use Float or Double");
  options.decomposition().check();
  LinearChoice::parse(layerName, options.compute(), "none");
  reset();
}

std::shared_ptr<OneBitLinearImpl> OneBitLinearImpl::fromFloat(const torch::nn::Linear &linear,
                                                              OneBitLinearOptions options,
                                                              const onebit::Importance &importance) {
  const Tensor &weight = linear->weight;
  options.in_features(weight.size(1)).out_features(weight.size(0)).bias(linear->bias.defined());
  options.dtype(weight.scalar_type()).device(weight.device());
  auto layer = std::make_shared<OneBitLinearImpl>(options);
  layer->setWeightData(weight, importance);
  const at::NoGradGuard noGrad;
  if (linear->bias.defined())
    layer->bias.copy_(linear->bias);
  layer->train(linear->is_training());
  return layer;
}

std::shared_ptr<OneBitLinearImpl> OneBitLinearImpl::fromFloat(const torch::nn::Linear &linear) {
  return fromFloat(linear, OneBitLinearOptions(linear->options.in_features(), linear->options.out_features()));
}

void OneBitLinearImpl::reset() {
  const at::NoGradGuard noGrad;
  const at::TensorOptions floats = at::device(options.device()).dtype(options.dtype());
  latent = register_parameter("latent", at::empty({options.out_features(), options.in_features()}, floats));
  a = register_parameter("a", at::empty({options.out_features()}, floats));
  b = register_parameter("b", at::empty({options.in_features()}, floats));
  bias = Tensor();
  if (options.bias())
    bias = register_parameter("bias", at::empty({options.out_features()}, floats));
  codes = register_buffer("codes", at::empty({0}, floats.dtype(at::kByte)));
  resetParameters();
}

void OneBitLinearImpl::resetParameters() {
  const at::NoGradGuard noGrad;
  if (bias.defined())
    bias.zero_();
  setWeightData(freshWeight(options));
}

void OneBitLinearImpl::setWeightData(const Tensor &data, const onebit::Importance &importance) {
  const at::NoGradGuard noGrad;
  const int64_t n = options.out_features(), k = options.in_features();
  TORCH_CHECK(data.sizes() == at::IntArrayRef({n, k}), layerName, ": expected a weight of shape [", n, ", ", k,
              "], got ", shapeText(data.sizes()));
  // The decomposition reads the CPU's memory.
  const Tensor weight = data.detach().to(at::kCPU);
  const onebit::Decomposition form = onebit::decompose(weight, options.decomposition(), importance);
  latent.set_data(onebit::latentOf(weight, form).to(a.options()));
  a.copy_(form.a);
  b.copy_(form.b);
  codes.set_data(at::empty({0}, codes.options()));
}

void OneBitLinearImpl::generateQuantizedWeight(bool qweightOnly) {
  const at::NoGradGuard noGrad;
  const c10::intrusive_ptr<PackedWeight> current = packedWeight();
  if (!qweightOnly || !hasLatent())
    return;
  codes.set_data(current->codes());
  latent.set_data(at::empty({0}, latent.options()));
}

void OneBitLinearImpl::setQuantizedWeightData(const Tensor &data) {
  const at::NoGradGuard noGrad;
  const int64_t n = options.out_features(), bytes = (options.in_features() + 7) / 8;
  TORCH_CHECK(data.scalar_type() == at::kByte && data.sizes() == at::IntArrayRef({n, bytes}), layerName,
              ": expected codes of type Byte and shape [", n, ", ", bytes, "], got ", data.scalar_type(), " ",
              shapeText(data.sizes()));
  codes.set_data(data.to(codes.device(), at::kByte, /*non_blocking=*/false, /*copy=*/true).contiguous());
  latent.set_data(at::empty({0}, latent.options()));
}

c10::intrusive_ptr<PackedWeight> OneBitLinearImpl::packedWeight() {
  const at::NoGradGuard noGrad;
  const std::array<Stamp, 4> stamps{stampOf(latent), stampOf(a), stampOf(b), stampOf(codes)};
  if (packed && packedStamps == stamps && !a.is_inference())
    return packed;
  const Tensor signs = hasLatent() ? packRows(at::ge(latent, 0).to(at::kByte), 1) : codes;
  packed =
      c10::make_intrusive<PackedWeight>(signs, at::cat({a, b}).to(at::kFloat), std::nullopt, *Format::parse("sign"),
                                        std::vector<int64_t>{options.out_features(), options.in_features()});
  packedStamps = stamps;
  return packed;
}

void OneBitLinearImpl::checkTrainable() const {
  TORCH_CHECK(hasLatent(), layerName,
              ": the latent weight is gone, only its signs are left: call setWeightData() to train");
}

Tensor OneBitLinearImpl::optWeight() {
  if (!is_training())
    return packedWeight()->codes();
  checkTrainable();
  return latent;
}

void OneBitLinearImpl::checkForward(const Tensor &x) const {
  TORCH_CHECK(x.defined() && x.is_floating_point() && x.dim() >= 1 && x.size(-1) == options.in_features(), layerName,
              ": expected a floating input [..., ", options.in_features(), "], got ",
              x.defined() ? std::string(toString(x.scalar_type())) + " " + shapeText(x.sizes()) : "none");
  checkDevice(layerName, "x", x, a.device());
}

Tensor OneBitLinearImpl::trainingPath(const Tensor &x) const {
  checkTrainable();
  // Columns are scaled before the product and rows after it, so that no weight but the signs is made.
  const Tensor input = x.to(a.scalar_type()) * b;
  const Tensor y = at::linear(input, onebit::straightThroughSign(latent)) * a;
  return (bias.defined() ? y + bias : y).to(x.scalar_type());
}

Tensor OneBitLinearImpl::forward(const Tensor &x) {
  checkForward(x);
  if (is_training() || !packedEvaluation)
    return trainingPath(x);
  const Compute compute = LinearChoice::parse(layerName, options.compute(), "none").compute;
  std::optional<Tensor> floatBias;
  if (bias.defined())
    floatBias = bias.to(at::kFloat);
  const at::ScalarType type = x.scalar_type() == at::kDouble ? at::kFloat : x.scalar_type();
  return packedWeight()->linear(x.to(type), floatBias, compute).to(x.scalar_type());
}

void OneBitLinearImpl::to(torch::Device device, torch::Dtype dtype, bool nonBlocking) {
  keepTypes({codes}, nonBlocking, [&] { Module::to(device, dtype, nonBlocking); });
}

void OneBitLinearImpl::to(torch::Dtype dtype, bool nonBlocking) {
  keepTypes({codes}, nonBlocking, [&] { Module::to(dtype, nonBlocking); });
}

void OneBitLinearImpl::to(torch::Device device, bool nonBlocking) { Module::to(device, nonBlocking); }

void OneBitLinearImpl::load(torch::serialize::InputArchive &archive) {
  const int64_t n = options.out_features(), k = options.in_features();
  Tensor savedLatent, savedCodes;
  if (archive.try_read("latent", savedLatent) && archive.try_read("codes", savedCodes, /*is_buffer=*/true))
    TORCH_CHECK((savedLatent.numel() == 0) != (savedCodes.numel() == 0), layerName,
                ": expected either a latent weight or codes, the archive holds ",
                savedLatent.numel() ? "both" : "none");
  const auto isForm = [&](const std::string &key, at::IntArrayRef shape) {
    const bool isEmpty = shape == at::IntArrayRef({0});
    return (key == "latent" && (isEmpty || shape == at::IntArrayRef({n, k}))) ||
           (key == "codes" && (isEmpty || shape == at::IntArrayRef({n, (k + 7) / 8})));
  };
  LoadedTensors(layerName, *this, archive, isForm).install();
}

void OneBitLinearImpl::pretty_print(std::ostream &stream) const {
  stream << layerName << "(in_features=" << options.in_features() << ", out_features=" << options.out_features()
         << ", bias=" << (options.bias() ? "true" : "false") << ", compute=" << options.compute() << ")";
}
