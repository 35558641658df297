// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/RebuildModel.h"

#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <unordered_set>

using namespace bq;

namespace jit = torch::jit;
namespace prim = c10::prim;

namespace {

class Rebuilder {
public:
  Rebuilder(const jit::Module &root, const std::vector<Replacement> &replacements) : root(root) {
    for (const Replacement &replacement : replacements) {
      for (const WeightSite::Place &place : replacement.site->places)
        byPlace[{place.owner, place.attribute}] = &replacement;
      if (replacement.site->activatedModule)
        activatedModules.insert(replacement.site->activatedModule);
    }
  }

  jit::Module run() {
    // Modules that hold no replaced weight can still call, or read from, one that does only if they hold that module.
    needsRebuild(root._ivalue().get());
    return rebuild(root._ivalue());
  }

private:
  bool needsRebuild(Instance instance) {
    auto known = needed.find(instance);
    if (known != needed.end())
      return known->second;
    bool result = false;
    for (size_t i = 0; i < instance->type()->numAttributes(); ++i) {
      const c10::IValue &value = instance->getSlot(i);
      if (byPlace.count({instance, instance->type()->getAttributeName(i)}))
        result = true;
      else if (value.isObject() && value.toObject()->type()->is_module() && needsRebuild(value.toObject().get()))
        result = true;
    }
    return needed[instance] = result;
  }

  jit::Module rebuild(const c10::intrusive_ptr<c10::ivalue::Object> &object) {
    Instance instance = object.get();
    auto known = rebuilt.find(instance);
    if (known != rebuilt.end())
      return known->second;
    const c10::ClassTypePtr &type = instance->type();
    jit::Module result(*type->name(), object->compilation_unit(), /*shouldMangle=*/true);
    for (size_t i = 0; i < type->numAttributes(); ++i) {
      const std::string &name = type->getAttributeName(i);
      const c10::TypePtr &attributeType = type->getAttribute(i);
      const c10::IValue &value = instance->getSlot(i);
      if (auto replaced = byPlace.find({instance, name}); replaced != byPlace.end()) {
        result.register_attribute(name, packedType(), c10::IValue(replaced->second->weight));
      } else if (value.isObject() && value.toObject()->type()->is_module() && needsRebuild(value.toObject().get())) {
        jit::Module child = rebuild(value.toObject());
        result.register_attribute(name, attributeType->cast<c10::ClassType>() ? child.type() : attributeType,
                                  child._ivalue());
      } else {
        result.register_attribute(name, attributeType, value, type->is_parameter(i), type->is_buffer(i));
      }
    }
    for (size_t i = 0; i < type->numConstants(); ++i)
      result.type()->addConstant(type->getConstantName(i), type->getConstant(i));
    rebuilt.emplace(instance, result);
    for (jit::Function *method : type->methods())
      cloneMethod(instance, *method, result);
    for (const c10::ClassType::Property &property : type->properties())
      result.type()->addProperty(property.name, result.type()->findMethod(property.getter->name()),
                                 property.setter ? result.type()->findMethod(property.setter->name()) : nullptr);
    return result;
  }

  static c10::TypePtr packedType() { return c10::getCustomClassType<c10::intrusive_ptr<PackedWeight>>(); }

  void cloneMethod(Instance instance, jit::Function &method, jit::Module &result) {
    std::shared_ptr<jit::Graph> graph = jit::toGraphFunction(method).graph()->copy();
    InstanceValues values(*graph, instance);
    graph->inputs()[0]->setType(result.type());
    // Collected first: rewriting removes nodes, but never one of these.
    std::vector<jit::Node *> reads, activatedCalls;
    forEachNode(graph->block(), [&](jit::Node *node) {
      if (node->kind() == prim::GetAttr)
        reads.push_back(node);
      else if (isForwardCall(node) && activatedModules.count(values.find(node->input(0))))
        activatedCalls.push_back(node);
    });
    for (jit::Node *read : reads)
      rewriteGetAttr(read, values);
    for (jit::Node *call : activatedCalls)
      removeActivation(call->output(), values);
    jit::EliminateDeadCode(graph);

    c10::QualifiedName name(*result.type()->name(), method.name());
    jit::Function *copy = result._ivalue()->compilation_unit()->create_function(name, graph);
    result.type()->addMethod(copy);
    c10::TypePtr from = instance->type(), to = result.type();
    copy->setSchema(method.getSchema().cloneWithRemappedTypes(
        [&](const c10::TypePtr &type) { return *type == *from ? to : type; }));
  }

  void rewriteGetAttr(jit::Node *node, const InstanceValues &values) {
    if (Instance child = values.find(node->output())) {
      auto known = rebuilt.find(child);
      if (known != rebuilt.end() && node->output()->type()->cast<c10::ClassType>())
        node->output()->setType(known->second.type());
      return;
    }
    Instance owner = values.find(node->input());
    auto replaced = owner ? byPlace.find({owner, node->s(c10::attr::name)}) : byPlace.end();
    if (replaced == byPlace.end())
      return;
    node->output()->setType(packedType());
    // Uses change while they are replaced.
    std::vector<jit::Use> uses(node->output()->uses().begin(), node->output()->uses().end());
    for (const jit::Use &use : uses)
      replaceUse(use, *replaced->second, node->output(), values);
  }

  void replaceUse(const jit::Use &use, const Replacement &replacement, jit::Value *weight,
                  const InstanceValues &values) {
    jit::Node *node = use.user;
    jit::Graph *graph = node->owningGraph();
    jit::WithInsertPoint insertPoint(node);
    WeightUse how = *weightUse(use);
    jit::Node *packed;
    if (how.op == LayerOp::Embedding) {
      packed =
          graph->insertNode(graph->create(c10::Symbol::fromQualString("bq::embedding_packed"), {how.input, weight}));
    } else {
      Activation activation = replacement.site->activation;
      jit::Value *compute = graph->insertConstant(std::string(str(replacement.compute)));
      jit::Value *activationName = graph->insertConstant(std::string(str(activation)));
      std::vector<jit::Value *> inputs{how.input, weight, how.bias};
      for (size_t i = 0; how.op == LayerOp::Conv2d && i < how.values.size(); ++i)
        inputs.push_back(how.values[i] ? how.values[i] : graph->insertConstant(how.constants[i]));
      inputs.insert(inputs.end(), {compute, activationName});
      const char *name = how.op == LayerOp::Conv2d ? "bq::conv2d_packed" : "bq::linear_packed";
      packed = graph->insertNode(graph->create(c10::Symbol::fromQualString(name), inputs));
      if (activation != Activation::None && !replacement.site->activatedModule)
        removeActivation(node->output(), values);
    }
    packed->output()->copyMetadata(node->output());
    packed->setSourceRange(node->sourceRange());
    node->output()->replaceAllUsesWith(packed->output());
    node->destroy();
  }

  /// The layer has taken in the activation that follows `value`.
  void removeActivation(jit::Value *value, const InstanceValues &values) {
    jit::Node *activation = activationAfter(value, values)->second;
    activation->output()->replaceAllUsesWith(value);
    activation->destroy();
  }

  const jit::Module &root;
  std::map<std::pair<Instance, std::string>, const Replacement *> byPlace;
  std::unordered_set<Instance> activatedModules;
  std::unordered_map<Instance, bool> needed;
  std::unordered_map<Instance, jit::Module> rebuilt;
};

} // namespace

jit::Module bq::rebuildModel(const jit::Module &root, const std::vector<Replacement> &replacements) {
  return Rebuilder(root, replacements).run();
}
