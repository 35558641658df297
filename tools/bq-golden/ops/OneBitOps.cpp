// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// OneBit of OneCompression: decomposition, balancing, calibration, inference, choice of layers.
#include "quantizers/PackedWeight.h"
#include "quantizers/Quantize.h"
#include "quantizers/onebit/Calibration.h"
#include "quantizers/onebit/LayerFilter.h"
#include "quantizers/onebit/RankOne.h"
#include "quantizers/onebit/SignBits.h"
#include "quantizers/onebit/UpstreamBalance.h"
#include "quantizers/onebit/UpstreamDecompose.h"
#include "tools/bq-golden/OpTable.h"

#include <algorithm>
#include <limits>

using namespace bq;
using namespace bq::golden;

using at::Tensor;

namespace {

Tensor doubles(const std::vector<double> &values) { return at::tensor(values, at::kDouble); }

Results runOneBit(const Case &given) {
  onebit::DecomposeOptions options;
  options.iterations = given.integer("iters", options.iterations);
  options.importanceScaling = given.flag("use_importance_scaling", options.importanceScaling);
  options.balancing = given.flag("use_balancing", options.balancing);
  options.balanceIterations = given.integer("balance_iters", options.balanceIterations);
  options.balanceAlpha = given.number("balance_alpha", options.balanceAlpha);
  options.upstreamCompatible = true;
  onebit::Importance importance;
  importance.hessian = given.optionalInput("hessian");
  importance.inputNorms = given.optionalInput("i_norm");
  importance.outputNorms = given.optionalInput("o_norm");
  Tensor weight = given.input("weight");
  onebit::Decomposition form = onebit::decomposeAsUpstream(weight, options, importance, given.optionalInput("v0"));
  Tensor wide = form.dequantized.to(at::kDouble);
  return {{{"a", form.a.to(at::kHalf)},
           {"b", form.b.to(at::kHalf)},
           {"sign_packed", onebit::packSigns(form.sign.to(at::kChar) * 2 - 1)},
           {"dequantized_weight", form.dequantized},
           {"dequantized_first_rows", form.dequantized.slice(0, 0, 4)},
           {"dequantized_frobenius", wide.norm()},
           {"weight_error_squared", (weight.to(at::kDouble) - wide).square().sum()}}};
}

Results power(const Case &given) {
  onebit::RankOne triple = onebit::powerIteration(given.input("A"), given.input("v0"), given.integer("num_iters", 5));
  return {{{"u", triple.left}, {"sigma", at::scalar_tensor(triple.sigma)}, {"v", triple.right}}};
}

Results fallback(const Case &given) {
  onebit::FallbackForm form = onebit::upstreamFallback(given.input("Z"), given.input("m0"), given.integer("nit"));
  return {{{"a", form.a}, {"b", form.b}, {"sigma", at::scalar_tensor(form.sigma)}}};
}

Results balanced(const Tensor &weight, const onebit::BalanceOptions &options) {
  onebit::Balance balance = onebit::balanceAsUpstream(weight.to(at::kFloat), options);
  Results results{{{"Wb", balance.apply(weight)},
                   {"Dr", balance.rows},
                   {"Dc", balance.columns},
                   {"kkt_r", doubles(balance.rowResiduals)},
                   {"kkt_c", doubles(balance.columnResiduals)},
                   {"obj", doubles(balance.objectives)}}};
  results.values["iterations"] = balance.rowResiduals.size();
  return results;
}

Results balanceTrack(const Case &given) {
  onebit::BalanceOptions options;
  options.iterations = given.integer("its", options.iterations);
  options.alpha = given.number("alpha", options.alpha);
  if (given.has("beta"))
    options.beta = given.number("beta");
  const std::string mode = given.text("mode", "l1");
  TORCH_CHECK(mode == "l1" || mode == "l2", "balance_track: mode is '", mode, "', use l1 or l2");
  options.magnitude = mode == "l1" ? onebit::Magnitude::Absolute : onebit::Magnitude::Square;
  options.fixGauge = given.flag("gauge_fix", options.fixGauge);
  options.floor = given.number("eps", options.floor);
  options.tolerance = given.number("tol", options.tolerance);
  options.stopWindow = given.integer("stop_window", options.stopWindow);
  const Tensor weight = given.input("W");
  Results results = balanced(weight, options);
  // A norm is a sum of rounded products, and LibTorch's roots differ in their last bit between CPUs: four of these are
  // as much as a residual can be off where it is held against the tolerance.
  const double wanted = options.beta.value_or(options.alpha * weight.size(0) / weight.size(1));
  const double off = 4 * 0x1p-23 * std::max(options.alpha, wanted);
  const double tolerance = options.tolerance;
  for (double other : {tolerance - off, tolerance + off}) {
    options.tolerance = other;
    results.others.push_back(balanced(weight, options));
  }
  return results;
}

Results linearForward(const Case &given) {
  Tensor x = given.input("x"), sign = given.input("sign"), a = given.input("a"), b = given.input("b");
  if (sign.scalar_type() == at::kByte)
    sign = onebit::unpackSigns(sign, a.size(0), b.size(0));
  const Format format = *Format::parse("sign");
  Tensor codes = std::get<0>(quantize(sign.to(at::kFloat), format));
  auto weight = c10::make_intrusive<PackedWeight>(codes, at::cat({a, b}), std::nullopt, format,
                                                  std::vector<int64_t>{a.size(0), b.size(0)});
  Tensor bias = given.optionalInput("bias");
  Tensor y = weight->linear(x, bias.defined() ? std::optional<Tensor>(bias) : std::nullopt);
  return {{{"sign_packed", onebit::packSigns(sign)}, {"y", y}, {"y_float64", y.to(at::kDouble)}}};
}

Tensor errorValues(const onebit::SquaredError &error) {
  return doubles({error.sum, error.mean, error.relative.value_or(std::numeric_limits<double>::quiet_NaN())});
}

Results hessianAndErrors(const Case &given) {
  Tensor x = given.input("X"), weight = given.input("W"), quantized = given.input("W_hat");
  onebit::Hessian hessian(weight.size(1));
  hessian.add(x);
  return {{{"hessian", hessian.value()},
           {"output_error", errorValues(onebit::outputError(weight, quantized, x))},
           {"weight_error", errorValues(onebit::weightError(weight, quantized))}}};
}

Results qep(const Case &given) {
  Tensor weight = given.input("W"), now = given.input("X_quant"), before = given.input("X_orig");
  onebit::Hessian hessian(weight.size(1));
  hessian.add(now);
  Tensor shift = onebit::inputShift(before, now);
  onebit::QepOptions options;
  options.damping = given.number("percdamp", options.damping);
  options.correction = given.number("perccorr", options.correction);
  return {{{"hessian", hessian.value()},
           {"delta_hatX", shift},
           {"W_adjusted", onebit::adjustWeight(weight, hessian.value(), shift, options)}}};
}

std::vector<std::string> names(const nlohmann::json &list) {
  return list.is_null() ? std::vector<std::string>() : list.get<std::vector<std::string>>();
}

Results layerSelection(const Case &given) {
  const nlohmann::json options = given.params.at("kwargs");
  onebit::LayerFilter filter;
  // The package of the cases excludes no keywords where none are given.
  filter.excludeKeywords = names(options.value("exclude_layer_keywords", nlohmann::json()));
  if (options.contains("exclude_layer_names"))
    filter.excludeNames = names(options["exclude_layer_names"]);
  if (options.contains("include_layer_names") && !options["include_layer_names"].is_null())
    filter.includeNames = names(options["include_layer_names"]);
  if (options.contains("include_layer_keywords") && !options["include_layer_keywords"].is_null())
    filter.includeKeywords = names(options["include_layer_keywords"]);
  if (options.contains("num_layers") && !options["num_layers"].is_null())
    filter.layers = options["num_layers"].get<int64_t>();
  Results results;
  results.values["selected"] = filter.select(names(given.params.at("linear")));
  return results;
}

} // namespace

void golden::addOneBitOps(OpTable &table) {
  auto &ops = table["onebit"];
  ops["run_onebit"] = {runOneBit, {}};
  ops["power_iteration"] = {power, {}};
  ops["power_rank1_fallback"] = {fallback, {}};
  ops["balance_track"] = {balanceTrack, {}};
  ops["OneBitLinear.forward"] = {linearForward, {}};
  ops["hessian_and_errors"] = {hessianAndErrors, {}};
  ops["qep_adjust_weight"] = {qep, {}};
  ops["layer_selection"] = {layerSelection, {}};
}
