// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The linear layers of a model, by the types of its modules.
#ifndef BQ_QUANTIZERS_ONEBIT_MODELLAYERS_H
#define BQ_QUANTIZERS_ONEBIT_MODELLAYERS_H

#include "quantizers/Export.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>

#include <string>
#include <vector>

namespace bq::onebit {

struct ModelLayer {
  std::string name;             ///< Of the module, such as encoder.layer.0.attention.query; empty for the model itself.
  at::Tensor weight;            ///< [out, in], or [in, out]; shared with the model.
  bool isTransposed = false;    ///< The latter: Conv1D of transformers.
  const void *module = nullptr; ///< The torch::nn::Module, or the object of the TorchScript module.
  /// What inputs [in] and outputs [out] weigh, squared: the module's tensors i_norm and o_norm, where it has them.
  at::Tensor inputNorms, outputNorms;

  /// [out, in], a view of `weight`.
  at::Tensor rows() const { return isTransposed ? weight.t() : weight; }
  int64_t inputs() const { return weight.size(isTransposed ? 0 : 1); }
};

/// Every module of one of these types that holds a tensor `weight` with two dimensions, in the model's order; of
/// modules that share a weight the first. A type is the last part of a name, without LibTorch's ending Impl: Linear is
/// torch::nn::LinearImpl, and a traced torch.nn.Linear.
BQ_TORCH_API std::vector<ModelLayer> findLayers(const torch::nn::Module &model, const std::vector<std::string> &types);
BQ_TORCH_API std::vector<ModelLayer> findLayers(const torch::jit::Module &model, const std::vector<std::string> &types);

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_MODELLAYERS_H
