// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/ModelQuantizer.h"

#include <torch/utils.h>

#include <algorithm>
#include <mutex>
#include <unordered_set>
#include <utility>

using namespace bq;
using namespace bq::diffq;

using at::Tensor;

namespace {

/// Parameters that have a quantizer, in this process.
struct Claims {
  std::mutex mutex;
  std::unordered_set<const c10::TensorImpl *> tensors;
};

Claims &claims() {
  static Claims instance;
  return instance;
}

bool endsWith(const std::string &text, const std::string &end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

} // namespace

ModelQuantizer::ModelQuantizer(const char *kind, ModelView given, const SelectionRule &rule, const std::string &suffix,
                               bool upstreamCompatible)
    : kind(kind), upstreamCompatible(upstreamCompatible), suffix(suffix), model(std::move(given)) {
  const std::vector<ModelTensor> parameters = model.parameters();
  if (!suffix.empty())
    for (const ModelTensor &parameter : parameters)
      TORCH_CHECK(!endsWith(parameter.name, suffix), kind, ": the model has a parameter '", parameter.fullName(),
                  "', whose name ends with '", suffix,
                  "': it has a quantizer already; detach() that one, or give this one another suffix");
  std::vector<size_t> entryOf;
  for (Selected &selected : selectParameters(parameters, rule)) {
    entryOf.push_back(entries.size());
    if (selected.storage != Storage::Quantized) {
      kept.push_back(std::move(selected));
      continue;
    }
    const ModelTensor &parameter = selected.parameter;
    TORCH_CHECK(parameter.tensor.is_leaf(), kind, ": '", parameter.fullName(),
                "' is the result of a computation, expected a parameter");
    QuantizedParameter entry{parameter.fullName(), parameter.tensor, {}, {}, parameter.module, parameter.name};
    if (selected.boundTo)
      entry.boundTo = entryOf[*selected.boundTo];
    entries.push_back(std::move(entry));
  }
  const std::lock_guard lock(claims().mutex);
  for (const QuantizedParameter &entry : entries)
    TORCH_CHECK(!claims().tensors.count(entry.parameter.unsafeGetTensorImpl()), kind, ": '", entry.name,
                "' has a quantizer already; detach() that one first");
  for (const QuantizedParameter &entry : entries)
    claims().tensors.insert(entry.parameter.unsafeGetTensorImpl());
  attached = true;
}

ModelQuantizer::~ModelQuantizer() {
  if (attached)
    detach();
}

void ModelQuantizer::checkAttached() const {
  TORCH_CHECK(attached, kind, ": is detached from its model; make a new one");
}

void ModelQuantizer::checkUsable() const {
  checkAttached();
  if (!misuse->empty())
    TORCH_CHECK(false, std::exchange(*misuse, {}));
  TORCH_CHECK(scope.expired(), kind,
              ": a WeightScope is open; end it first, that of trainingWeights() after backward() has returned");
}

void ModelQuantizer::learn(QuantizedParameter &entry, const Tensor &tensor) {
  entry.learned = tensor;
  if (model.takesParameters())
    model.addParameter(entry.module, entry.shortName + suffix, tensor);
  const size_t index = &entry - entries.data();
  for (QuantizedParameter &other : entries)
    if (other.boundTo == index)
      other.learned = tensor;
}

void ModelQuantizer::detach() {
  TORCH_CHECK(attached, kind, ": is detached already");
  attached = false;
  if (model.takesParameters())
    for (const QuantizedParameter &entry : entries)
      if (entry.learned.defined() && !entry.boundTo)
        model.removeParameter(entry.module, entry.shortName + suffix);
  const std::lock_guard lock(claims().mutex);
  for (const QuantizedParameter &entry : entries)
    claims().tensors.erase(entry.parameter.unsafeGetTensorImpl());
}

Tensor ModelQuantizer::trueValue(const Tensor &parameter) const {
  Tensor original;
  if (const std::shared_ptr<WeightSwap> swap = rounded ? rounded : scope.lock())
    original = swap->originalOf(parameter);
  return (original.defined() ? original : parameter).detach();
}

std::vector<WeightSwap::Change> ModelQuantizer::roundedValues() const {
  const at::NoGradGuard noGradient;
  std::vector<WeightSwap::Change> changes;
  const auto add = [&](const std::string &name, const Tensor &parameter, const Tensor &value) {
    // A tensor that several entries quantize has the values of the last.
    for (WeightSwap::Change &change : changes)
      if (change.parameter.is_same(parameter)) {
        change.value = value;
        return;
      }
    changes.push_back({name, parameter, WeightSwap::standIn(parameter), value});
  };
  for (const QuantizedParameter &entry : entries)
    if (!entry.boundTo) {
      const Tensor value = unpack(pack(entry, entry.parameter.detach()), entry.learned);
      add(entry.name, entry.parameter, value.to(entry.parameter.device(), entry.parameter.scalar_type()));
    }
  for (const Selected &selected : kept)
    if (const Tensor &tensor = selected.parameter.tensor; selected.storage == Storage::Half)
      add(selected.parameter.fullName(), tensor, tensor.detach().to(at::kHalf).to(tensor.scalar_type()).clone());
  return changes;
}

bool ModelQuantizer::quantize() {
  checkUsable();
  if (rounded)
    return false;
  rounded = std::make_shared<WeightSwap>(roundedValues());
  return true;
}

void ModelQuantizer::unquantize() {
  checkUsable();
  if (!rounded)
    return;
  const std::vector<std::string> changed = rounded->restore();
  rounded.reset();
  TORCH_CHECK(changed.empty(), kind, ": '", changed.front(),
              "' was changed while the model was quantized; the change "
              "is lost");
}

WeightScope ModelQuantizer::quantizedWeights() {
  checkUsable();
  if (rounded)
    return {};
  auto swap = std::make_shared<WeightSwap>(roundedValues());
  scope = swap;
  return WeightScope(kind, std::move(swap), misuse);
}

WeightScope ModelQuantizer::trainingWeights() {
  checkUsable();
  beginTraining();
  unquantize();
  std::vector<WeightSwap::Change> changes;
  for (const QuantizedParameter &entry : entries) {
    if (entry.boundTo)
      continue;
    for (const WeightSwap::Change &other : changes)
      TORCH_CHECK(!other.parameter.is_same(entry.parameter), kind, ": '", other.name, "' and '", entry.name,
                  "' are one tensor, which cannot have two values; leave detect_bound on");
    const Tensor original = WeightSwap::standIn(entry.parameter);
    changes.push_back({entry.name, entry.parameter, original, trainingValue(entry, original)});
  }
  auto swap = std::make_shared<WeightSwap>(std::move(changes));
  scope = swap;
  return WeightScope(kind, std::move(swap), misuse);
}

Tensor ModelQuantizer::unpack(const MixedWeight &weight, const Tensor &) const { return dequantizeMixed(weight); }

MixedWeight ModelQuantizer::packed(const std::string &name) const {
  checkAttached();
  for (const QuantizedParameter &entry : entries)
    if (entry.name == name)
      return pack(entry.boundTo ? entries[*entry.boundTo] : entry, trueValue(entry.parameter));
  TORCH_CHECK(false, kind, ": quantizes no parameter '", name, "'");
}

std::vector<std::string> ModelQuantizer::float16Names() const {
  std::vector<std::string> names;
  for (const Selected &selected : kept)
    if (selected.storage == Storage::Half)
      names.push_back(selected.parameter.fullName());
  return names;
}

std::vector<std::string> ModelQuantizer::otherNames() const {
  std::vector<std::string> names;
  for (const Selected &selected : kept)
    if (selected.storage == Storage::Other)
      names.push_back(selected.parameter.fullName());
  return names;
}

void ModelQuantizer::addToOptimizer(torch::optim::Optimizer &optimizer, std::optional<double> lr,
                                    const std::function<void(torch::optim::OptimizerOptions &)> &change) {
  checkUsable();
  std::vector<Tensor> tensors;
  for (const QuantizedParameter &entry : entries)
    if (entry.learned.defined() && !entry.boundTo)
      tensors.push_back(entry.learned);
  for (const auto &group : optimizer.param_groups())
    for (const Tensor &parameter : group.params())
      for (const QuantizedParameter &entry : entries)
        TORCH_CHECK(!parameter.is_same(entry.learned), kind, ": the optimizer has '", entry.name, suffix,
                    "' already; create the optimizer before the quantizer, and set it up once");
  if (tensors.empty())
    return;
  std::unique_ptr<torch::optim::OptimizerOptions> options = optimizer.defaults().clone();
  if (lr)
    options->set_lr(*lr);
  if (change)
    change(*options);
  optimizer.add_param_group(torch::optim::OptimizerParamGroup(std::move(tensors), std::move(options)));
}

void ModelQuantizer::removeFromOptimizer(torch::optim::Optimizer &optimizer) {
  checkUsable();
  std::unordered_set<const c10::TensorImpl *> mine;
  for (const QuantizedParameter &entry : entries)
    if (entry.learned.defined())
      mine.insert(entry.learned.unsafeGetTensorImpl());
  auto &groups = optimizer.param_groups();
  for (auto &group : groups) {
    auto &parameters = group.params();
    parameters.erase(std::remove_if(parameters.begin(), parameters.end(),
                                    [&](const Tensor &tensor) { return mine.count(tensor.unsafeGetTensorImpl()); }),
                     parameters.end());
  }
  groups.erase(std::remove_if(groups.begin(), groups.end(), [](const auto &group) { return group.params().empty(); }),
               groups.end());
  for (const c10::TensorImpl *tensor : mine)
    optimizer.state().erase(const_cast<c10::TensorImpl *>(tensor));
}
