// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/OneBitOptions.h"

#include <cmath>
#include <sstream>

using namespace bq;

void OneBitOptions::check() const {
  std::ostringstream broken;
  auto refuse = [&](const char *name, auto value, const char *rule) {
    broken << (broken.tellp() > 0 ? "; " : "") << name << " is " << value << ", " << rule;
  };
  if (num_layers_ && *num_layers_ < 1)
    refuse("num_layers", *num_layers_, "use 1 or more");
  if (target_layer_types_.empty())
    refuse("target_layer_types", "empty", "use Linear, Conv1D or both");
  for (const std::string &type : target_layer_types_)
    if (type != "Linear" && type != "Conv1D")
      refuse("target_layer_types", "'" + type + "'", "use Linear, Conv1D or both");
  if (hessian_dtype_ != at::kFloat && hessian_dtype_ != at::kDouble)
    refuse("hessian_dtype", hessian_dtype_, "use Float or Double");
  if (iters_ < 0)
    refuse("iters", iters_, "use 0 or more");
  if (use_balancing_ && balance_iters_ < 1)
    refuse("balance_iters", balance_iters_, "use 1 or more");
  if (use_balancing_ && !(balance_alpha_ > 0 && std::isfinite(balance_alpha_)))
    refuse("balance_alpha", balance_alpha_, "use a positive, finite number");
  if (!flag_calibration_ && flag_hessian_)
    refuse("flag_hessian", "true", "which needs flag_calibration");
  if (!flag_calibration_ && flag_xtx_)
    refuse("flag_xtx", "true", "which needs flag_calibration");
  TORCH_CHECK(broken.tellp() == 0, name_, ": ", broken.str());
}

onebit::LayerFilter OneBitOptions::filter() const {
  onebit::LayerFilter filter;
  filter.layers = num_layers_;
  filter.includeNames = include_layer_names_;
  filter.includeKeywords = include_layer_keywords_;
  filter.excludeNames = exclude_layer_names_;
  filter.excludeKeywords = exclude_layer_keywords_;
  return filter;
}

onebit::DecomposeOptions OneBitOptions::decomposition() const {
  onebit::DecomposeOptions options;
  options.iterations = iters_;
  options.importanceScaling = use_importance_scaling_;
  options.balancing = use_balancing_;
  options.balanceIterations = balance_iters_;
  options.balanceAlpha = balance_alpha_;
  options.upstreamCompatible = upstream_compatible_;
  return options;
}

std::string OneBitOptions::str() const {
  std::ostringstream text;
  const bool hasHessian = use_importance_scaling_ && flag_hessian_;
  if (upstream_compatible_) {
    text << "as OneCompression 1.0.2: "
         << (use_balancing_ ? "balancing"
             : hasHessian   ? "importance scaling by the Hessian's diagonal"
                            : "plain");
    return text.str();
  }
  if (!hasHessian)
    return "the best form for errors of the weight";
  text << "errors weighted by the Hessian; the best start of plain and scaled"
       << (use_balancing_ ? ", each as it is and balanced" : "") << "; rounds of refinement: " << iters_;
  return text.str();
}
