// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The optimizer of bitorch-engine, DiodeMix, on one parameter.
#include "quantizers/optim/DiodeMix.h"
#include "tools/bq-golden/OpTable.h"
#include "tools/bq-golden/ops/ParameterCase.h"

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

/// A step of the optimizer for each gradient of the case, and `after` behind it. Gives step and moments.
Results takeSteps(const Case &given, DiodeMix &optimizer, at::Tensor parameter, const std::function<void()> &after) {
  at::Tensor gradients = given.input("grads");
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

Results optimizeFloat(const Case &given) {
  at::Tensor weight = given.input("weight").requires_grad_(true);
  // Upstream's moments of an ordinary parameter have its type, whatever the optimizer's is.
  DiodeMix optimizer({weight}, optionsOf(given, weight.scalar_type()));
  std::vector<at::Tensor> weights;
  Results results = takeSteps(given, optimizer, weight, [&] { weights.push_back(weight.detach().clone()); });
  results.tensors["weights"] = at::stack(weights);
  return results;
}

Results optimize(const Case &given, const QuantizedParameter &parameter) {
  DiodeMix optimizer({parameter.data()}, optionsOf(given, given.type("dtype", at::kFloat)));
  // The start that the optimizer draws at random, as the case drew it.
  if (at::Tensor delta = given.optionalInput("init_delta"); delta.defined())
    optimizer.paramState(parameter.data()).moments.v.copy_(-parameter.data().sign() * delta);
  ParameterTrace trace(parameter);
  Results results = takeSteps(given, optimizer, parameter.data(), [&] { trace.record(); });
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
  ops["DiodeMix_float"] = {optimizeFloat, {}};
  ops["DiodeMix_nbit"] = {optimizeNBit, {}};
  ops["DiodeMix_bin"] = {optimizeBinary, {}};
  ops["DiodeMix_mpq"] = {optimizeMpq, {}};
}
