// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A model that `bqc train` trains.
#ifndef BQ_TOOLS_BQC_TRAIN_TRAINMODEL_H
#define BQ_TOOLS_BQC_TRAIN_TRAINMODEL_H

#include "dialect/core/Status.h"
#include "quantizers/PackedWeight.h"
#include "tools/bqc/Commands.h"
#include "tools/bqc/train/DataSet.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bq::cli {

/// A layer of a model, for the plan.
struct TrainLayerInfo {
  std::string name;
  std::vector<int64_t> shape; ///< Of the weight.
  std::string kind;           ///< What is done with it.
  int64_t floatBytes = 0, packedBytes = 0;
};

/// A float weight of a model and its packed form.
struct PackedParameter {
  at::Tensor parameter;
  c10::intrusive_ptr<PackedWeight> weight;
};

/// Classifies examples. Not for several threads at once.
class TrainModel : public torch::nn::Module {
public:
  /// Logits [examples, classes] of inputs as the data has them, by what is trained.
  virtual at::Tensor forward(const at::Tensor &x) = 0;
  /// The same by the kernels on packed weights, in evaluation mode only.
  virtual at::Tensor forwardPacked(const at::Tensor &x) = 0;
  virtual std::vector<TrainLayerInfo> layers() const = 0;
  /// Of all that is no layer's weight and stays float.
  virtual int64_t keptBytes() const = 0;
  /// From now on forwardPacked() and toScript() take these for float weights of layers; others that are quantized keep
  /// their values. Only where layers are float.
  virtual void usePacked(const std::vector<PackedParameter> &packed) = 0;
  /// What forwardPacked() does, in evaluation mode, as a model to save.
  virtual torch::jit::Module toScript() = 0;
};

/// The model that `options` ask for, for data of this shape and these classes, with first weights from LibTorch's
/// default generator. Errors name the option and what is accepted.
Expected<std::shared_ptr<TrainModel>> makeTrainModel(const TrainOptions &options, const DataSet &train);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_TRAINMODEL_H
