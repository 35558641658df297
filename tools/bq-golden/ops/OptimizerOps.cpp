// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The optimizer of bitorch-engine, DiodeMix, on one parameter.
#include "quantizers/optim/DiodeMix.h"
#include "tools/bq-golden/OpTable.h"
#include "tools/bq-golden/ops/ParameterCase.h"

#include <ATen/CPUGeneratorImpl.h>

using namespace bq;
using namespace bq::golden;
using bq::nn::ParameterKind;
using bq::nn::QuantizedParameter;
using bq::optim::DiodeMix;
using bq::optim::DiodeMixOptions;
using bq::optim::DiodeMixParamState;

namespace {

DiodeMixOptions optionsOf(const Case &given, at::ScalarType momentType) {
  DiodeMixOptions options(given.number("lr", 1e-4));
  if (given.has("betas")) {
    const std::vector<double> betas = given.numbers("betas");
    TORCH_CHECK(betas.size() == 2, "parameter 'betas' has ", betas.size(), " numbers, expected 2");
    options.betas({betas[0], betas[1]});
  }
  options.eps(given.number("eps", 1e-6))
      .weight_decay(given.number("weight_decay", 0))
      .correct_bias(given.flag("correct_bias", true));
  options.moments(momentType == at::kHalf       ? MomentType::F16
                  : momentType == at::kBFloat16 ? MomentType::BF16
                                                : MomentType::F32);
  if (given.has("galore")) {
    const Case galore = given.group("galore");
    options.galore(optim::GaLoreOptions(galore.integer("rank"))
                       .update_proj_gap(galore.integer("update_proj_gap", 200))
                       .scale(galore.number("scale", 1))
                       .proj_type(optim::parseProjection(galore.text("proj_type", "std"))));
  }
  return options;
}

/// A step of the optimizer for each gradient, and `after` behind it. Gives step and moments.
Results takeSteps(const at::Tensor &gradients, DiodeMix &optimizer, at::Tensor parameter,
                  const std::function<void()> &after) {
  for (int64_t i = 0; i < gradients.size(0); ++i) {
    parameter.mutable_grad() = gradients[i];
    optimizer.step();
    after();
  }
  const DiodeMixParamState &state = optimizer.paramState(parameter);
  return {{{"step", at::full({1}, static_cast<double>(state.step))},
           {"exp_avg_l", state.moments.m},
           {"exp_avg_s", state.moments.v}}};
}

Results optimizeFloat(const Case &given, const at::Tensor &gradients) {
  at::Tensor weight = given.input("weight").requires_grad_(true);
  // Upstream's moments of an ordinary parameter have its type, whatever the optimizer's is.
  DiodeMix optimizer({weight}, optionsOf(given, weight.scalar_type()));
  std::vector<at::Tensor> weights;
  Results results = takeSteps(gradients, optimizer, weight, [&] { weights.push_back(weight.detach().clone()); });
  results.tensors["weights"] = at::stack(weights);
  return results;
}

/// Twice the range of what gradients give that differ in their last bit.
at::Tensor roundingOf(const Case &given, const at::Tensor &gradients) {
  at::Generator generator = at::detail::createCPUGenerator(/*seed=*/1);
  std::vector<at::Tensor> weights;
  for (int64_t i = 0; i < 64; ++i) {
    at::Tensor bits = at::randint(-1, 2, gradients.sizes(), generator, gradients.options());
    weights.push_back(optimizeFloat(given, gradients + gradients * bits * 0x1p-23).tensors.at("weights"));
  }
  at::Tensor all = at::stack(weights);
  return (all.amax(0) - all.amin(0)) * 2;
}

Results optimizeFloat(const Case &given) {
  const at::Tensor gradients = given.input("grads");
  Results results = optimizeFloat(given, gradients);
  // A gradient between its own singular vectors is diagonal: the rest is what rounding leaves, and differs between
  // CPUs. Parted by its own root it makes steps that count.
  if (given.has("galore") && given.group("galore").text("proj_type", "std") == "full")
    results.rounding["weights"] = roundingOf(given, gradients);
  return results;
}

Results optimize(const Case &given, const QuantizedParameter &parameter) {
  DiodeMix optimizer({parameter.data()}, optionsOf(given, given.type("dtype", at::kFloat)));
  // The start that the optimizer draws at random, as the case drew it.
  if (at::Tensor delta = given.optionalInput("init_delta"); delta.defined())
    optimizer.paramState(parameter.data()).moments.v.copy_(-parameter.data().sign() * delta);
  ParameterTrace trace(parameter);
  Results results = takeSteps(given.input("grads"), optimizer, parameter.data(), [&] { trace.record(); });
  trace.addTo(results);
  return results;
}

Results optimizeNBit(const Case &given) {
  return optimize(given, integerParameter(given, ParameterKind::NBitLinear, ParameterKind::NBitConv));
}

Results optimizeBinary(const Case &given) {
  return optimize(given, integerParameter(given, ParameterKind::BinaryLinear, ParameterKind::BinaryConv));
}

Results optimizeMpq(const Case &given) { return optimize(given, mpqParameter(given)); }

} // namespace

void golden::addOptimizerOps(OpTable &table) {
  auto &ops = table["bitorch-engine"];
  ops["DiodeMix_float"] = {[](const Case &given) { return optimizeFloat(given); }, {}};
  ops["DiodeMix_nbit"] = {optimizeNBit, {}};
  ops["DiodeMix_bin"] = {optimizeBinary, {}};
  ops["DiodeMix_mpq"] = {optimizeMpq, {}};
}
