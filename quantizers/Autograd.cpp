// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Autograd.h"

#include "quantizers/Linear.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <functional>

using namespace bq;

using at::Tensor;
using dispatch::OptionalTensor;
using dispatch::PackedPtr;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

/// One call of a layer, for its way back. Everything that a function is called with has come through the dispatcher.
struct Layer : torch::CustomClassHolder {
  std::function<Tensor(const Tensor &x, const OptionalTensor &bias, const std::string &activation)> run;
  std::function<Tensor(const Tensor &gradient)> inputGradient; ///< Before the activation.
  std::function<Tensor(const Tensor &gradient)> biasGradient;
  std::string activation = "none";
  variable_list weight; ///< Where one has changed before the way back, LibTorch refuses it.
};
using LayerPtr = c10::intrusive_ptr<Layer>;

variable_list tensorsOf(const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                        const OptionalTensor &groupIndex = std::nullopt) {
  return {codes, scales, zeros.value_or(Tensor()), groupIndex.value_or(Tensor())};
}
variable_list tensorsOf(const PackedPtr &weight) {
  return tensorsOf(weight->codes(), weight->scales(), weight->zeros(), weight->groupIndex());
}

/// Refuses what would be a gradient of zero without a word.
void checkDifferentiable(const char *op, const Tensor &x, const OptionalTensor &bias, const Tensor &scales,
                         const OptionalTensor &zeros) {
  auto check = [&](const char *name, const OptionalTensor &tensor, bool hasGradient) {
    TORCH_CHECK(!torch::autograd::isFwGradDefined(tensor), op, ": '", name,
                "' has a forward gradient: derivatives are with respect to x and bias, in reverse mode only");
    TORCH_CHECK(hasGradient || !at::GradMode::is_enabled() || !tensor || !tensor->requires_grad(), op, ": '", name,
                "' requires a gradient: derivatives are with respect to x and bias only, so detach it");
  };
  check("x", x, true);
  check("bias", bias, true);
  check("scales", scales, false);
  check("zeros", zeros, false);
}

OptionalTensor whereDefined(const Tensor &tensor) { return tensor.defined() ? OptionalTensor(tensor) : std::nullopt; }

Layer &layerOf(AutogradContext &context) {
  return *static_cast<Layer *>(context.saved_data.at("layer").toCapsule().get());
}

struct LayerFunction : torch::autograd::Function<LayerFunction> {
  static Tensor forward(AutogradContext *context, const Tensor &x, const OptionalTensor &bias, const LayerPtr &layer) {
    context->saved_data["layer"] = c10::IValue::make_capsule(layer);
    if (bias && bias->defined())
      context->saved_data["bias type"] = bias->scalar_type();
    // The sum before the activation is computed again, so x is needed only then.
    const bool isFused = layer->activation != "none";
    variable_list saved = layer->weight;
    saved.insert(saved.end(), {isFused ? x : Tensor(), isFused ? bias.value_or(Tensor()) : Tensor()});
    context->save_for_backward(saved);
    at::AutoDispatchBelowADInplaceOrView guard;
    return layer->run(x, bias, layer->activation);
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    const variable_list saved = context->get_saved_variables();
    const Layer &layer = layerOf(*context);
    Tensor gradient = gradients[0], gradX, gradBias;
    if (layer.activation != "none") {
      const Tensor &x = saved[saved.size() - 2], &bias = saved.back();
      gradient =
          activationBackward(gradient, layer.run(x, whereDefined(bias), "none"), *parseActivation(layer.activation));
    }
    if (context->needs_input_grad(0))
      gradX = layer.inputGradient(gradient);
    if (auto type = context->saved_data.find("bias type");
        type != context->saved_data.end() && context->needs_input_grad(1))
      gradBias = layer.biasGradient(gradient).to(type->second.toScalarType());
    return {gradX, gradBias, {}};
  }
};

/// The gradient with respect to x as an operation of its own, whose gradient is the layer without bias and activation.
struct InputGradientFunction : torch::autograd::Function<InputGradientFunction> {
  static Tensor forward(AutogradContext *context, const Tensor &gradient, const LayerPtr &layer) {
    context->saved_data["layer"] = c10::IValue::make_capsule(layer);
    context->save_for_backward(layer->weight);
    at::AutoDispatchBelowADInplaceOrView guard;
    return layer->inputGradient(gradient);
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    context->get_saved_variables(); // Refuses a weight that has changed.
    return {layerOf(*context).run(gradients[0], std::nullopt, "none"), {}};
  }
};

