// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/StaticActivations.h"

#include "quantizers/Conv2d.h"
#include "quantizers/Linear.h"

using namespace bq;

using at::Tensor;

namespace {

LinearChoice choiceFor(const char *op, const Tensor &x, const StaticActivations &activations, Activation activation) {
  TORCH_CHECK(activations.bits >= 1 && activations.bits <= 8, op, ": 'bits' is ", activations.bits, ": use 1 to 8");
  TORCH_CHECK(activations.scale.defined() && activations.scale.numel() == 1 &&
                  at::isFloatingType(activations.scale.scalar_type()),
              op, ": expected the scale of activations to be one floating point number");
  checkDevice(op, "scale", activations.scale, x.device());
  TORCH_CHECK(x.is_cpu(), op, ": activations with one scale are for the CPU, got 'x' on ", x.device());
  LinearChoice choice;
  choice.compute = Compute::I8;
  choice.activation = activation;
  choice.activationBits = activations.bits;
  choice.activationScale = activations.scale.detach().to(at::kFloat).reshape({1}).contiguous();
  choice.padCode = activations.padCode;
  return choice;
}

} // namespace

Tensor bq::linear(const PackedWeight &weight, const Tensor &x, const std::optional<Tensor> &bias,
                  const StaticActivations &activations, Activation activation) {
  constexpr const char *op = "bq::linear";
  const at::NoGradGuard noGrad;
  TORCH_CHECK(weight.shape().size() == 2 && inputFeatures(op, x) == weight.k(), op, ": 'x' ", x.sizes(),
              " does not fit the weight ", shapeText(weight.shape()));
  const LinearWeight forms{[&] { return weight.prepacked(x.device()); }, [&] { return weight.canonical(x.device()); },
                           weight.format(), weight.n(), weight.k()};
  return runLinear(op, x, bias, forms, choiceFor(op, x, activations, activation));
}

Tensor bq::conv2d(const PackedWeight &weight, const Tensor &x, const std::optional<Tensor> &bias,
                  const Conv2dSteps &steps, const StaticActivations &activations, Activation activation) {
  constexpr const char *op = "bq::conv2d";
  const at::NoGradGuard noGrad;
  const Conv2dCall call(op, weight.shape(), steps);
  const Conv2dWeight forms{[&] { return weight.grouped(call.layout()); },
                           [&] { return weight.transposed(call.layout()); },
                           [&](at::ScalarType type) { return weight.dequantize(type, x.device()); }, weight.format()};
  return runConv2d(call, x, bias, forms, choiceFor(op, x, activations, activation));
}
