// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Learns how many bits each group of weights needs (Défossez, Adi, Synnaeve 2021, "Differentiable model compression
/// via pseudo quantization noise").
#ifndef BQ_QUANTIZERS_DIFFQ_DIFFQUANTIZER_H
#define BQ_QUANTIZERS_DIFFQ_DIFFQUANTIZER_H

#include "dialect/core/Noise.h"
#include "quantizers/diffq/BitLogits.h"
#include "quantizers/diffq/ModelQuantizer.h"

#include <torch/arg.h>

namespace bq {

struct BQ_TORCH_API DiffQuantizerOptions {
  /// MB of floats, 2^20 bytes: parameters up to this size are not quantized.
  TORCH_ARG(double, min_size) = 0.01;
  /// Parameters that are not quantized are stored as float16.
  TORCH_ARG(bool, float16) = false;
  /// Weights that share a number of bits; 0: all of a parameter. A logit costs the memory of a float, and its moments,
  /// while training. The last group of a parameter may be shorter.
  TORCH_ARG(int64_t, group_size) = 8;
  /// Bits lie between these two; min_bits above 0, max_bits at most 15.
  TORCH_ARG(double, min_bits) = 2;
  TORCH_ARG(double, max_bits) = 15;
  /// What a logit stands for: "bits", or the logarithm of the "noise".
  TORCH_ARG(std::string, param) = "bits";
  /// "gaussian", of a standard deviation of half a step, or "uniform" on a step, which has the variance of rounding.
  TORCH_ARG(std::string, noise) = "gaussian";
  TORCH_ARG(double, init_bits) = 8;
  /// Added to the bits where weights are rounded; not to those of the noise.
  TORCH_ARG(double, extra_bits) = 0;
  /// Of the names of the logits.
  TORCH_ARG(std::string, suffix) = "_diffq";
  /// Shell patterns on short names (weight) and long ones (encoder.0.weight; .weight in the root): `weight` excludes
  /// the weights of all modules.
  TORCH_ARG(std::vector<std::string>, exclude);
  /// A tensor that several modules hold has one logit for each group. Without, it is counted and stored for each, and
  /// cannot train.
  TORCH_ARG(bool, detect_bound) = true;
  /// Numbers of DiffQ 0.2.4 where these differ: noise from LibTorch's generator, sizes without buffers, every number
  /// that is not quantized as 32 bits, and max_bits above 15, rounded to 15.
  TORCH_ARG(bool, upstream_compatible) = false;
};

/// Training noise has the size of the rounding that it stands for, so that gradients reach bits as well as weights:
///
///     torch::optim::Adam optimizer(model->parameters(), 1e-3);
///     bq::DiffQuantizer quantizer(*model, bq::DiffQuantizerOptions().group_size(8));
///     quantizer.setupOptimizer(optimizer);
///     for (...) {
///       optimizer.zero_grad();
///       bq::WeightScope scope = quantizer.trainingWeights();
///       (lossOf(model->forward(x)) + penalty * quantizer.modelSize()).backward();
///       scope.close();
///       optimizer.step();
///     }
///     bq::writeSafeTensors("model.safetensors", quantizer.getQuantizedState());
///
/// Logits are parameters of the modules of a torch::nn model, and belong to its state; those of a TorchScript model are
/// the quantizer's alone. A training step draws one number from LibTorch's default CPU generator.
class BQ_TORCH_API DiffQuantizer : public ModelQuantizer {
public:
  /// Throws, naming the option, its value and its range, and where the model has a quantizer already.
  explicit DiffQuantizer(torch::nn::Module &model, DiffQuantizerOptions options = {});
  explicit DiffQuantizer(const torch::jit::Module &model, DiffQuantizerOptions options = {});

  /// Adds the logits as one group, once, with the optimizer's defaults but for `lr` and no weight decay; `change` has
  /// the last word. Create the optimizer before the quantizer. Throws where it has one of the logits already.
  void setupOptimizer(torch::optim::Optimizer &optimizer, double lr = 1e-3,
                      const std::function<void(torch::optim::OptimizerOptions &)> &change = nullptr);
  /// Allows training without: bits stay.
  void noOptimizer();
  /// Takes the logits off the optimizer, and with them a group that is left empty.
  void clearOptimizer(torch::optim::Optimizer &optimizer);
  /// Zeros the gradients of the logits of weights whose gradient is missing or zero, so that a weight that was not used
  /// is not pressed to a smaller size either. Between backward() and the optimizer's step.
  void checkUnused();

  /// Bits of each group now, without extra_bits, float [groups]. Rounded ones: packed().
  at::Tensor bits(const QuantizedParameter &entry) const;

  const DiffQuantizerOptions options;

protected:
  at::Tensor quantizedBits(bool exact) const override;
  void beginTraining() override;
  at::Tensor trainingValue(const QuantizedParameter &entry, const at::Tensor &weight) override;
  MixedWeight pack(const QuantizedParameter &entry, const at::Tensor &weight) const override;
  std::string optionsJson() const override;

private:
  DiffQuantizer(diffq::ModelView model, DiffQuantizerOptions options);
  /// Bits and extra_bits; for `exact` rounded to even, between 1 and 15.
  at::Tensor storedBits(const QuantizedParameter &entry, bool exact) const;

  diffq::BitLogits logits;
  NoiseKind noise;
  bool trainable = false; ///< setupOptimizer() or noOptimizer() has been called.
  bool hasOptimizer = false;
  uint64_t seed = 0; ///< Of the noise of this step.
};

} // namespace bq

#endif // BQ_QUANTIZERS_DIFFQ_DIFFQUANTIZER_H
