// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The models that `bqc train` knows by name: a multilayer perceptron and a small convolutional network.
#ifndef BQ_TOOLS_BQC_TRAIN_NETWORK_H
#define BQ_TOOLS_BQC_TRAIN_NETWORK_H

#include "tools/bqc/train/TrainLayer.h"
#include "tools/bqc/train/TrainModel.h"

#include <torch/nn/modules/batchnorm.h>

#include <optional>

namespace bq::cli {

struct NetworkSpec {
  bool convolutional = false;
  std::vector<int64_t> hidden; ///< Sizes of the layers before the last, or channels of the convolutions.
  LayerKind inner, edge;       ///< Of the layers between, and of the first and the last.

  /// Of "mlp", "mlp:256,128", "conv" or "conv:16,32,64"; nothing where `options.model` names none of these, which may
  /// be a file. Errors name the rule.
  static Expected<std::optional<NetworkSpec>> parse(const TrainOptions &options);
};

/// Normalized inputs go through layers, each with batch normalization and, unless the next layer takes signs, relu
/// behind it; the last has a bias instead. Each convolution but the first halves height and width; the last layer of a
/// convolutional network takes all that is left of the image.
class Network : public TrainModel {
public:
  /// x of `train` is [examples, features] or [examples, channels, height, width].
  Network(const NetworkSpec &spec, const DataSet &train);

  at::Tensor forward(const at::Tensor &x) override;
  at::Tensor forwardPacked(const at::Tensor &x) override;
  std::vector<TrainLayerInfo> layers() const override;
  int64_t keptBytes() const override;
  void usePacked(const std::vector<PackedParameter> &packed) override;
  torch::jit::Module toScript() override;

private:
  struct Block {
    std::shared_ptr<TrainLayer> layer;
    torch::nn::BatchNorm1d norm = nullptr;   ///< Behind a linear layer.
    torch::nn::BatchNorm2d norm2d = nullptr; ///< Behind a convolution.
    bool relu = false;
  };

  void addBlock(const LayerKind &kind, const LayerShape &shape, bool relu);
  template <typename Apply>
  at::Tensor run(const at::Tensor &x, const Apply &apply);

  bool convolutional;
  std::vector<Block> blocks; ///< But the last layer.
  std::shared_ptr<TrainLayer> last;
  at::Tensor bias, mean, stddev;
};

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_NETWORK_H
