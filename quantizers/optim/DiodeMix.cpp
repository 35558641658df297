// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/optim/DiodeMix.h"

#include "quantizers/nbit/Parameters.h"
#include "quantizers/nbit/WeightUpdate.h"

using namespace bq;
using namespace bq::optim;

using bq::nn::ParameterKind;
using bq::nn::QuantizedParameter;
using torch::optim::OptimizerParamGroup;

static constexpr const char *name = "bq::optim::DiodeMix";

void DiodeMixOptions::check() const {
  auto [beta1, beta2] = betas();
  TORCH_CHECK(lr() >= 0, name, ": lr is ", lr(), ", it must be at least 0");
  TORCH_CHECK(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1, name, ": betas are ", beta1, " and ", beta2,
              ", they must be at least 0 and below 1");
  TORCH_CHECK(eps() >= 0, name, ": eps is ", eps(), ", it must be at least 0");
  TORCH_CHECK(weight_decay() >= 0, name, ": weight_decay is ", weight_decay(), ", it must be at least 0");
  TORCH_CHECK(moments() != MomentType::None, name, ": moments are none: use f32, f16, bf16 or block8");
  TORCH_CHECK(!galore() || moments() != MomentType::Block8, name,
              ": moments in a space of low rank cannot be block8: use f32, f16 or bf16");
  if (galore())
    galore()->check();
}

DiodeMix::DiodeMix(const std::vector<OptimizerParamGroup> &groups, DiodeMixOptions defaults)
    : Optimizer(groups, std::make_unique<DiodeMixOptions>(defaults)) {
  for (const OptimizerParamGroup &group : param_groups_)
    optionsOf(group).check();
}

DiodeMix::DiodeMix(std::vector<at::Tensor> parameters, DiodeMixOptions defaults)
    : DiodeMix(std::vector<OptimizerParamGroup>{OptimizerParamGroup(std::move(parameters))}, std::move(defaults)) {}

DiodeMix::DiodeMix(const torch::OrderedDict<std::string, at::Tensor> &parameters, DiodeMixOptions defaults)
    : DiodeMix(parameters.values(), std::move(defaults)) {
  for (const auto &parameter : parameters)
    names[parameter.value().unsafeGetTensorImpl()] = parameter.key();
}

const DiodeMixOptions &DiodeMix::optionsOf(const OptimizerParamGroup &group) const {
  const auto *options = dynamic_cast<const DiodeMixOptions *>(&group.options());
  TORCH_CHECK(options, name, ": the options of a group are not DiodeMixOptions");
  return *options;
}

std::string DiodeMix::nameOf(const at::Tensor &parameter) const {
  if (auto known = names.find(parameter.unsafeGetTensorImpl()); known != names.end())
    return known->second;
  for (size_t group = 0; group < param_groups_.size(); ++group)
    for (size_t i = 0; i < param_groups_[group].params().size(); ++i)
      if (param_groups_[group].params()[i].is_same(parameter))
        return "parameter " + std::to_string(i) + " of group " + std::to_string(group);
  TORCH_CHECK(false, name, ": the parameter is not one of this optimizer's");
}

namespace {

bool isBinary(ParameterKind kind) { return kind == ParameterKind::BinaryLinear || kind == ParameterKind::BinaryConv; }

/// What gradients and moments of a parameter are projected as, or none.
std::optional<std::pair<int64_t, int64_t>> projectedMatrix(const at::Tensor &parameter) {
  std::vector<int64_t> shape = parameter.sizes().vec();
  if (QuantizedParameter::is(parameter)) {
    if (isBinary(QuantizedParameter(parameter).kind()))
      return std::nullopt;
    shape = QuantizedParameter(parameter).gradShape();
  }
  if (shape.size() < 2)
    return std::nullopt;
  return std::pair(shape[0], c10::multiply_integers(at::IntArrayRef(shape).slice(1)));
}

at::ScalarType plainType(MomentType type) {
  return type == MomentType::F16 ? at::kHalf : type == MomentType::BF16 ? at::kBFloat16 : at::kFloat;
}

/// Moments that are two tensors of one type; those of doubles are doubles.
Moments plainMoments(MomentType type, at::IntArrayRef shape, const at::Tensor &parameter) {
  bool isDouble = parameter.scalar_type() == at::kDouble;
  auto options = at::device(parameter.device()).dtype(isDouble ? at::kDouble : plainType(type));
  Moments moments;
  moments.type = type == MomentType::Block8 ? MomentType::F32 : type;
  moments.m = at::zeros(shape, options);
  moments.v = at::zeros(shape, options);
  return moments;
}

/// -sign(w) u / 1000. Of block8, stored in units of the greatest magnitude.
void startBinary(Moments &moments, const QuantizedParameter &parameter) {
  at::Tensor signs = parameter.dequantize().sign();
  signs = signs.dim() == 4 && !parameter.contents().upstreamCompatible ? signs.permute({0, 2, 3, 1}) : signs;
  at::Tensor start =
      (signs.reshape(parameter.momentShape()) * at::rand(parameter.momentShape(), signs.options())).neg();
  if (moments.type != MomentType::Block8) {
    moments.v.copy_(start * 1e-3);
    return;
  }
  moments.v.copy_((start * 127).round());
  moments.vScales.fill_(1e-3 / 127);
}

Moments freshMoments(const at::Tensor &parameter, MomentType type) {
  if (!QuantizedParameter::is(parameter)) {
    // As kernels want them; see stepFloat().
    if (parameter.scalar_type() != at::kDouble && parameter.is_contiguous())
      return Moments::zeros(type, UpdateRule::Adam, parameter.sizes(), /*isPacked=*/false, parameter.device());
    Moments moments = plainMoments(type, parameter.sizes(), parameter);
    moments.m = at::zeros_like(parameter, moments.m.options());
    moments.v = at::zeros_like(parameter, moments.v.options());
    return moments;
  }
  QuantizedParameter quantized(parameter);
  std::vector<int64_t> shape = quantized.momentShape();
  Moments moments =
      quantized.contents().upstreamCompatible
          ? plainMoments(type, shape, parameter)
          : Moments::zeros(type, nn::updateRule(quantized.kind()), shape, /*isPacked=*/true, parameter.device());
  if (isBinary(quantized.kind()))
    startBinary(moments, quantized);
  return moments;
}

} // namespace

