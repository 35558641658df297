// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/StaticActivations.h"

#include "quantizers/Conv2d.h"
#include "quantizers/Linear.h"

using namespace bq;

using at::Tensor;

namespace {

LinearChoice choiceFor(const char *op, const Tensor &x, const StaticActivations &activations, Activation activation) {
  TORCH_CHECK(activations.bits >= 1 && activations.bits <= 8, op, ": 'activation_bits' is ", activations.bits,
              ": use 1 to 8");
  TORCH_CHECK(activations.padCode == 0 || activations.padCode == -1, op, ": 'pad_code' is ", activations.padCode,
              ": use 0, or -1 as convolutions of signs have it");
  TORCH_CHECK(activations.scale.defined() && activations.scale.numel() == 1 &&
                  at::isFloatingType(activations.scale.scalar_type()),
              op, ": expected the scale of activations to be one floating point number");
  checkDevice(op, "scale", activations.scale, x.device());
  LinearChoice choice;
  choice.compute = Compute::I8;
  choice.activation = activation;
  choice.activationBits = static_cast<int>(activations.bits);
  choice.activationScale = activations.scale.detach().to(at::kFloat).reshape({1}).contiguous();
  choice.padCode = static_cast<int>(activations.padCode);
  return choice;
}

/// q(x) as floats, for a weight whose kernels take floats.
Tensor integersOf(const Tensor &x, const LinearChoice &choice) {
  const Tensor input = x.to(at::kFloat);
  if (choice.activationBits == 1)
    return at::where(input >= 0, at::ones({}, input.options()), -at::ones({}, input.options()));
  const int64_t bound = int64_t{1} << (choice.activationBits - 1);
  return (input / choice.activationScale).round().clamp(-bound, bound - 1);
}

/// activation(scale * sums + bias) in the type of x; `channels`: the shape in which a bias meets the sums.
Tensor finish(const Tensor &sums, const Tensor &x, const std::optional<Tensor> &bias, at::IntArrayRef channels,
              const LinearChoice &choice) {
  Tensor y = sums * choice.activationScale;
  if (bias)
    y = y + bias->to(at::kFloat).view(channels);
  return activate(y, choice.activation).to(x.scalar_type());
}

} // namespace

Tensor bq::linear(const PackedWeight &weight, const Tensor &x, const std::optional<Tensor> &bias,
                  const StaticActivations &activations, Activation activation) {
  constexpr const char *op = "bq::linear";
  const at::NoGradGuard noGrad;
  TORCH_CHECK(weight.shape().size() == 2 && inputFeatures(op, x) == weight.k(), op, ": 'x' ", x.sizes(),
              " does not fit the weight ", shapeText(weight.shape()));
  const LinearChoice choice = choiceFor(op, x, activations, activation);
  if (!x.is_cpu())
    return finish(weight.linear(integersOf(x, choice), std::nullopt), x, bias, {-1}, choice);
  const LinearWeight forms{[&] { return weight.prepacked(x.device()); }, [&] { return weight.canonical(x.device()); },
                           weight.format(), weight.n(), weight.k()};
  return runLinear(op, x, bias, forms, choice);
}

Tensor bq::conv2d(const PackedWeight &weight, const Tensor &x, const std::optional<Tensor> &bias,
                  const Conv2dSteps &steps, const StaticActivations &activations, Activation activation) {
  constexpr const char *op = "bq::conv2d";
  const at::NoGradGuard noGrad;
  const Conv2dCall call(op, weight.shape(), steps);
  const LinearChoice choice = choiceFor(op, x, activations, activation);
  if (!x.is_cpu()) {
    const int64_t rows = call.padding[0], columns = call.padding[1];
    const Tensor padded =
        at::constant_pad_nd(integersOf(x, choice), {columns, columns, rows, rows}, activations.padCode);
    return finish(weight.conv2d(padded, std::nullopt, steps.stride, 0, steps.dilation, steps.groups), x, bias,
                  {-1, 1, 1}, choice);
  }
  const Conv2dWeight forms{[&] { return weight.grouped(call.layout()); },
                           [&] { return weight.transposed(call.layout()); },
                           [&](at::ScalarType type) { return weight.dequantize(type, x.device()); }, weight.format()};
  return runConv2d(call, x, bias, forms, choice);
}
