// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a TorchScript model does with the weights that its modules hold, over all graphs of all module instances.
#ifndef BQ_QUANTIZERS_MODELGRAPH_H
#define BQ_QUANTIZERS_MODELGRAPH_H

#include "quantizers/GraphPatterns.h"

#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace bq {

/// A weight that layers of one kind use. Modules may share it.
struct WeightSite {
  struct Place {
    Instance owner;
    std::string attribute;
    std::string name; ///< of the layer
  };
  std::vector<Place> places; ///< All that hold this very tensor, or there is an obstacle.
  at::Tensor weight;
  LayerOp op = LayerOp::Linear;
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
