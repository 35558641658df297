// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/WeightUpdate.h"

#include "quantizers/nbit/UpstreamUpdate.h"
#include "quantizers/optim/GaLoreProjector.h"

#include <cmath>

using namespace bq;
using namespace bq::nn;

namespace {

bool isBinary(const QuantizedParameter &parameter) {
  return parameter.kind() == ParameterKind::BinaryLinear || parameter.kind() == ParameterKind::BinaryConv;
}

upstream::StepOptions upstreamOptions(const UpdateOptions &options, at::ScalarType dtype,
                                      const optim::GaLoreProjector *projector) {
  return {options.lr, options.weightDecay,    options.beta1, options.beta2, options.epsilon,
          dtype,      options.biasCorrection, projector};
}

void checkFinite(const at::Tensor &gradient, const std::string &name) {
  TORCH_CHECK(isFinite(gradient), "bq::nn::qweightUpdateFn: the gradient of ", name, " holds NaN or infinity");
}

void checkMoments(const at::Tensor &expAvgS, const at::Tensor &expAvgL, at::IntArrayRef shape,
                  const std::string &name) {
  TORCH_CHECK(expAvgL.defined() && expAvgS.defined() && expAvgL.sizes() == shape && expAvgS.sizes() == shape,
              "bq::nn::qweightUpdateFn: expected moments of shape ", shapeText(shape), " for ", name, ", got ",
              expAvgL.defined() ? shapeText(expAvgL.sizes()) : "none", " and ",
              expAvgS.defined() ? shapeText(expAvgS.sizes()) : "none");
}

void stepUpstream(const QuantizedParameter &parameter, const at::Tensor &gradient, const Moments &moments, int64_t step,
                  const upstream::StepOptions &options) {
  double number = static_cast<double>(step);
  if (isBinary(parameter))
    return upstream::updateBinary(parameter.data(), gradient, moments.v, moments.m, options);
  if (parameter.kind() != ParameterKind::MpqWeight)
    return upstream::updateNBit(parameter.data(), gradient, moments.v, moments.m, number, options);
  GptqWeight weight = parameter.contents().gptq;
  weight.words = parameter.data();
  upstream::updateMpq(weight, gradient, moments.v, moments.m, number, options);
}

PackedParameter packedParameter(const QuantizedParameter &parameter) {
  ParameterContents &contents = parameter.contents();
  if (isBinary(parameter))
    return {contents.format, parameter.data(), {}, {}, {}, Rounding::Nearest, ScaleUpdate::Keep};
  at::Tensor residual;
  if (contents.rounding == Rounding::Residual) {
    if (!contents.residual.defined())
      contents.residual = at::zeros(parameter.momentShape(), parameter.data().options().dtype(at::kChar));
    contents.residual = contents.residual.to(parameter.data().device());
    residual = contents.residual;
  }
  return {contents.format, parameter.data(),  contents.scales, contents.zeros,
          residual,        contents.rounding, contents.scaling};
}

/// A step along what the projector brings back: moments live in its space, so this is not one kernel.
at::Tensor projectedDirection(const at::Tensor &gradient, const Moments &moments,
                              const optim::GaLoreProjector &projector, const UpdateOptions &options,
                              const std::string &name) {
  checkFinite(gradient, name);
  checkMoments(moments.v, moments.m, gradient.sizes(), name);
  TORCH_CHECK(moments.type != MomentType::Block8, "bq::nn::qweightUpdateFn: projected moments of ", name,
              " cannot be block8: use f32, bf16 or f16");
  upstream::StepOptions step = upstreamOptions(options, moments.m.scalar_type(), &projector);
  return upstream::direction(gradient.to(moments.m.scalar_type()), moments.v, moments.m, step);
}

/// The options of a step by `direction` that moves a weight as one by `adam` does.
UpdateOptions directionOptions(UpdateOptions options, int64_t step) {
  double rate = upstream::stepSize(upstreamOptions(options, at::kFloat, nullptr), static_cast<double>(step));
  options.weightDecay = rate ? options.weightDecay * options.lr / rate : 0;
  options.lr = rate;
  options.rule = UpdateRule::Direction;
  options.biasCorrection = false;
  // What was checked is the gradient, not this.
  options.gradientIsFinite = false;
  return options;
}

/// Channels last, as rows of the packed weight are.
at::Tensor packedGradient(const at::Tensor &gradient, at::IntArrayRef shape) {
  return gradient.dim() == 4 ? gradient.permute({0, 2, 3, 1}).reshape(shape) : gradient;
}

} // namespace

bool bq::nn::isFinite(const at::Tensor &tensor) {
  // A sum of finite numbers may overflow, so only where it is not finite are they looked at one by one.
  return !tensor.is_floating_point() || std::isfinite(tensor.sum().item<double>()) ||
         at::isfinite(tensor).all().item<bool>();
}

UpdateRule bq::nn::updateRule(ParameterKind kind) {
  bool binary = kind == ParameterKind::BinaryLinear || kind == ParameterKind::BinaryConv;
  return binary ? UpdateRule::SignMomentum : UpdateRule::Adam;
}

