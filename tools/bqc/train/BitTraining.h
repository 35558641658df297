// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Training that learns the bits of groups of weights, under a penalty on the model's size.
#ifndef BQ_TOOLS_BQC_TRAIN_BITTRAINING_H
#define BQ_TOOLS_BQC_TRAIN_BITTRAINING_H

#include "quantizers/diffq/DiffQuantizer.h"
#include "tools/bqc/train/TrainModel.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace bq::cli {

/// A quantized parameter as it would be stored now.
struct StoredBits {
  std::string name;
  std::vector<int64_t> shape;
  std::array<int64_t, 16> groups{}; ///< [b]: how many groups have b bits.
  int64_t bytes = 0;

  double mean() const; ///< Of the groups.
};

/// Not for several threads at once.
class BitTraining {
public:
  /// Adds the logits of the bits to `optimizer`, as its last group. Errors name options: a quantizer that cannot be
  /// made, and a --target-size below that of a model of the least bits.
  static Expected<std::unique_ptr<BitTraining>> create(const TrainOptions &options, TrainModel &model,
                                                       torch::optim::Optimizer &optimizer);

  /// For forward and backward of a step.
  WeightScope weights() { return quantizer.trainingWeights(); }
  /// What the size adds to the loss.
  at::Tensor cost() const;
  /// With a target, raises the penalty where the model is larger than it and lowers it where it is smaller.
  void steer();
  /// Takes as little off all bits as brings the file to the target, and nothing where it is there.
  void reachTarget();
  /// Rounds the weights for good and gives `model` their packed forms.
  void finish(TrainModel &model);

  /// MB, as it would be stored now.
  double size() const { return quantizer.trueModelSize(); }
  /// MB of a file of the packed state.
  double fileSize() const { return quantizer.packedModelSize(); }
  double meanBits() const;
  std::vector<StoredBits> stored() const;

  double penalty = 0; ///< Of a MB; part of a checkpoint.
  DiffQuantizer quantizer;

private:
  BitTraining(const TrainOptions &options, TrainModel &model);
  /// How far the file is above what is steered to, relative; for a model of this size.
  double excess(const at::Tensor &size) const;
  void takeOff(const std::vector<at::Tensor> &bits, double less);

  double target;       ///< MB of the file; 0: none.
  double header = 0;   ///< MB of the file beside the model's size, where there is a target.
  double firstPenalty; ///< Where there is a target.
};

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_BITTRAINING_H
