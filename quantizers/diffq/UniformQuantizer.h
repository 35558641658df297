// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The same number of bits for all weights of a model.
#ifndef BQ_QUANTIZERS_DIFFQ_UNIFORMQUANTIZER_H
#define BQ_QUANTIZERS_DIFFQ_UNIFORMQUANTIZER_H

#include "quantizers/diffq/ModelQuantizer.h"

#include <torch/arg.h>

namespace bq {

struct BQ_TORCH_API UniformQuantizerOptions {
  /// 1 to 15, a whole number.
  TORCH_ARG(double, bits) = 8;
  /// These are as in DiffQuantizerOptions.
  TORCH_ARG(double, min_size) = 0.01;
  TORCH_ARG(bool, float16) = false;
  /// Training sees rounded weights; the gradient passes straight through the rounding.
  TORCH_ARG(bool, qat) = false;
  TORCH_ARG(std::vector<std::string>, exclude);
  TORCH_ARG(bool, detect_bound) = true;
  TORCH_ARG(bool, upstream_compatible) = false;
};

class BQ_TORCH_API UniformQuantizer : public ModelQuantizer {
public:
  /// Throws, naming the option, its value and its range, and where the model has a quantizer already.
  explicit UniformQuantizer(torch::nn::Module &model, UniformQuantizerOptions options = {});
  explicit UniformQuantizer(const torch::jit::Module &model, UniformQuantizerOptions options = {});

  const UniformQuantizerOptions options;

protected:
  at::Tensor quantizedBits(bool exact) const override;
  /// The weight as it is without `qat`.
  at::Tensor trainingValue(const QuantizedParameter &entry, const at::Tensor &weight) override;
  MixedWeight pack(const QuantizedParameter &entry, const at::Tensor &weight) const override;
  std::string optionsJson() const override;

private:
  UniformQuantizer(diffq::ModelView model, UniformQuantizerOptions options);
};

} // namespace bq

#endif // BQ_QUANTIZERS_DIFFQ_UNIFORMQUANTIZER_H
