// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/ModelGraph.h"

#include <torch/csrc/jit/ir/constants.h>

using namespace bq;

namespace jit = torch::jit;
namespace prim = c10::prim;

//===---------------------------------------------------------------------===//
// Patterns
//===---------------------------------------------------------------------===//

void bq::forEachNode(jit::Block *block, const std::function<void(jit::Node *)> &visit) {
  for (jit::Node *node : block->nodes()) {
    for (jit::Block *inner : node->blocks())
      forEachNode(inner, visit);
    visit(node);
  }
}

static bool isModule(const c10::IValue &value) { return value.isObject() && value.toObject()->type()->is_module(); }

InstanceValues::InstanceValues(jit::Graph &graph, Instance self) {
  instances[graph.inputs().at(0)] = self;
  // Outer nodes first: a block may read a module that was fetched before it.
  std::function<void(jit::Block *)> visit = [&](jit::Block *block) {
    for (jit::Node *node : block->nodes()) {
      if (node->kind() == prim::GetAttr)
        if (Instance owner = find(node->input()))
          if (c10::IValue value = owner->getAttr(node->s(c10::attr::name)); isModule(value))
            instances[node->output()] = value.toObject().get();
      for (jit::Block *inner : node->blocks())
        visit(inner);
    }
  };
  visit(graph.block());
}

Instance InstanceValues::find(const jit::Value *value) const {
  auto found = instances.find(value);
  return found == instances.end() ? nullptr : found->second;
}

bool bq::isForwardCall(const jit::Node *node) {
  return node->kind() == prim::CallMethod && node->s(c10::attr::name) == "forward";
}

/// The name of a function of torch.nn.functional that `node` calls; empty where it calls none.
static std::string functionalName(const jit::Node *node) {
  if (node->kind() != prim::CallFunction)
    return {};
  const c10::QualifiedName &name = node->input(0)->type()->expect<c10::FunctionType>()->function()->qualname();
  bool isFunctional = name.prefix().rfind("__torch__.torch.nn.functional", 0) == 0;
  return isFunctional ? name.name() : std::string();
}

static bool isNone(const jit::Value *value) { return value->node()->mustBeNone(); }

std::optional<WeightUse> bq::weightUse(const jit::Use &use) {
  jit::Node *node = use.user;
  if (node->kind() == c10::aten::linear && use.offset == 1)
    return WeightUse{false, node->input(0), node->input(2)};
  if (node->kind() == c10::aten::embedding && use.offset == 0)
    return WeightUse{true, node->input(1), nullptr};
  // embedding(function, input, weight, padding_idx, max_norm, ...); with max_norm it writes to the weight.
  if (functionalName(node) == "embedding" && use.offset == 2 && isNone(node->input(4)))
    return WeightUse{true, node->input(1), nullptr};
  return std::nullopt;
}

/// The activation that `node` applies to its first tensor, by its operation or function.
static std::optional<Activation> activationOf(const jit::Node *node) {
  static const c10::Symbol relu = c10::Symbol::aten("relu"), reluInPlace = c10::Symbol::aten("relu_"),
                           silu = c10::Symbol::aten("silu"), siluInPlace = c10::Symbol::aten("silu_"),
                           gelu = c10::Symbol::aten("gelu");
  std::string function = functionalName(node);
  if (node->kind() == relu || node->kind() == reluInPlace || function == "relu")
    return Activation::Relu;
  if (node->kind() == silu || node->kind() == siluInPlace || function == "silu")
    return Activation::Silu;
  if (node->kind() == gelu) {
    std::optional<c10::IValue> approximate = jit::toIValue(node->input(1));
    if (approximate && approximate->isString())
      return approximate->toStringRef() == "tanh" ? Activation::GeluTanh : Activation::Gelu;
  }
  return std::nullopt;
}

static bool hasHooks(Instance instance) {
  return !instance->type()->getForwardHooks().empty() || !instance->type()->getForwardPreHooks().empty();
}

static std::shared_ptr<jit::Graph> forwardGraph(Instance instance) {
  jit::Function *forward = instance->type()->findMethod("forward");
  return forward && !hasHooks(instance) ? jit::toGraphFunction(*forward).graph() : nullptr;
}

/// The activation that a module is, where its forward does nothing else.
static std::optional<Activation> activationOfModule(Instance module) {
  std::shared_ptr<jit::Graph> graph = forwardGraph(module);
  if (!graph || graph->inputs().size() != 2 || graph->outputs().size() != 1)
    return std::nullopt;
  auto activation = activationAfter(graph->inputs()[1], InstanceValues(*graph, module));
  if (!activation || activation->second->output() != graph->outputs()[0])
    return std::nullopt;
  for (const jit::Node *node : graph->nodes())
    if (node != activation->second && node->kind() != prim::Constant && node->kind() != prim::GetAttr)
      return std::nullopt;
  return activation->first;
}

std::optional<std::pair<Activation, jit::Node *>> bq::activationAfter(const jit::Value *value,
                                                                      const InstanceValues &instances) {
  if (value->uses().size() != 1)
    return std::nullopt;
  jit::Node *node = value->uses()[0].user;
  bool isFunction = node->kind() == prim::CallFunction;
  if (node->owningBlock() != value->node()->owningBlock() || node->outputs().size() != 1)
    return std::nullopt;
  std::optional<Activation> activation;
  if (isForwardCall(node) && node->inputs().size() == 2) {
    if (Instance module = instances.find(node->input(0)))
      activation = activationOfModule(module);
  } else if (value->uses()[0].offset == (isFunction ? 1u : 0u)) {
    activation = activationOf(node);
  }
  if (!activation)
    return std::nullopt;
  return std::make_pair(*activation, node);
}

//===---------------------------------------------------------------------===//
// The model
//===---------------------------------------------------------------------===//

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

      size_t linear = 0, embedding = 0;
      std::string otherUse, obstacle;
      if (auto reads = accesses.find({owner, attribute}); reads != accesses.end())
        for (const Access &read : reads->second)
          for (const jit::Use &use : read.value->uses()) {
            std::optional<WeightUse> known = weightUse(use);
            if (!known)
              otherUse = "used by " + std::string(use.user->kind().toQualString());
            else
              ++(known->embedding ? embedding : linear);
          }
      if (linear + embedding == 0) {
        otherPlaces.emplace(entry->second, "its weight is also '" + name + "', " +
                                               (otherUse.empty() ? "which no layer uses" : otherUse));
        continue;
      }
      if (!otherUse.empty())
        obstacle = "its weight is also " + otherUse;
      if (linear && embedding)
        obstacle = "its weight is used by both a linear and an embedding operation";
      if (writes.count({owner, attribute}))
        obstacle = "its weight is assigned to by method '" + writes.at({owner, attribute}) + "'";
      if (tensor.dim() != 2)
        obstacle = "its weight has " + std::to_string(tensor.dim()) + " dimensions";
      if (auto reason = blocked.find(owner); reason != blocked.end())
        obstacle = reason->second;

      auto [site, isNewSite] = siteOfTensor.try_emplace(entry->second, sites.size());
      if (isNewSite)
        sites.push_back({{}, namedTensors[entry->second].tensor, embedding != 0, Activation::None, nullptr, ""});
      WeightSite &target = sites[site->second];
      if (!isNewSite && target.embedding != (embedding != 0))
        obstacle = "its weight is shared between the linear and the embedding layer '" + target.places[0].name +
                   "' and '" + (attribute == "weight" ? path : name) + "'";
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
    if (!site.embedding && site.places.size() == 1)
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