/// The call by `run`, or where something needs a gradient by the layer of `make`.
template <typename Run, typename Make>
Tensor runLayer(const char *op, const Tensor &x, const OptionalTensor &bias, const Tensor &scales,
                const OptionalTensor &zeros, c10::string_view activation, Run run, Make make) {
  checkDifferentiable(op, x, bias, scales, zeros);
  if (at::GradMode::is_enabled() && (x.requires_grad() || (bias && bias->defined() && bias->requires_grad()))) {
    LayerPtr layer = make();
    layer->activation = std::string(activation);
    return LayerFunction::apply(x, bias, layer);
  }
  at::AutoDispatchBelowADInplaceOrView guard;
  return run();
}

Tensor runInputGradient(const char *op, const Tensor &gradient, const LayerPtr &layer) {
  checkDifferentiable(op, gradient, std::nullopt, layer->weight[1], layer->weight[2]);
  if (at::GradMode::is_enabled() && gradient.requires_grad())
    return InputGradientFunction::apply(gradient, layer);
  at::AutoDispatchBelowADInplaceOrView guard;
  return layer->inputGradient(gradient);
}

Tensor sumOverRows(const Tensor &gradient) { return gradient.dim() == 1 ? gradient : gradient.flatten(0, -2).sum(0); }

Tensor sumOverPixels(const Tensor &gradient) {
  return gradient.dim() == 3 ? gradient.sum({1, 2}) : gradient.sum({0, 2, 3});
}

LayerPtr makeLinear(const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros, c10::string_view format,
                    int64_t k, c10::string_view compute, const OptionalTensor &groupIndex) {
  auto layer = c10::make_intrusive<Layer>();
  const std::string formatText(format), computeText(compute);
  layer->run = [=](const Tensor &x, const OptionalTensor &bias, const std::string &activation) {
    return dispatch::linear(x, codes, scales, zeros, bias, formatText, computeText, activation, groupIndex);
  };
  layer->inputGradient = [=](const Tensor &gradient) {
    return dispatch::linearInputGradient(gradient, codes, scales, zeros, formatText, k, computeText, groupIndex);
  };
  layer->biasGradient = sumOverRows;
  layer->weight = tensorsOf(codes, scales, zeros, groupIndex);
  return layer;
}

LayerPtr makeLinear(const PackedPtr &weight, c10::string_view compute) {
  auto layer = c10::make_intrusive<Layer>();
  const std::string computeText(compute);
  layer->run = [=](const Tensor &x, const OptionalTensor &bias, const std::string &activation) {
    return dispatch::linearPacked(x, weight, bias, computeText, activation);
  };
  layer->inputGradient = [=](const Tensor &gradient) {
    return dispatch::linearPackedInputGradient(gradient, weight, computeText);
  };
  layer->biasGradient = sumOverRows;
  layer->weight = tensorsOf(weight);
  return layer;
}

/// Conv2dSteps with lists of its own.
struct KeptSteps {
  at::DimVector stride, padding, dilation;
  int64_t groups;

  explicit KeptSteps(const Conv2dSteps &steps)
      : stride(steps.stride), padding(steps.padding), dilation(steps.dilation), groups(steps.groups) {}
  Conv2dSteps get() const { return {stride, padding, dilation, groups}; }
};

LayerPtr makeConv2d(const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros, c10::string_view format,
                    at::IntArrayRef weightShape, at::SymIntArrayRef inputShape, const Conv2dSteps &steps,
                    c10::string_view compute) {
  auto layer = c10::make_intrusive<Layer>();
  const std::string formatText(format), computeText(compute);
  const at::DimVector weightSizes(weightShape);
  const c10::SymDimVector inputSizes(inputShape);
  const KeptSteps kept(steps);
  layer->run = [=](const Tensor &x, const OptionalTensor &bias, const std::string &activation) {
    return dispatch::conv2d(x, codes, scales, zeros, bias, formatText, weightSizes, kept.get(), computeText,
                            activation);
  };
  layer->inputGradient = [=](const Tensor &gradient) {
    return dispatch::conv2dInputGradient(gradient, codes, scales, zeros, formatText, weightSizes, inputSizes,
                                         kept.get(), computeText);
  };
  layer->biasGradient = sumOverPixels;
  layer->weight = tensorsOf(codes, scales, zeros);
  return layer;
}

