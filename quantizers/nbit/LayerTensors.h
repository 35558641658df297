// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How the tensors of a layer are loaded and moved.
#ifndef BQ_QUANTIZERS_NBIT_LAYERTENSORS_H
#define BQ_QUANTIZERS_NBIT_LAYERTENSORS_H

#include <ATen/ATen.h>
#include <torch/nn/module.h>
#include <torch/serialize/archive.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace bq::nn {

/// What an archive holds for a module's own parameters and buffers, not yet installed.
class LoadedTensors {
public:
  /// Reads all of them. Throws, naming `layer` and the tensor, where one is missing, where it is not of its place's
  /// kind of type (floating, or the same), or where its shape is not its place's and `otherShape`, if given, does not
  /// take it.
  LoadedTensors(const std::string &layer, torch::nn::Module &module, torch::serialize::InputArchive &archive,
                const std::function<bool(const std::string &key, at::IntArrayRef shape)> &otherShape = {});
  /// Puts them in their places, with types and devices as those have them.
  void install() const;

private:
  std::vector<std::pair<at::Tensor, at::Tensor>> pairs;
};

/// Runs `to`, a call of Module::to, after which the tensors given have their types again, and moved with the module.
template <typename Function>
void keepTypes(const std::vector<at::Tensor> &tensors, bool nonBlocking, const Function &to) {
  std::vector<at::Tensor> before;
  for (const at::Tensor &tensor : tensors)
    before.push_back(tensor.defined() ? tensor.detach() : tensor);
  to();
  for (size_t i = 0; i < tensors.size(); ++i)
    if (before[i].defined())
      at::Tensor(tensors[i]).set_data(before[i].to(tensors[i].device(), nonBlocking));
}

} // namespace bq::nn

#endif // BQ_QUANTIZERS_NBIT_LAYERTENSORS_H
