// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/GraphPatterns.h"

#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>
#include <iterator>

using namespace bq;

namespace jit = torch::jit;
namespace prim = c10::prim;

/// In the order in which operators take them.
static constexpr const char *conv2dArguments[] = {"stride", "padding", "dilation", "groups"};

void bq::forEachNode(jit::Block *block, const std::function<void(jit::Node *)> &visit) {
  for (jit::Node *node : block->nodes()) {
    for (jit::Block *inner : node->blocks())
      forEachNode(inner, visit);
    visit(node);
  }
}

bool bq::isModule(const c10::IValue &value) { return value.isObject() && value.toObject()->type()->is_module(); }

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

/// Whether `node` is the call in which torch.nn.Conv2d does its work: (self, input, weight, bias).
static bool isConv2dCall(const jit::Node *node) {
  if (node->kind() != prim::CallMethod || node->s(c10::attr::name) != "_conv_forward")
    return false;
  const std::optional<c10::QualifiedName> &name = node->input(0)->type()->expect<c10::ClassType>()->name();
  return name && name->name() == "Conv2d" && name->prefix().rfind("__torch__.torch.nn.modules.conv", 0) == 0;
}

/// One of stride, padding, dilation and groups of a torch.nn.Conv2d, as an operator takes it.
static c10::IValue conv2dConstant(const c10::ClassType &type, const char *name) {
  c10::IValue value = type.findConstant(name).value_or(c10::IValue());
  if (!value.isTuple())
    return value;
  c10::List<int64_t> list;
  for (const c10::IValue &element : value.toTupleRef().elements())
    list.push_back(element.toInt());
  return list;
}

static WeightUse conv2dCall(jit::Node *node) {
  WeightUse use{LayerOp::Conv2d, node->input(1), node->input(3)};
  const c10::ClassTypePtr type = node->input(0)->type()->expect<c10::ClassType>();
  for (size_t i = 0; i < use.constants.size(); ++i)
    use.constants[i] = conv2dConstant(*type, conv2dArguments[i]);
  const c10::IValue mode = type->findConstant("padding_mode").value_or(c10::IValue());
  if (!mode.isString() || mode.toStringRef() != "zeros")
    use.obstacle = "its padding_mode is not zeros";
  else if (use.constants[1].isString())
    use.obstacle = "its padding is '" + use.constants[1].toStringRef() + "': use numbers";
  return use;
}

/// aten::conv2d, and what tracing records for it.
static WeightUse conv2dOperation(jit::Node *node) {
  WeightUse use{LayerOp::Conv2d, node->input(0), node->input(2)};
  const bool isGeneral = node->kind() == c10::aten::_convolution;
  use.values = {node->input(3), node->input(4), node->input(5), node->input(isGeneral ? 8 : 6)};
  std::optional<c10::IValue> transposed =
      isGeneral ? jit::toIValue(node->input(6)) : std::make_optional<c10::IValue>(false);
  if (!transposed || transposed->toBool())
    use.obstacle = "it is a transposed convolution";
  else if (use.values[1]->type()->isSubtypeOf(*c10::StringType::get()))
    use.obstacle = "its padding is a name: use numbers";
  return use;
}

std::optional<WeightUse> bq::weightUse(const jit::Use &use) {
  jit::Node *node = use.user;
  if (node->kind() == c10::aten::linear && use.offset == 1)
    return WeightUse{LayerOp::Linear, node->input(0), node->input(2)};
  if (node->kind() == c10::aten::embedding && use.offset == 0)
    return WeightUse{LayerOp::Embedding, node->input(1), nullptr};
  // embedding(function, input, weight, padding_idx, max_norm, ...); with max_norm it writes to the weight.
  if (functionalName(node) == "embedding" && use.offset == 2 && isNone(node->input(4)))
    return WeightUse{LayerOp::Embedding, node->input(1), nullptr};
  // The last is what tracing records where padding is a name.
  static const c10::Symbol operations[] = {c10::aten::conv2d, c10::aten::_convolution,
                                           c10::Symbol::aten("_convolution_mode")};
  if (use.offset == 1 && std::find(std::begin(operations), std::end(operations), node->kind()) != std::end(operations))
    return conv2dOperation(node);
  if (isConv2dCall(node) && use.offset == 2)
    return conv2dCall(node);
  if (node->kind() == c10::aten::conv_transpose2d && use.offset == 1) {
    WeightUse transposed{LayerOp::Conv2d, node->input(0), node->input(2)};
    transposed.obstacle = "it is a transposed convolution";
    return transposed;
  }
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

bool bq::hasHooks(Instance instance) {
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