LayerPtr makeConv2d(const PackedPtr &weight, at::SymIntArrayRef inputShape, const Conv2dSteps &steps,
                    c10::string_view compute) {
  auto layer = c10::make_intrusive<Layer>();
  const std::string computeText(compute);
  const c10::SymDimVector inputSizes(inputShape);
  const KeptSteps kept(steps);
  layer->run = [=](const Tensor &x, const OptionalTensor &bias, const std::string &activation) {
    return dispatch::conv2dPacked(x, weight, bias, kept.get(), computeText, activation);
  };
  layer->inputGradient = [=](const Tensor &gradient) {
    return dispatch::conv2dPackedInputGradient(gradient, weight, inputSizes, kept.get(), computeText);
  };
  layer->biasGradient = sumOverPixels;
  layer->weight = tensorsOf(weight);
  return layer;
}

} // namespace

Tensor bq::linearAutograd(const Tensor &x, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                          const OptionalTensor &bias, c10::string_view format, c10::string_view compute,
                          c10::string_view activation, const OptionalTensor &groupIndex) {
  return runLayer(
      "bq::linear", x, bias, scales, zeros, activation,
      [&] { return dispatch::linear(x, codes, scales, zeros, bias, format, compute, activation, groupIndex); },
      [&] { return makeLinear(codes, scales, zeros, format, inputFeatures("bq::linear", x), compute, groupIndex); });
}

Tensor bq::linearPackedAutograd(const Tensor &x, const PackedPtr &weight, const OptionalTensor &bias,
                                c10::string_view compute, c10::string_view activation) {
  return runLayer(
      "bq::linear_packed", x, bias, weight->scales(), weight->zeros(), activation,
      [&] { return dispatch::linearPacked(x, weight, bias, compute, activation); },
      [&] { return makeLinear(weight, compute); });
}

Tensor bq::conv2dAutograd(const Tensor &x, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                          const OptionalTensor &bias, c10::string_view format, at::IntArrayRef weightShape,
                          at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups,
                          c10::string_view compute, c10::string_view activation) {
  const Conv2dSteps steps{stride, padding, dilation, groups};
  return runLayer(
      "bq::conv2d", x, bias, scales, zeros, activation,
      [&] { return dispatch::conv2d(x, codes, scales, zeros, bias, format, weightShape, steps, compute, activation); },
      [&] { return makeConv2d(codes, scales, zeros, format, weightShape, x.sym_sizes(), steps, compute); });
}

Tensor bq::conv2dPackedAutograd(const Tensor &x, const PackedPtr &weight, const OptionalTensor &bias,
                                at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation,
                                int64_t groups, c10::string_view compute, c10::string_view activation) {
  const Conv2dSteps steps{stride, padding, dilation, groups};
  return runLayer(
      "bq::conv2d_packed", x, bias, weight->scales(), weight->zeros(), activation,
      [&] { return dispatch::conv2dPacked(x, weight, bias, steps, compute, activation); },
      [&] { return makeConv2d(weight, x.sym_sizes(), steps, compute); });
}

Tensor bq::linearInputGradientAutograd(const Tensor &gradient, const Tensor &codes, const Tensor &scales,
                                       const OptionalTensor &zeros, c10::string_view format, int64_t k,
                                       c10::string_view compute, const OptionalTensor &groupIndex) {
  return runInputGradient("bq::linear_input_gradient", gradient,
                          makeLinear(codes, scales, zeros, format, k, compute, groupIndex));
}

Tensor bq::linearPackedInputGradientAutograd(const Tensor &gradient, const PackedPtr &weight,
                                             c10::string_view compute) {
  return runInputGradient("bq::linear_packed_input_gradient", gradient, makeLinear(weight, compute));
}

Tensor bq::conv2dInputGradientAutograd(const Tensor &gradient, const Tensor &codes, const Tensor &scales,
                                       const OptionalTensor &zeros, c10::string_view format,
                                       at::IntArrayRef weightShape, at::SymIntArrayRef inputShape,
                                       at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation,
                                       int64_t groups, c10::string_view compute) {
  return runInputGradient(
      "bq::conv2d_input_gradient", gradient,
      makeConv2d(codes, scales, zeros, format, weightShape, inputShape, {stride, padding, dilation, groups}, compute));
}

Tensor bq::conv2dPackedInputGradientAutograd(const Tensor &gradient, const PackedPtr &weight,
                                             at::SymIntArrayRef inputShape, at::IntArrayRef stride,
                                             at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups,
                                             c10::string_view compute) {
  return runInputGradient("bq::conv2d_packed_input_gradient", gradient,
                          makeConv2d(weight, inputShape, {stride, padding, dilation, groups}, compute));
}
