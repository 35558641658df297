// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/QuantizedProduct.h"

#include "quantizers/FakeQuantize.h"
#include "quantizers/nbit/Parameters.h"
#include "quantizers/nbit/TensorQuant.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

using namespace bq;
using namespace bq::nn;

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

/// A ProductRule as a saved value of LibTorch.
struct SavedRule : torch::CustomClassHolder {
  explicit SavedRule(ProductRule rule) : rule(std::move(rule)) {}
  ProductRule rule;
};

/// Integers of the weight as floats, and their scale as it broadcasts with y.
struct WeightIntegers {
  Tensor integers, scale;
};

WeightIntegers weightIntegers(const Tensor &weight, const Tensor &scaleW, const ProductRule &rule) {
  if (!QuantizedParameter::is(weight))
    return {rule.weights.integers(weight, scaleW), scaleW};
  auto [integers, scales] = QuantizedParameter(weight).integersAndScales();
  if (!scales.defined())
    return {integers, scaleW};
  return {integers, rule.conv ? scales.view({1, -1, 1, 1}) : scales};
}

/// Padding that is not zero has to be there before the product.
bool padsBefore(const ProductRule &rule) {
  return rule.conv && rule.activations.bits == 1 && (rule.conv->padding[0] || rule.conv->padding[1]);
}

Tensor padWithMinusOne(const Tensor &x, const ConvShape &conv) {
  return at::constant_pad_nd(x, {conv.padding[1], conv.padding[1], conv.padding[0], conv.padding[0]}, -1);
}

Tensor product(const Tensor &x, const Tensor &weight, const ProductRule &rule) {
  if (!rule.conv)
    return at::linear(x, weight);
  const ConvShape &conv = *rule.conv;
  if (!padsBefore(rule))
    return at::conv2d(x, weight, {}, conv.stride, conv.padding, conv.dilation, conv.groups);
  return at::conv2d(padWithMinusOne(x, conv), weight, {}, conv.stride, at::IntArrayRef({0, 0}), conv.dilation,
                    conv.groups);
}

/// The gradients of product() with padding of zeros, with respect to x and to the weight.
std::pair<Tensor, Tensor> productBackward(const Tensor &gradient, const Tensor &x, const Tensor &weight,
                                          const ProductRule &rule, std::array<bool, 2> needed) {
  if (rule.conv) {
    const ConvShape &conv = *rule.conv;
    auto [gradX, gradWeight, none] =
        at::convolution_backward(gradient, x, weight, std::nullopt, conv.stride, conv.padding, conv.dilation,
                                 /*transposed=*/false, {0, 0}, conv.groups, {needed[0], needed[1], false});
    return {gradX, gradWeight};
  }
  Tensor gradX, gradWeight;
  if (needed[0])
    gradX = gradient.matmul(weight);
  if (needed[1])
    gradWeight = gradient.reshape({-1, gradient.size(-1)}).t().matmul(x.reshape({-1, x.size(-1)}));
  return {gradX, gradWeight};
}

/// The gradients of x and scaleA, from that of scaleA q(x).
std::pair<Tensor, Tensor> activationBackward(const Tensor &raw, const Tensor &x, const Tensor &scaleA,
                                             const ProductRule &rule) {
  const IntegerRule &activations = rule.activations;
  if (activations.keepsFloat())
    return {raw, {}};
  if (!rule.upstreamCompatible && activations.bits > 1 && x.scalar_type() != at::kDouble) {
    auto [gradX, gradScale] = fakeQuantizeBackward(raw, x, scaleA, std::nullopt, activations.bits);
    return {gradX, gradScale};
  }
  Tensor gradX = raw * activations.inside(x / scaleA);
  double factor = 1 / std::sqrt(static_cast<double>(x.numel()) * activations.greatest());
  if (!rule.upstreamCompatible)
    return {gradX, scaleGradient(activations, raw, x, scaleA) * factor};
  if (activations.bits == 1)
    return {gradX, (gradX * x.sign()).sum() * factor};
  if (activations.bits == 8)
    gradX = gradX * scaleA;
  return {gradX, scaleGradient(activations, gradX, x, scaleA) * factor};
}

