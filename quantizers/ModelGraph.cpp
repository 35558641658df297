// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/ModelGraph.h"

using namespace bq;

namespace jit = torch::jit;
namespace prim = c10::prim;

ModelGraph::ModelGraph(const jit::Module &module) : root(module._ivalue().get()) {
  visitInstance(module._ivalue(), "", "");
  for (Instance instance : order)
    visitMethods(instance);
  collectWeights();
}

void ModelGraph::visitInstance(const c10::intrusive_ptr<c10::ivalue::Object> &object, const std::string &path,
                               const std::string &inherited) {
  Instance instance = object.get();
  bool isNew = paths.emplace(instance, path).second;
  std::string reason = inherited;
  if (reason.empty() && hasHooks(instance))
    reason = "module '" + path + "' has hooks, which cannot be carried over";
  if (!reason.empty())
    blocked.emplace(instance, reason);
  if (isNew)
    order.push_back(instance);
  else if (reason.empty())
    return;
  for (size_t i = 0; i < instance->type()->numAttributes(); ++i)
    if (const c10::IValue &value = instance->getSlot(i); isModule(value))
      visitInstance(value.toObject(), (path.empty() ? "" : path + ".") + instance->type()->getAttributeName(i), reason);
}

/// Its descendants too: they cannot be reached without rebuilding it.
void ModelGraph::block(Instance instance, const std::string &reason) {
  blocked.emplace(instance, reason);
  for (const c10::IValue &value : instance->slots())
    if (isModule(value) && !blocked.count(value.toObject().get()))
      block(value.toObject().get(), reason);
}

void ModelGraph::visitMethods(Instance instance) {
  for (jit::Function *function : instance->type()->methods()) {
    std::shared_ptr<jit::Graph> graph = jit::toGraphFunction(*function).graph();
    const std::string &method = function->name();
    auto [entry, isNew] = instanceValues[instance].emplace(method, InstanceValues(*graph, instance));
    const InstanceValues &values = entry->second;

    auto checkEscape = [&](const jit::Value *value) {
      Instance module = values.find(value);
      if (!module)
        return;
      for (const jit::Use &use : value->uses()) {
        c10::Symbol kind = use.user->kind();
        bool isReceiver =
            use.offset == 0 && (kind == prim::GetAttr || kind == prim::CallMethod || kind == prim::SetAttr);
        if (!isReceiver)
          block(module, "module '" + paths.at(module) + "' is passed on as a value by " + kind.toQualString());
      }
    };
    checkEscape(graph->inputs()[0]);
    forEachNode(graph->block(), [&](jit::Node *node) {
      for (const jit::Value *output : node->outputs())
        checkEscape(output);
      if (node->kind() == prim::GetAttr) {
        if (Instance owner = values.find(node->input()))
          if (owner->getAttr(node->s(c10::attr::name)).isTensor())
            accesses[{owner, node->s(c10::attr::name)}].push_back({instance, method, node->output()});
      } else if (node->kind() == prim::SetAttr) {
        if (Instance owner = values.find(node->input(0)))
          writes.emplace(Place(owner, node->s(c10::attr::name)), method);
      } else if (isForwardCall(node)) {
        if (Instance callee = values.find(node->input(0)))
          calls[callee].push_back({instance, method, node->output()});
      }
    });
  }
}

/// With its article, for messages.
static std::string phrase(LayerOp op) {
  return op == LayerOp::Linear ? "a linear" : op == LayerOp::Embedding ? "an embedding" : "a convolution";
}

