// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Autograd.h"

#include "quantizers/Linear.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/functions/utils.h>

using namespace bq;

using at::Tensor;
using dispatch::OptionalTensor;
using dispatch::PackedPtr;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

bool needsGradient(const Tensor &x, const OptionalTensor &bias) {
  return at::GradMode::is_enabled() && (x.requires_grad() || (bias && bias->defined() && bias->requires_grad()));
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

/// The gradients of x and bias, from that of the sum before the activation. `weight` is asked where x needs one; it
/// yields W in the type of the gradient.
template <typename Weight>
std::pair<Tensor, Tensor> linearBackward(const AutogradContext &context, const Tensor &gradient, bool hasBias,
                                         Weight weight) {
  std::pair<Tensor, Tensor> gradients;
  if (context.needs_input_grad(0))
    gradients.first = at::matmul(gradient, weight());
  if (hasBias && context.needs_input_grad(1)) {
    gradients.second = gradient.dim() == 1 ? gradient : gradient.flatten(0, -2).sum(0);
    gradients.second = gradients.second.to(context.saved_data.at("bias type").toScalarType());
  }
  return gradients;
}

void saveTypes(AutogradContext &context, const OptionalTensor &bias, c10::string_view compute,
               c10::string_view activation) {
  context.saved_data["compute"] = std::string(compute);
  context.saved_data["activation"] = std::string(activation);
  if (bias && bias->defined())
    context.saved_data["bias type"] = bias->scalar_type();
}

/// x and bias come first, so that they are the first two edges.
struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static Tensor forward(AutogradContext *context, const Tensor &x, const OptionalTensor &bias, const Tensor &codes,
                        const Tensor &scales, const OptionalTensor &zeros, const OptionalTensor &groupIndex,
                        const std::string &format, const std::string &compute, const std::string &activation) {
    saveTypes(*context, bias, compute, activation);
    context->saved_data["format"] = format;
    context->saved_data["k"] = x.sym_size(-1).guard_int(__FILE__, __LINE__);
    // The sum before the activation is computed again, so x is needed only then.
    bool fused = activation != "none";
    context->save_for_backward({fused ? x : Tensor(), fused ? bias.value_or(Tensor()) : Tensor(), codes, scales,
                                zeros.value_or(Tensor()), groupIndex.value_or(Tensor())});
    at::AutoDispatchBelowADInplaceOrView guard;
    return dispatch::linear(x, codes, scales, zeros, bias, format, compute, activation, groupIndex);
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    variable_list saved = context->get_saved_variables();
    const Tensor &x = saved[0], &codes = saved[2], &scales = saved[3];
    OptionalTensor bias = whereDefined(saved[1]), zeros = whereDefined(saved[4]), groupIndex = whereDefined(saved[5]);
    std::string format = context->saved_data["format"].toStringRef();
    std::string activation = context->saved_data["activation"].toStringRef();
    Tensor gradient = gradients[0];
    if (activation != "none")
      gradient = activationBackward(gradient,
                                    dispatch::linear(x, codes, scales, zeros, bias, format,
                                                     context->saved_data["compute"].toStringRef(), "none", groupIndex),
                                    *parseActivation(activation));
    auto weight = [&] {
      at::DimVector shape{codes.sym_size(0).guard_int(__FILE__, __LINE__), context->saved_data["k"].toInt()};
      return dispatch::dequantize(codes, scales, zeros, *Format::parse(format), shape, groupIndex,
                                  gradient.scalar_type());
    };
    bool hasBias = context->saved_data.count("bias type") != 0;
    auto [gradX, gradBias] = linearBackward(*context, gradient, hasBias, weight);
    return {gradX, gradBias, {}, {}, {}, {}, {}, {}, {}};
  }
};

struct LinearPackedFunction : torch::autograd::Function<LinearPackedFunction> {
  static Tensor forward(AutogradContext *context, const Tensor &x, const OptionalTensor &bias, const PackedPtr &weight,
                        const std::string &compute, const std::string &activation) {
    saveTypes(*context, bias, compute, activation);
    context->saved_data["weight"] = weight;
    bool fused = activation != "none";
    // The tensors of the weight are not read back; saved, they make LibTorch refuse one that has changed meanwhile.
    context->save_for_backward({fused ? x : Tensor(), fused ? bias.value_or(Tensor()) : Tensor(), weight->codes(),
                                weight->scales(), weight->zeros().value_or(Tensor()),
                                weight->groupIndex().value_or(Tensor())});
    at::AutoDispatchBelowADInplaceOrView guard;
    return dispatch::linearPacked(x, weight, bias, compute, activation);
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    variable_list saved = context->get_saved_variables();
    PackedPtr weight = context->saved_data["weight"].toCustomClass<PackedWeight>();
    std::string activation = context->saved_data["activation"].toStringRef();
    Tensor gradient = gradients[0];
    if (activation != "none")
      gradient = activationBackward(gradient,
                                    dispatch::linearPacked(saved[0], weight, whereDefined(saved[1]),
                                                           context->saved_data["compute"].toStringRef(), "none"),
                                    *parseActivation(activation));
    bool hasBias = context->saved_data.count("bias type") != 0;
    auto [gradX, gradBias] = linearBackward(
        *context, gradient, hasBias, [&] { return weight->dequantize(gradient.scalar_type(), gradient.device()); });
    return {gradX, gradBias, {}, {}, {}};
  }
};

} // namespace

Tensor bq::linearAutograd(const Tensor &x, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                          const OptionalTensor &bias, c10::string_view format, c10::string_view compute,
                          c10::string_view activation, const OptionalTensor &groupIndex) {
  checkDifferentiable("bq::linear", x, bias, scales, zeros);
  if (needsGradient(x, bias))
    return LinearFunction::apply(x, bias, codes, scales, zeros, groupIndex, std::string(format), std::string(compute),
                                 std::string(activation));
  at::AutoDispatchBelowADInplaceOrView guard;
  return dispatch::linear(x, codes, scales, zeros, bias, format, compute, activation, groupIndex);
}

Tensor bq::linearPackedAutograd(const Tensor &x, const PackedPtr &weight, const OptionalTensor &bias,
                                c10::string_view compute, c10::string_view activation) {
  checkDifferentiable("bq::linear_packed", x, bias, weight->scales(), weight->zeros());
  if (needsGradient(x, bias))
    return LinearPackedFunction::apply(x, bias, weight, std::string(compute), std::string(activation));
  at::AutoDispatchBelowADInplaceOrView guard;
  return dispatch::linearPacked(x, weight, bias, compute, activation);
}
