// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A training run: the model, its optimizer, the order of the data, and how far it has come.
#ifndef BQ_TOOLS_BQC_TRAIN_TRAINER_H
#define BQ_TOOLS_BQC_TRAIN_TRAINER_H

#include "dialect/core/Status.h"
#include "tools/bqc/Commands.h"
#include "tools/bqc/train/BitTraining.h"
#include "tools/bqc/train/DataSet.h"
#include "tools/bqc/train/TrainModel.h"

#include <torch/optim/optimizer.h>

#include <memory>
#include <vector>

namespace bq::cli {

/// What one epoch came to.
struct EpochResult {
  double loss = 0;     ///< Mean over the examples that trained, as they were met.
  double accuracy = 0; ///< Of the examples that test, by the training path in evaluation mode; 0 to 1.
  double size = 0;     ///< MB as stored, and bits of a weight, where they are learned; else 0.
  double bits = 0;
};

/// Not for several threads at once; uses LibTorch's default generator.
class Trainer {
public:
  /// Loads and splits the data, seeds LibTorch's default generator and makes the model and its optimizer.
  static Expected<Trainer> open(const TrainOptions &options);

  /// One pass over the share that trains, in an order of its own, then a test. The error names epoch and step where the
  /// loss is not finite.
  Expected<EpochResult> runEpoch();
  /// One step on the examples `rows` of the share that trains; the loss.
  double step(const at::Tensor &rows);
  /// Each takes `options.batch` examples or a few more, so that none is left with a single one.
  int64_t stepsPerEpoch() const;

  TrainOptions options;
  Split data;
  std::shared_ptr<TrainModel> model;
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  std::unique_ptr<BitTraining> bits; ///< Where bits are learned.
  at::Generator order;               ///< Of the examples.
  std::vector<EpochResult> history;  ///< One for each epoch done.

private:
  Trainer(TrainOptions options, Split data);
};

/// The class with the greatest logit for each example, int64 [examples], by the training path in evaluation mode or by
/// the kernels on packed weights.
at::Tensor classify(TrainModel &model, const at::Tensor &x, bool packed);
/// Share of `classes` that are those of `data`.
double accuracyOf(const at::Tensor &classes, const DataSet &data);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_TRAINER_H
