// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Optimizer steps of bitorch-engine on quantized parameters.
#include "tools/bq-golden/OpTable.h"
#include "tools/bq-golden/ops/ParameterCase.h"

using namespace bq;
using namespace bq::golden;
using bq::nn::ParameterKind;
using bq::nn::QuantizedParameter;

namespace {

/// A step for each gradient of the case.
Results takeSteps(const Case &given, const QuantizedParameter &parameter) {
  at::Tensor gradients = given.input("grads");
  const at::ScalarType dtype = given.type("compute_dtype", at::kFloat);
  auto moment = [&](const char *name) {
    at::Tensor first = given.optionalInput(name);
    return first.defined() ? first : at::zeros(parameter.momentShape(), dtype);
  };
  at::Tensor expAvgS = moment("exp_avg_s_0"), expAvgL = moment("exp_avg_l_0"), step = at::zeros({1});
  ParameterTrace trace(parameter);
  for (int64_t i = 0; i < gradients.size(0); ++i) {
    at::Tensor gradient = gradients[i];
    if (!gradient.is_floating_point())
      gradient = gradient.to(at::kFloat);
    nn::qweightUpdateFn(parameter.data(), expAvgS, expAvgL, step, given.number("lr", 1e-4),
                        given.number("weight_decay", 0), given.number("beta1", 0.99), given.number("beta2", 0.9999),
                        given.number("eps", 1e-6), dtype, given.flag("correct_bias", false), nullptr, gradient);
    trace.record();
  }
  Results results{{{"exp_avg_s", expAvgS}, {"exp_avg_l", expAvgL}, {"step", step}}};
  trace.addTo(results);
  return results;
}

Results updateNBit(const Case &given) {
  return takeSteps(given, integerParameter(given, ParameterKind::NBitLinear, ParameterKind::NBitConv));
}

Results updateBinary(const Case &given) {
  return takeSteps(given, integerParameter(given, ParameterKind::BinaryLinear, ParameterKind::BinaryConv));
}

Results updateMpq(const Case &given) { return takeSteps(given, mpqParameter(given)); }

} // namespace

void golden::addUpdateOps(OpTable &table) {
  auto &ops = table["bitorch-engine"];
  ops["qweight_update_nbit"] = {updateNBit, {}};
  ops["qweight_update_binary"] = {updateBinary, {}};
  ops["qweight_update_mpq"] = {updateMpq, {}};
}
