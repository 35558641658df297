// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/ModelLayers.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <unordered_set>

using namespace bq::onebit;

using at::Tensor;

namespace {

/// torch::nn::LinearImpl is Linear.
std::string shortName(const std::string &qualified) {
  constexpr std::string_view ending = "Impl";
  std::string name = qualified.substr(qualified.rfind(':') + 1);
  if (name.size() > ending.size() && name.compare(name.size() - ending.size(), ending.size(), ending) == 0)
    name.resize(name.size() - ending.size());
  return name;
}

/// A tensor that a module holds under a name; not defined where there is none.
using TensorOf = std::function<Tensor(const char *name)>;

class Collector {
public:
  explicit Collector(const std::vector<std::string> &types) : types(types) {}

  void offer(const std::string &name, const std::string &type, const void *module, const TensorOf &tensorOf) {
    if (std::find(types.begin(), types.end(), type) == types.end())
      return;
    Tensor weight = tensorOf("weight");
    if (!weight.defined() || weight.dim() != 2 || !weight.is_floating_point() ||
        !seen.insert(weight.const_data_ptr()).second)
      return;
    layers.push_back({name, weight, type == "Conv1D", module, tensorOf("i_norm"), tensorOf("o_norm")});
  }

  std::vector<ModelLayer> layers;

private:
  const std::vector<std::string> &types;
  std::unordered_set<const void *> seen;
};

void walk(Collector &collector, const std::string &path, const torch::nn::Module &module) {
  collector.offer(path, shortName(module.name()), &module, [&](const char *name) {
    for (const auto &tensors : {module.named_parameters(/*recurse=*/false), module.named_buffers(/*recurse=*/false)})
      if (const Tensor *found = tensors.find(name))
        return *found;
    return Tensor();
  });
  // Not named_modules(), which needs a model that a shared_ptr holds.
  for (const auto &child : module.named_children())
    walk(collector, path.empty() ? child.key() : path + "." + child.key(), *child.value());
}

} // namespace

std::vector<ModelLayer> bq::onebit::findLayers(const torch::nn::Module &model, const std::vector<std::string> &types) {
  Collector collector(types);
  walk(collector, "", model);
  return std::move(collector.layers);
}

std::vector<ModelLayer> bq::onebit::findLayers(const torch::jit::Module &model, const std::vector<std::string> &types) {
  Collector collector(types);
  for (const auto &named : model.named_modules()) {
    const torch::jit::Module &module = named.value;
    collector.offer(named.name, module.type()->name()->name(), module._ivalue().get(), [&](const char *name) {
      const bool isTensor = module.hasattr(name) && module.attr(name).isTensor();
      return isTensor ? module.attr(name).toTensor() : Tensor();
    });
  }
  return std::move(collector.layers);
}
