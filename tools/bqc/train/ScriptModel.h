// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A TorchScript model that is trained so that its linear layers and convolutions can be packed.
#ifndef BQ_TOOLS_BQC_TRAIN_SCRIPTMODEL_H
#define BQ_TOOLS_BQC_TRAIN_SCRIPTMODEL_H

#include "quantizers/Convert.h"
#include "tools/bqc/train/TrainModel.h"

#include <optional>

namespace bq::cli {

/// The model behind the normalization of the data. Layers that bq::convert() can pack read their float weight rounded
/// to int<bits>, with a scale for each row, and the gradient passes straight through the rounding; with --layer float
/// nothing is rounded. Activations stay float, and everything else is trained as it is.
class ScriptModel : public TrainModel {
public:
  /// Reads `options.model` and runs it once. Errors say that it is no TorchScript model, has nothing to train, cannot
  /// take the data, or gives something else than a number for each class.
  static Expected<std::shared_ptr<TrainModel>> open(const TrainOptions &options, const DataSet &train);

  at::Tensor forward(const at::Tensor &x) override;
  at::Tensor forwardPacked(const at::Tensor &x) override;
  std::vector<TrainLayerInfo> layers() const override;
  int64_t keptBytes() const override;
  void usePacked(const std::vector<PackedParameter> &packed) override;
  torch::jit::Module toScript() override;
  void train(bool on = true) override;

private:
  ScriptModel(torch::jit::Module model, const Normalization &normalization);
  void registerTensors();
  /// Finds the layers that can be packed. Throws where there is none.
  void planLayers(int bits);

  /// A weight that is rounded, and the module that reads it.
  struct Layer {
    torch::jit::Module holder;
    at::Tensor weight;
  };

  torch::jit::Module script;
  ConvertOptions conversion;
  ConvertReport report;                        ///< Of layers that can be packed; none with --layer float.
  std::vector<Layer> packed;                   ///< In the order of `report`.
  std::optional<torch::jit::Module> converted; ///< Of the weights as they are; none once training goes on.
};

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_SCRIPTMODEL_H
