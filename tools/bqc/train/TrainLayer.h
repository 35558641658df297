// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The layers that a network of `bqc train` is made of, in every kind that can be chosen.
#ifndef BQ_TOOLS_BQC_TRAIN_TRAINLAYER_H
#define BQ_TOOLS_BQC_TRAIN_TRAINLAYER_H

#include "tools/bqc/train/TrainModel.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>

namespace bq::cli {

struct LayerShape {
  int64_t in = 0, out = 0;
  int64_t kernel = 0; ///< Height and width of a convolution's window, padded by half of it; 0: a linear layer.
  int64_t stride = 1;

  int64_t weightCount() const { return out * in * (kernel ? kernel * kernel : 1); }
};

struct LayerKind {
  std::string name = "float"; ///< float, nbit, binary or mpq
  int weightBits = 32, activationBits = 32;
  bool packedWeight = false; ///< The packed codes train, without floats beside them.

  /// "nbit, 4-bit weights packed, 4-bit activations"
  std::string str() const;
};

/// A linear layer or a convolution without bias. Not for several threads at once.
class TrainLayer : public torch::nn::Module {
public:
  /// What is trained: float tensors that stand for quantized ones, differentiable. x is [rows, in] or [batch, in,
  /// height, width], f32.
  virtual at::Tensor forward(const at::Tensor &x) = 0;
  /// The same by the kernels on packed weights, in evaluation mode only.
  virtual at::Tensor forwardPacked(const at::Tensor &x) = 0;
  /// Of the weight with all that belongs to it, as a saved model holds them.
  virtual int64_t packedBytes() const = 0;
  /// forwardPacked() and addToScript() take `packed` where its parameter is this layer's float weight.
  virtual void usePacked(const PackedParameter &packed);
  /// Gives `module` what the layer needs, under names that begin with `name`, and returns the TorchScript expression of
  /// forwardPacked() of the variable `x`. Sums are taken in f32, where those of forwardPacked() are of integers: exact
  /// as well below 2^24. Needs evaluation mode, after an input that has set the scale of the activations.
  virtual std::string addToScript(torch::jit::Module &module, const std::string &name) = 0;

  LayerShape shape;
  LayerKind kind;
};

std::shared_ptr<TrainLayer> makeTrainLayer(const LayerKind &kind, const LayerShape &shape);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_TRAINLAYER_H
