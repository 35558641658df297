// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What single nodes of a TorchScript graph say of modules, weights and activations.
#ifndef BQ_QUANTIZERS_GRAPHPATTERNS_H
#define BQ_QUANTIZERS_GRAPHPATTERNS_H

#include "dialect/core/Types.h"

#include <torch/csrc/jit/api/module.h>

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace bq {

/// A module instance of the model; alive as long as the model.
using Instance = c10::ivalue::Object *;

bool isModule(const c10::IValue &value);
bool hasHooks(Instance instance);

/// For each value of a graph that is a module: which instance. `self` is the graph's first input.
class InstanceValues {
public:
  InstanceValues(torch::jit::Graph &graph, Instance self);
  /// Null where the value is no module that is known.
  Instance find(const torch::jit::Value *value) const;

private:
  std::unordered_map<const torch::jit::Value *, Instance> instances;
};

/// Calls `visit` for every node, those of inner blocks too; it must not remove any.
void forEachNode(torch::jit::Block *block, const std::function<void(torch::jit::Node *)> &visit);

/// Which layers a weight can belong to.
enum class LayerOp { Linear, Embedding, Conv2d };

/// How a node uses a weight.
struct WeightUse {
  LayerOp op = LayerOp::Linear;
  torch::jit::Value *input = nullptr; ///< x, or the indices
  torch::jit::Value *bias = nullptr;  ///< Not of embeddings.
  /// Conv2d only: stride, padding, dilation and groups as values of the graph, or, where there are none, as constants.
  std::array<torch::jit::Value *, 4> values{};
  std::array<c10::IValue, 4> constants{};
  std::string obstacle{}; ///< Why this use cannot be one of a quantized weight; empty where it can.
};
/// None where it is no operation of a layer with the weight in its place.
std::optional<WeightUse> weightUse(const torch::jit::Use &use);

/// The activation that is the only use of `value`, and the node (operation or call of a module or function) that is it.
std::optional<std::pair<Activation, torch::jit::Node *>> activationAfter(const torch::jit::Value *value,
                                                                         const InstanceValues &instances);

/// Whether `node` calls the forward method of a module.
bool isForwardCall(const torch::jit::Node *node);

} // namespace bq

#endif // BQ_QUANTIZERS_GRAPHPATTERNS_H