void ModelGraph::collectWeights() {
  std::map<std::tuple<const c10::StorageImpl *, const void *, std::vector<int64_t>, std::vector<int64_t>>, size_t>
      known;
  std::unordered_map<size_t, size_t> siteOfTensor;
  // By tensor, the first place that would go on holding it as it is.
  std::unordered_map<size_t, std::string> otherPlaces;
  for (Instance owner : order) {
    const c10::ClassTypePtr &type = owner->type();
    for (size_t i = 0; i < type->numAttributes(); ++i) {
      const c10::IValue &value = owner->getSlot(i);
      if (!value.isTensor() || !value.toTensor().defined())
        continue;
      const at::Tensor &tensor = value.toTensor();
      const std::string &path = paths.at(owner), &attribute = type->getAttributeName(i);
      std::string name = (path.empty() ? "" : path + ".") + attribute;
      auto [entry, isNew] =
          known.try_emplace({tensor.has_storage() ? tensor.storage().unsafeGetStorageImpl() : nullptr,
                             tensor.has_storage() ? tensor.const_data_ptr() : tensor.unsafeGetTensorImpl(),
                             tensor.sizes().vec(), tensor.strides().vec()},
                            namedTensors.size());
      if (isNew)
        namedTensors.push_back({name, tensor});

      std::optional<LayerOp> op;
      std::string otherUse, obstacle;
      if (auto reads = accesses.find({owner, attribute}); reads != accesses.end())
        for (const Access &read : reads->second)
          for (const jit::Use &use : read.value->uses()) {
            std::optional<WeightUse> known = weightUse(use);
            if (!known) {
              otherUse = "used by " + std::string(use.user->kind().toQualString());
              continue;
            }
            if (op && *op != known->op)
              obstacle = "its weight is used by both " + phrase(*op) + " and " + phrase(known->op) + " operation";
            else if (!known->obstacle.empty())
              obstacle = known->obstacle;
            op = known->op;
          }
      if (!op) {
        otherPlaces.emplace(entry->second, "its weight is also '" + name + "', " +
                                               (otherUse.empty() ? "which no layer uses" : otherUse));
        continue;
      }
      if (!otherUse.empty())
        obstacle = "its weight is also " + otherUse;
      if (writes.count({owner, attribute}))
        obstacle = "its weight is assigned to by method '" + writes.at({owner, attribute}) + "'";
      if (tensor.dim() != (*op == LayerOp::Conv2d ? 4 : 2))
        obstacle = "its weight has " + std::to_string(tensor.dim()) + " dimensions";
      if (auto reason = blocked.find(owner); reason != blocked.end())
        obstacle = reason->second;

      auto [site, isNewSite] = siteOfTensor.try_emplace(entry->second, sites.size());
      if (isNewSite)
        sites.push_back({{}, namedTensors[entry->second].tensor, *op, Activation::None, nullptr, ""});
      WeightSite &target = sites[site->second];
      if (!isNewSite && target.op != *op)
        obstacle = "its weight is shared between " + phrase(target.op) + " and " + phrase(*op) + " layer, '" +
                   target.places[0].name + "' and '" + (attribute == "weight" ? path : name) + "'";
      // A weight outside a module of its own, such as in_proj_weight, is named by its full name.
      target.places.push_back({owner, attribute, attribute == "weight" && !path.empty() ? path : name});
      if (!obstacle.empty())
        target.obstacle = obstacle;
    }
  }
  for (const auto &[tensor, obstacle] : otherPlaces)
    if (auto site = siteOfTensor.find(tensor); site != siteOfTensor.end())
      sites[site->second].obstacle = obstacle;
  for (WeightSite &site : sites)
    if (site.op != LayerOp::Embedding && site.places.size() == 1)
      findActivation(site);
}

/// Whether `value` is what its graph returns, and is used for nothing else.
static bool isOnlyResult(const jit::Value *value) {
  const jit::Graph *graph = value->owningGraph();
  return value->uses().size() == 1 && value->uses()[0].user == graph->return_node() && graph->outputs().size() == 1;
}

void ModelGraph::findActivation(WeightSite &site) {
  const std::vector<Access> &reads = accesses.at({site.places[0].owner, site.places[0].attribute});
  if (reads.size() != 1 || reads[0].value->uses().size() != 1)
    return;
  Instance host = reads[0].host;
  std::string method = reads[0].method;
  const jit::Value *sum = reads[0].value->uses()[0].user->output();
  Instance called = nullptr;
  while (true) {
    if (auto after = activationAfter(sum, instanceValues.at(host).at(method))) {
      site.activation = after->first;
      site.activatedModule = called;
      return;
    }
    // The sum may be the module's result, which one call in the whole model asks for: look behind that call.
    auto callers = calls.find(host);
    if (method != "forward" || host == root || !isOnlyResult(sum) || callers == calls.end() ||
        callers->second.size() != 1)
      return;
    called = host;
    const Access &call = callers->second[0];
    host = call.host;
    method = call.method;
    sum = call.value;
  }
}
