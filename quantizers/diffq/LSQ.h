// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Weights of a fixed number of bits with a learned step (Esser et al. 2020, "Learned step size quantization").
#ifndef BQ_QUANTIZERS_DIFFQ_LSQ_H
#define BQ_QUANTIZERS_DIFFQ_LSQ_H

#include "quantizers/diffq/ModelQuantizer.h"

#include <torch/arg.h>

namespace bq {

struct BQ_TORCH_API LSQOptions {
  /// 1 to 15.
  TORCH_ARG(int64_t, bits) = 8;
  /// These are as in DiffQuantizerOptions.
  TORCH_ARG(double, min_size) = 0.01;
  TORCH_ARG(bool, float16) = false;
  TORCH_ARG(std::string, suffix) = "_lsq";
  TORCH_ARG(std::vector<std::string>, exclude);
  TORCH_ARG(bool, detect_bound) = true;
  /// Numbers of DiffQ 0.2.4 where these differ: the first scale is 2 mean|w| / sqrt(2^(bits-1)), where the paper has
  /// sqrt(2^(bits-1) - 1).
  TORCH_ARG(bool, upstream_compatible) = false;
};

/// With lo = -2^(bits-1) and hi = 2^(bits-1) - 1, a weight is s round(clamp(w / s, lo, hi)), for one learned scale s of
/// each parameter. The gradient passes straight through the rounding, not beyond the range, and that of s is multiplied
/// by 1 / sqrt(elements hi), where hi counts as 1 for one bit.
class BQ_TORCH_API LSQ : public ModelQuantizer {
public:
  /// Throws, naming the option, its value and its range, and where the model has a quantizer already. The scale of a
  /// weight of zeros starts at 1.
  explicit LSQ(torch::nn::Module &model, LSQOptions options = {});
  explicit LSQ(const torch::jit::Module &model, LSQOptions options = {});

  /// Adds the scales as one group with the optimizer's defaults; `change` has the last word.
  void setupOptimizer(torch::optim::Optimizer &optimizer,
                      const std::function<void(torch::optim::OptimizerOptions &)> &change = nullptr);
  void clearOptimizer(torch::optim::Optimizer &optimizer);

  const LSQOptions options;

protected:
  at::Tensor quantizedBits(bool exact) const override;
  at::Tensor trainingValue(const QuantizedParameter &entry, const at::Tensor &weight) override;
  /// Level l of the format stands for l + lo.
  MixedWeight pack(const QuantizedParameter &entry, const at::Tensor &weight) const override;
  at::Tensor unpack(const MixedWeight &weight, const at::Tensor &scale) const override;
  bool savesScale() const override { return true; }
  std::string optionsJson() const override;

private:
  LSQ(diffq::ModelView model, LSQOptions options);
  double checkedScale(const QuantizedParameter &entry) const;
  double lowest() const { return -static_cast<double>(int64_t(1) << (options.bits() - 1)); }
  double highest() const { return -lowest() - 1; }
};

} // namespace bq

#endif // BQ_QUANTIZERS_DIFFQ_LSQ_H