/// The integers that the gradient of the weight is made from.
Tensor integersOfBackward(const Tensor &x, const Tensor &scaleA, const ProductRule &rule) {
  if (rule.upstreamCompatible && rule.activations.bits == 1)
    return x.sign();
  return rule.activations.integers(x, scaleA);
}

Tensor roundedGradient(const Tensor &gradient) {
  TensorQuantOptions options;
  options.upstreamCompatible = true;
  return tensorQuant(gradient, std::nullopt, options).first.to(at::kChar);
}

/// Training may bring the scale to zero or below.
Tensor usableScale(const Tensor &scaleA, const ProductRule &rule) {
  return rule.activations.keepsFloat() ? scaleA : scaleA.clamp_min(rule.activations.eps);
}

/// `handle` stands for a weight that cannot require a gradient: an empty tensor that does.
struct ProductFunction : torch::autograd::Function<ProductFunction> {
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &weight, const Tensor &scaleA,
                        const std::optional<Tensor> &handle, const std::optional<Tensor> &scaleW,
                        const c10::intrusive_ptr<SavedRule> &rule) {
    context->save_for_backward({x, weight, scaleA, scaleW.value_or(Tensor())});
    context->saved_data["rule"] = c10::IValue::make_capsule(rule);
    WeightIntegers parts = weightIntegers(weight, scaleW.value_or(Tensor()), rule->rule);
    // The sign of an upstream weight of zero counts as +1 here, and as 0 in gradients.
    if (rule->rule.weights.bits == 1)
      parts.integers = rule->rule.weights.integers(parts.integers, parts.scale);
    Tensor scale = usableScale(scaleA, rule->rule);
    Tensor y = product(rule->rule.activations.integers(x, scale), parts.integers.to(x.scalar_type()), rule->rule);
    // In the order in which packed kernels have them.
    return y.mul_(scale).mul_(parts.scale);
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "bq::nn: gradients of second order do not exist for n-bit layers");
    variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &scaleW = saved[3];
    const ProductRule &rule =
        c10::static_intrusive_pointer_cast<SavedRule>(context->saved_data.at("rule").toCapsule())->rule;
    const Tensor scaleA = usableScale(saved[2], rule);
    bool isParameter = QuantizedParameter::is(weight);
    bool needsWeight = context->needs_input_grad(isParameter ? 3 : 1);
    bool needsX = context->needs_input_grad(0) || context->needs_input_grad(2);

    WeightIntegers parts = weightIntegers(weight, scaleW, rule);
    Tensor integers = parts.integers.to(x.scalar_type());
    Tensor raw, gradWeight;
    if (needsX)
      raw = productBackward(gradients[0] * parts.scale, x, integers, rule, {true, false}).first;
    if (needsWeight)
      gradWeight =
          productBackward(gradients[0], integersOfBackward(x, scaleA, rule) * scaleA, integers, rule, {false, true})
              .second;
    Tensor gradX, gradScale;
    if (needsX)
      std::tie(gradX, gradScale) = activationBackward(raw, x, scaleA, rule);
    if (needsWeight && rule.upstreamCompatible && rule.weights.bits == 1)
      gradWeight = roundedGradient(gradWeight);
    if (needsWeight && isParameter) {
      QuantizedParameter(weight).accumulateGrad(gradWeight);
      gradWeight = Tensor();
    }
    return {gradX, gradWeight, gradScale, {}, {}, {}};
  }
};

} // namespace

Tensor bq::nn::quantizedProduct(const Tensor &x, const Tensor &weight, const Tensor &scaleW, const Tensor &scaleA,
                                const ProductRule &rule) {
  std::optional<Tensor> handle, scale;
  if (scaleW.defined())
    scale = scaleW;
  if (QuantizedParameter::is(weight))
    handle = at::empty({0}, x.options()).requires_grad_(true);
  // -1 in the padding of one bit moves with scaleA, so it has to be seen by the gradients too.
  if (padsBefore(rule) && !rule.upstreamCompatible) {
    ProductRule padded = rule;
    padded.conv->padding = {0, 0};
    return ProductFunction::apply(padWithMinusOne(x, *rule.conv), weight, scaleA, handle, scale,
                                  c10::make_intrusive<SavedRule>(padded));
  }
  return ProductFunction::apply(x, weight, scaleA, handle, scale, c10::make_intrusive<SavedRule>(rule));
}