void bq::nn::stepParameter(const QuantizedParameter &parameter, const at::Tensor &gradient, const Moments &moments,
                           int64_t step, const UpdateOptions &options, at::ScalarType dtype,
                           const optim::GaLoreProjector *projector, const std::string &name) {
  at::NoGradGuard noGrad;
  std::vector<int64_t> shape = parameter.gradShape();
  TORCH_CHECK(!projector || !isBinary(parameter), "bq::nn::qweightUpdateFn: ", name,
              " is binary, which takes no projector");
  TORCH_CHECK(projector || gradient.sizes() == shape, "bq::nn::qweightUpdateFn: the gradient of ", name, " has shape ",
              shapeText(gradient.sizes()), ", expected ", shapeText(shape));
  if (parameter.contents().upstreamCompatible) {
    TORCH_CHECK(moments.type != MomentType::Block8, "bq::nn::qweightUpdateFn: ", name,
                " is as bitorch-engine has it, which knows no moments of type block8");
    // What the caller has looked at is not what a projector made of it.
    if (!options.gradientIsFinite || projector)
      checkFinite(gradient, name);
    checkMoments(moments.v, moments.m, gradient.sizes(), name);
    return stepUpstream(parameter, gradient, moments, step, upstreamOptions(options, dtype, projector));
  }
  UpdateOptions own = options;
  own.rule = updateRule(parameter.kind());
  own.biasCorrection = options.biasCorrection && own.rule == UpdateRule::Adam;
  std::vector<int64_t> packedShape = parameter.momentShape();
  if (projector) {
    at::Tensor direction = projectedDirection(gradient, moments, *projector, options, name);
    return update(packedParameter(parameter), packedGradient(direction.view(shape), packedShape), {}, step,
                  directionOptions(own, step), name);
  }
  update(packedParameter(parameter), packedGradient(gradient, packedShape), moments, step, own, name);
}

void bq::nn::stepFloat(const at::Tensor &weight, const at::Tensor &gradient, const Moments &moments, int64_t step,
                       const UpdateOptions &options, const optim::GaLoreProjector *projector, const std::string &name) {
  at::NoGradGuard noGrad;
  // Kernels take neither doubles nor weights in another order than row by row.
  bool byKernel = weight.scalar_type() != at::kDouble && weight.is_contiguous();
  if (!byKernel) {
    // What the caller has looked at is not what a projector made of it.
    if (!options.gradientIsFinite || projector)
      checkFinite(gradient, name);
    return upstream::updateFloat(weight, gradient, moments.v, moments.m, static_cast<double>(step),
                                 upstreamOptions(options, moments.m.scalar_type(), projector));
  }
  UpdateOptions own = options;
  own.rule = UpdateRule::Adam;
  if (!projector)
    return update(weight, gradient, moments, step, own, name);
  at::Tensor direction = projectedDirection(gradient, moments, *projector, options, name);
  update(weight, direction.view(weight.sizes()), {}, step, directionOptions(own, step), name);
}

void bq::nn::qweightUpdateFn(const at::Tensor &qweight, const at::Tensor &expAvgS, const at::Tensor &expAvgL,
                             const at::Tensor &step, double lr, double weightDecay, double beta1, double beta2,
                             double eps, at::ScalarType dtype, bool correctBias, optim::GaLoreProjector *projector,
                             const std::optional<at::Tensor> &grad) {
  constexpr const char *op = "bq::nn::qweightUpdateFn";
  TORCH_CHECK(QuantizedParameter::is(qweight), op, ": a tensor of type ",
              qweight.defined() ? toString(qweight.scalar_type()) : "none",
              " that is no quantized parameter has no rule: use an NBitLinearParameter, NBitConvParameter, "
              "BinaryLinearParameter, BinaryConvParameter or MPQWeightParameter");
  QuantizedParameter parameter(qweight);
  std::string name = parameter.describe();
  TORCH_CHECK(step.defined() && step.numel() == 1, op, ": 'step' of ", name, " must have one element");
  const int64_t done = static_cast<int64_t>(step.item<double>());
  at::Tensor gradient = grad ? *grad : parameter.grad();
  TORCH_CHECK(gradient.defined(), op, ": ", name, " has no gradient: run backward(), or give 'grad'");
  if (projector && !grad)
    gradient = projector->project(gradient.flatten(1), done);
  checkMoments(expAvgS, expAvgL, projector ? gradient.sizes() : at::IntArrayRef(parameter.momentShape()), name);

  UpdateOptions options;
  options.lr = lr;
  options.weightDecay = weightDecay;
  options.beta1 = beta1;
  options.beta2 = beta2;
  options.epsilon = eps;
  options.biasCorrection = correctBias;
  Moments moments;
  moments.m = expAvgL;
  moments.v = expAvgS;
  switch (expAvgL.scalar_type()) {
  case at::kHalf:
    moments.type = MomentType::F16;
    break;
  case at::kBFloat16:
    moments.type = MomentType::BF16;
    break;
  default:
    moments.type = MomentType::F32;
  }
  stepParameter(parameter, gradient, moments, done + 1, options, dtype, projector, name);
  step.add_(1);
}
