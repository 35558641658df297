// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/ModelView.h"

#include <algorithm>
#include <map>
#include <tuple>

using namespace bq;
using namespace bq::diffq;

namespace {

std::string join(const std::string &path, const std::string &name) { return path.empty() ? name : path + "." + name; }

/// torch::nn::Module takes parameters, but gives them back to none but its children.
struct OpenModule : torch::nn::Module {
  static void erase(torch::nn::Module &module, const std::string &name) {
    (module.*&OpenModule::parameters_).erase(name);
  }
};

/// What two tensor objects have in common when one is the other.
using Memory = std::tuple<const void *, int64_t, std::vector<int64_t>, std::vector<int64_t>, c10::ScalarType>;

Memory memoryOf(const at::Tensor &tensor) {
  return {tensor.storage().unsafeGetStorageImpl(), tensor.storage_offset(), tensor.sizes().vec(),
          tensor.strides().vec(), tensor.scalar_type()};
}

} // namespace

ModelView::ModelView(torch::nn::Module &root) { visit(root, root.weak_from_this().lock(), ""); }

ModelView::ModelView(const torch::jit::Module &root) {
  shareTensorObjects(root);
  visit(root, "");
}

void ModelView::visit(torch::nn::Module &module, std::shared_ptr<torch::nn::Module> owner, const std::string &path) {
  if (std::find(modules.begin(), modules.end(), &module) != modules.end())
    return;
  paths.push_back(path);
  modules.push_back(&module);
  owners.push_back(std::move(owner));
  for (const auto &child : module.named_children())
    visit(*child.value(), child.value(), join(path, child.key()));
}

void ModelView::visit(const torch::jit::Module &module, const std::string &path) {
  for (const torch::jit::Module &seen : scripts)
    if (seen._ivalue() == module._ivalue())
      return;
  paths.push_back(path);
  scripts.push_back(module);
  for (const auto &child : module.named_children())
    visit(child.value, join(path, child.name));
}

std::vector<ModelTensor> ModelView::parameters() const {
  std::vector<ModelTensor> result;
  for (size_t index = 0; index < modules.size(); ++index)
    for (const auto &parameter : modules[index]->named_parameters(/*recurse=*/false))
      result.push_back({index, paths[index], parameter.key(), parameter.value()});
  for (size_t index = 0; index < scripts.size(); ++index)
    for (const auto &parameter : scripts[index].named_parameters(/*recurse=*/false))
      result.push_back({index, paths[index], parameter.name, parameter.value});
  return result;
}

std::vector<ModelTensor> ModelView::buffers() const {
  std::vector<ModelTensor> result;
  for (size_t index = 0; index < modules.size(); ++index)
    for (const auto &buffer : modules[index]->named_buffers(/*recurse=*/false))
      result.push_back({index, paths[index], buffer.key(), buffer.value()});
  for (size_t index = 0; index < scripts.size(); ++index)
    for (const auto &buffer : scripts[index].named_buffers(/*recurse=*/false))
      result.push_back({index, paths[index], buffer.name, buffer.value});
  return result;
}

void ModelView::addParameter(size_t module, const std::string &name, const at::Tensor &tensor) {
  modules[module]->register_parameter(name, tensor);
}

void ModelView::removeParameter(size_t module, const std::string &name) { OpenModule::erase(*modules[module], name); }

void diffq::shareTensorObjects(const torch::jit::Module &root) {
  std::map<Memory, at::Tensor> known;
  for (const torch::jit::Module &module : root.modules())
    for (const auto &parameter : module.named_parameters(/*recurse=*/false)) {
      if (!parameter.value.has_storage())
        continue;
      const auto [entry, added] = known.try_emplace(memoryOf(parameter.value), parameter.value);
      if (!added && !entry->second.is_same(parameter.value))
        module._ivalue()->setAttr(parameter.name, entry->second);
    }
  for (const torch::jit::Module &module : root.modules())
    for (const c10::IValue &slot : module._ivalue()->slots())
      if (slot.isTensorList()) {
        c10::List<at::Tensor> list = slot.toTensorList();
        for (size_t index = 0; index < list.size(); ++index) {
          const at::Tensor tensor = list.get(index);
          if (!tensor.defined() || !tensor.has_storage())
            continue;
          if (const auto found = known.find(memoryOf(tensor)); found != known.end())
            list.set(index, found->second);
        }
      }
}
