// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The parameters and buffers of a torch::nn module or a TorchScript module, in one form.
#ifndef BQ_QUANTIZERS_DIFFQ_MODELVIEW_H
#define BQ_QUANTIZERS_DIFFQ_MODELVIEW_H

#include "quantizers/Export.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/nn/module.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace bq::diffq {

/// A tensor that a module holds itself.
struct ModelTensor {
  size_t module = 0; ///< Number of the module in the walk.
  std::string path;  ///< Of the module; empty for the root.
  std::string name;  ///< In the module.
  at::Tensor tensor;

  /// path.name, or the name alone in the root.
  std::string fullName() const { return path.empty() ? name : path + "." + name; }
};

/// Walks the model from its root, a module before its children, each module once, children and tensors in the order of
/// their registration. Keeps the modules alive; a torch::nn root that no shared_ptr owns must outlive the view.
class BQ_TORCH_API ModelView {
public:
  explicit ModelView(torch::nn::Module &root);
  /// Gives tensors that share their memory one tensor object (shareTensorObjects()).
  explicit ModelView(const torch::jit::Module &root);

  std::vector<ModelTensor> parameters() const;
  std::vector<ModelTensor> buffers() const;
  /// Whether tensors of our own can be registered on the modules: not on those of TorchScript, whose types other
  /// instances share.
  bool takesParameters() const { return scripts.empty(); }
  void addParameter(size_t module, const std::string &name, const at::Tensor &tensor);
  void removeParameter(size_t module, const std::string &name);

private:
  void visit(torch::nn::Module &module, std::shared_ptr<torch::nn::Module> owner, const std::string &path);
  void visit(const torch::jit::Module &module, const std::string &path);

  std::vector<std::string> paths;
  std::vector<torch::nn::Module *> modules;
  std::vector<std::shared_ptr<torch::nn::Module>> owners;
  std::vector<torch::jit::Module> scripts;
};

/// Parameters of a TorchScript model that lie in the same memory, as tied ones and the flat weight lists of recurrent
/// modules do after torch::jit::load, become one tensor object, so that their gradients are one.
BQ_TORCH_API void shareTensorObjects(const torch::jit::Module &root);

} // namespace bq::diffq

#endif // BQ_QUANTIZERS_DIFFQ_MODELVIEW_H
