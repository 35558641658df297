// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The options of bq::OneBit.
#ifndef BQ_QUANTIZERS_ONEBIT_ONEBITOPTIONS_H
#define BQ_QUANTIZERS_ONEBIT_ONEBITOPTIONS_H

#include "quantizers/Export.h"
#include "quantizers/onebit/Decompose.h"
#include "quantizers/onebit/LayerFilter.h"

#include <torch/arg.h>

#include <optional>
#include <string>
#include <vector>

namespace bq {

/// Defaults are those of OneCompression's Onebit.
struct BQ_TORCH_API OneBitOptions {
  TORCH_ARG(std::string, name) = "OneBit";
  /// As many layers as must be found; the first ones are taken.
  TORCH_ARG(std::optional<int64_t>, num_layers);
  /// Results hold the squared errors of weight and output.
  TORCH_ARG(bool, calc_quant_error) = false;
  /// Whole names of the only layers that are quantized.
  TORCH_ARG(std::optional<std::vector<std::string>>, include_layer_names);
  TORCH_ARG(std::vector<std::string>, exclude_layer_names) = { "lm_head" };
  /// Only layers whose name contains one of these.
  TORCH_ARG(std::optional<std::vector<std::string>>, include_layer_keywords);
  TORCH_ARG(std::vector<std::string>, exclude_layer_keywords) = { "per_layer_model_projection" };
  /// Types of modules: Linear, weight [out, in], and Conv1D, that of transformers, weight [in, out].
  TORCH_ARG(std::vector<std::string>, target_layer_types) = { "Linear" };
  /// In what the Hessian is summed: float or double.
  TORCH_ARG(at::ScalarType, hessian_dtype) = at::kFloat;
  /// Rounds of refinement, which never raise the error; with upstream_compatible steps of power iteration.
  TORCH_ARG(int64_t, iters) = 10;
  /// Errors count by what inputs and outputs weigh.
  TORCH_ARG(bool, use_importance_scaling) = true;
  TORCH_ARG(bool, use_balancing) = true;
  TORCH_ARG(int64_t, balance_iters) = 40;
  TORCH_ARG(double, balance_alpha) = 1.0;
  /// run() needs calibration data.
  TORCH_ARG(bool, flag_calibration) = true;
  /// The Hessian of the inputs is made, and decides what errors weigh.
  TORCH_ARG(bool, flag_hessian) = true;
  /// Results hold X^T X of the inputs.
  TORCH_ARG(bool, flag_xtx) = false;
  /// The numbers of OneCompression 1.0.2: balancing switches importance off, a and b lack the balancing factors.
  TORCH_ARG(bool, upstream_compatible) = false;

public:
  /// Throws c10::Error with every rule that is broken.
  void check() const;
  /// Which layers the names and keywords choose.
  onebit::LayerFilter filter() const;
  onebit::DecomposeOptions decomposition() const;
  /// One line that says what is combined.
  std::string str() const;
};

} // namespace bq

#endif // BQ_QUANTIZERS_ONEBIT_ONEBITOPTIONS_H
