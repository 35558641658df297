// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a TorchScript model does with the weights that its modules hold, over all graphs of all module instances.
#ifndef BQ_QUANTIZERS_MODELGRAPH_H
#define BQ_QUANTIZERS_MODELGRAPH_H

#include "dialect/core/Types.h"

#include <torch/csrc/jit/api/module.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace bq {

/// A module instance of the model; alive as long as the model.
using Instance = c10::ivalue::Object *;

/// A weight that linear or embedding layers use. Modules may share it.
struct WeightSite {
  struct Place {
    Instance owner;
    std::string attribute;
    std::string name; ///< of the layer
  };
  std::vector<Place> places; ///< All that hold this very tensor, or there is an obstacle.
  at::Tensor weight;
  bool embedding = false;
  Activation activation = Activation::None; ///< What alone follows the linear operation, and can be taken into it.
  /// The module whose result is the sum and whose call is followed by the activation; null where the activation stands
  /// in the same graph as the linear operation, or there is none.
  Instance activatedModule = nullptr;
  std::string obstacle; ///< Why the weight cannot be replaced; empty where it can.
};

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

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

/// How a node uses a weight.
struct WeightUse {
  bool embedding = false;
  torch::jit::Value *input = nullptr; ///< x, or the indices
  torch::jit::Value *bias = nullptr;  ///< Linear only.
};
/// None where it is neither a linear nor an embedding operation with the weight in its place.
std::optional<WeightUse> weightUse(const torch::jit::Use &use);

/// The activation that is the only use of `value`, and the node (operation or call of a module or function) that is it.
std::optional<std::pair<Activation, torch::jit::Node *>> activationAfter(const torch::jit::Value *value,
                                                                         const InstanceValues &instances);

/// Whether `node` calls the forward method of a module.
bool isForwardCall(const torch::jit::Node *node);

/// Read-only; the model must not change meanwhile.
class ModelGraph {
public:
  explicit ModelGraph(const torch::jit::Module &root);

  /// In the order of the model.
  const std::vector<WeightSite> &weights() const { return sites; }
  /// Every tensor that a module holds, under its first name, each tensor once.
  const std::vector<NamedTensor> &tensors() const { return namedTensors; }

private:
  using Place = std::pair<Instance, std::string>;
  struct Access {
    Instance host;
    std::string method;
    torch::jit::Value *value;
  };

  void visitInstance(const c10::intrusive_ptr<c10::ivalue::Object> &object, const std::string &path,
                     const std::string &inherited);
  void visitMethods(Instance instance);
  void block(Instance instance, const std::string &reason);
  void collectWeights();
  void findActivation(WeightSite &site);

  std::vector<Instance> order;
  std::unordered_map<Instance, std::string> paths;
  std::unordered_map<Instance, std::string> blocked;       ///< Why it cannot be rebuilt.
  std::map<Place, std::vector<Access>> accesses;           ///< Reads of tensors.
  std::map<Place, std::string> writes;                     ///< By whom.
  std::unordered_map<Instance, std::vector<Access>> calls; ///< Calls of forward.
  std::unordered_map<Instance, std::unordered_map<std::string, InstanceValues>> instanceValues;
  Instance root = nullptr;
  std::vector<WeightSite> sites;
  std::vector<NamedTensor> namedTensors;
};

} // namespace bq

#endif // BQ_QUANTIZERS_MODELGRAPH_H
