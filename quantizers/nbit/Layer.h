// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What all n-bit layers can be asked, and the same for all layers of a model.
#ifndef BQ_QUANTIZERS_NBIT_LAYER_H
#define BQ_QUANTIZERS_NBIT_LAYER_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

namespace torch::nn {
class Module;
}

namespace bq::nn {

/// The protocol of n-bit layers, implemented by torch::nn modules. Not for several threads at once, but for forward()
/// in evaluation after generateQuantizedWeight().
class BQ_TORCH_API NBitLayer {
public:
  virtual ~NBitLayer();

  /// What has to be done once before training or evaluation: scales that follow from the weight alone are set.
  virtual void prepareParams() = 0;
  /// Makes the quantized weight that evaluation uses. With `qweightOnly` the float weight is freed: the layer cannot
  /// train any more, until setWeightData().
  virtual void generateQuantizedWeight(bool qweightOnly = false) = 0;
  /// Installs a weight of floats, of the shape of the layer's; whether it requires a gradient stays as it was.
  virtual void setWeightData(const at::Tensor &weight) = 0;
  /// Installs what optWeight() gives in evaluation; the scales are those that the layer has.
  virtual void setQuantizedWeightData(const at::Tensor &codes) = 0;
  /// A new weight, Kaiming uniform with a = sqrt(5), and all else as in a new layer.
  virtual void resetParameters() = 0;
  /// In training the weight in floats; in evaluation its packed codes, made first where they are missing or older than
  /// the weight. For layers whose packed weight trains: decoded in training.
  virtual at::Tensor optWeight() = 0;
  /// Throws where forward() would not take `x`, naming what it takes.
  virtual void checkForward(const at::Tensor &x) const = 0;

  /// Whether forward() in evaluation runs packed kernels; else the training path, for comparison.
  bool packedEvaluation = true;
};

/// prepareParams() of every n-bit layer in `model`, itself included.
BQ_TORCH_API void prepareLayers(torch::nn::Module &model);
/// generateQuantizedWeight() of every n-bit layer in `model`, itself included.
BQ_TORCH_API void packLayers(torch::nn::Module &model, bool qweightOnly = false);
/// Sets packedEvaluation of every n-bit layer in `model`, itself included.
BQ_TORCH_API void setPackedEvaluation(torch::nn::Module &model, bool packed);

} // namespace bq::nn

#endif // BQ_QUANTIZERS_NBIT_LAYER_H