DiodeMixParamState &DiodeMix::paramState(const at::Tensor &parameter) {
  auto &slot = state_[parameter.unsafeGetTensorImpl()];
  if (slot)
    return static_cast<DiodeMixParamState &>(*slot);
  at::NoGradGuard noGrad;
  auto made = std::make_unique<DiodeMixParamState>();
  for (const OptimizerParamGroup &group : param_groups_) {
    const DiodeMixOptions &options = optionsOf(group);
    for (const at::Tensor &own : group.params()) {
      if (!own.is_same(parameter))
        continue;
      auto matrix = projectedMatrix(parameter);
      if (options.galore() && matrix) {
        made->projector.emplace(*options.galore());
        made->moments =
            plainMoments(options.moments(), made->projector->projectedShape(matrix->first, matrix->second), parameter);
      } else {
        made->moments = freshMoments(parameter, options.moments());
      }
      slot = std::move(made);
      return static_cast<DiodeMixParamState &>(*slot);
    }
  }
  state_.erase(parameter.unsafeGetTensorImpl());
  TORCH_CHECK(false, name, ": the parameter is not one of this optimizer's");
}

/// Whether the step on a parameter is one kernel on a GPU, which takes none where a gradient is not finite.
static bool isOneGpuKernel(const at::Tensor &parameter, const DiodeMixOptions &options) {
  if (!parameter.is_cuda() || (options.galore() && projectedMatrix(parameter)))
    return false;
  if (QuantizedParameter::is(parameter))
    return !QuantizedParameter(parameter).contents().upstreamCompatible;
  return parameter.scalar_type() != at::kDouble && parameter.is_contiguous();
}

void DiodeMix::checkStep(const at::Tensor &parameter, const DiodeMixOptions &options) const {
  const at::Tensor &gradient = parameter.grad();
  TORCH_CHECK(!gradient.is_sparse(), name, ": the gradient of ", nameOf(parameter),
              " is sparse, which no rule here takes");
  TORCH_CHECK(parameter.numel() > 0, name, ": ", nameOf(parameter), " is empty and cannot be updated");
  std::vector<int64_t> shape = parameter.sizes().vec();
  if (QuantizedParameter::is(parameter))
    shape = QuantizedParameter(parameter).gradShape();
  else
    TORCH_CHECK(parameter.is_floating_point(), name, ": ", nameOf(parameter), " is of type ", parameter.scalar_type(),
                " and no quantized parameter: no rule is known for it");
  TORCH_CHECK(gradient.sizes() == shape, name, ": the gradient of ", nameOf(parameter), " has shape ", gradient.sizes(),
              ", expected ", at::IntArrayRef(shape));
  if (isOneGpuKernel(parameter, options))
    return watchGradient(gradient, nameOf(parameter));
  TORCH_CHECK(nn::isFinite(gradient), name, ": the gradient of ", nameOf(parameter), " holds NaN or infinity");
}

at::Tensor DiodeMix::step(LossClosure closure) {
  at::Tensor loss;
  if (closure) {
    at::AutoGradMode enable(true);
    loss = closure();
  }
  at::NoGradGuard noGrad;
  for (const OptimizerParamGroup &group : param_groups_) {
    const DiodeMixOptions &options = optionsOf(group);
    options.check();
    for (const at::Tensor &parameter : group.params())
      if (parameter.grad().defined())
        checkStep(parameter, options);
  }
  uint64_t number = 0;
  for (const OptimizerParamGroup &group : param_groups_) {
    const DiodeMixOptions &options = optionsOf(group);
    UpdateOptions numbers;
    numbers.lr = options.lr();
    numbers.weightDecay = options.weight_decay();
    std::tie(numbers.beta1, numbers.beta2) = options.betas();
    numbers.epsilon = options.eps();
    numbers.biasCorrection = options.correct_bias();
    numbers.gradientIsFinite = true;
    for (const at::Tensor &parameter : group.params()) {
      // Each parameter has random numbers of its own.
      numbers.seed = static_cast<uint64_t>(options.seed()) + 0x9e3779b97f4a7c15 * ++number;
      if (!parameter.grad().defined())
        continue;
      DiodeMixParamState &state = paramState(parameter);
      at::Tensor gradient = parameter.grad();
      if (state.projector)
        gradient = state.projector->project(gradient.flatten(1), state.step);
      const GaLoreProjector *projector = state.projector ? &*state.projector : nullptr;
      const int64_t step = state.step + 1;
      if (QuantizedParameter::is(parameter)) {
        QuantizedParameter quantized(parameter);
        quantized.contents().rounding = options.rounding();
        nn::stepParameter(quantized, gradient, state.moments, step, numbers, plainType(options.moments()), projector,
                          nameOf(parameter));
      } else {
        nn::stepFloat(parameter, gradient, state.moments, step, numbers, projector, nameOf(parameter));
      }
      state.step = step;
    }
  }
  return loss;
}
