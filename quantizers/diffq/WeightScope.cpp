// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/WeightScope.h"

#include <torch/csrc/autograd/edge.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <utility>

using namespace bq;
using namespace bq::diffq;

using at::Tensor;
using torch::autograd::Node;
using torch::autograd::variable_list;

namespace {

/// Hands a gradient on.
struct PassOn : Node {
  explicit PassOn(torch::autograd::Edge next) : Node({std::move(next)}) {}
  variable_list apply(variable_list &&grads) override { return std::move(grads); }
  std::string name() const override { return "bq::PassOn"; }
};

/// Hands a gradient on as long as the weights are those that the graph has seen.
struct Gate : Node {
  Gate(torch::autograd::Edge next, std::string weight, std::shared_ptr<const bool> open)
      : Node({std::move(next)}), weight(std::move(weight)), open(std::move(open)) {}
  variable_list apply(variable_list &&grads) override {
    TORCH_CHECK(*open, weight,
                ": backward() came after the end of the WeightScope that its forward ran in; the scope "
                "must live until backward() has returned");
    return std::move(grads);
  }
  std::string name() const override { return "bq::Gate"; }

  const std::string weight;
  const std::shared_ptr<const bool> open;
};

/// Up to about 256 elements from all over a tensor, shared with it; not defined of one on a device.
Tensor samplesOf(const Tensor &tensor) {
  if (!tensor.is_cpu() || !tensor.is_contiguous())
    return {};
  return tensor.detach().view(-1).slice(0, 0, std::nullopt, std::max<int64_t>(1, tensor.numel() / 256));
}

} // namespace

Tensor WeightSwap::standIn(const Tensor &parameter) {
  Tensor result = parameter.variable_data();
  if (parameter.requires_grad() && at::GradMode::is_enabled())
    torch::autograd::create_gradient_edge(result,
                                          std::make_shared<PassOn>(torch::autograd::impl::gradient_edge(parameter)));
  return result;
}

WeightSwap::WeightSwap(std::vector<Change> changes) {
  items.reserve(changes.size());
  for (Change &change : changes) {
    Item item;
    item.change = std::move(change);
    items.push_back(std::move(item));
  }
  try {
    for (Item &item : items)
      put(item);
  } catch (...) {
    restore();
    throw;
  }
}

void WeightSwap::put(Item &item) {
  const Tensor &parameter = item.change.parameter, &value = item.change.value;
  item.requiresGrad = parameter.requires_grad();
  if (item.requiresGrad)
    item.accumulator = torch::autograd::impl::grad_accumulator(parameter);
  item.memory = value.storage().unsafeGetStorageImpl();
  parameter.set_data(value.detach());
  if (const Tensor samples = samplesOf(parameter); samples.defined())
    item.samples = samples.clone();
  if (value.requires_grad()) {
    parameter.set_requires_grad(true);
    auto gate = std::make_shared<Gate>(torch::autograd::impl::gradient_edge(value), item.change.name, open);
    gate->add_input_metadata(parameter);
    torch::autograd::impl::set_grad_accumulator(parameter, gate);
    item.gate = std::move(gate);
  }
  // A graph that saved the weight before must not meet other values unseen.
  parameter.unsafeGetTensorImpl()->bump_version();
  item.version = parameter._version();
}

std::vector<std::string> WeightSwap::restore() noexcept {
  std::vector<std::string> changed;
  if (!*open)
    return changed;
  *open = false;
  for (Item &item : items) {
    // Not reached by put().
    if (!item.memory)
      continue;
    const Tensor &parameter = item.change.parameter;
    if (parameter._version() != item.version || parameter.storage().unsafeGetStorageImpl() != item.memory ||
        (item.samples.defined() && !samplesOf(parameter).equal(item.samples)))
      changed.push_back(item.change.name);
    torch::autograd::impl::set_grad_accumulator(parameter, {});
    parameter.set_data(item.change.original.variable_data());
    parameter.set_requires_grad(item.requiresGrad);
    if (item.accumulator)
      torch::autograd::impl::set_grad_accumulator(parameter, item.accumulator);
    parameter.unsafeGetTensorImpl()->bump_version();
  }
  items.clear();
  return changed;
}

Tensor WeightSwap::originalOf(const Tensor &parameter) const {
  for (const Item &item : items)
    if (item.change.parameter.is_same(parameter))
      return item.change.original;
  return {};
}

WeightScope::WeightScope(std::string name, std::shared_ptr<WeightSwap> swap, std::shared_ptr<std::string> misuse)
    : name(std::move(name)), swap(std::move(swap)), misuse(std::move(misuse)) {}

WeightScope &WeightScope::operator=(WeightScope &&other) noexcept {
  WeightScope old(std::move(*this));
  name = std::move(other.name);
  swap = std::move(other.swap);
  misuse = std::move(other.misuse);
  return *this;
}

std::string WeightScope::restore() noexcept {
  if (!isOpen())
    return {};
  const std::vector<std::string> changed = swap->restore();
  swap.reset();
  if (changed.empty())
    return {};
  return name + ": '" + changed.front() + "'" +
         (changed.size() > 1 ? " and " + std::to_string(changed.size() - 1) + " more weights were" : " was") +
         " changed inside of a WeightScope, as by optimizer.step(); the change is lost: end the scope after backward() "
         "and step then";
}

WeightScope::~WeightScope() {
  if (std::string text = restore(); !text.empty())
    *misuse = std::move(text);
}

void WeightScope::close() {
  const std::string text = restore();
  TORCH_CHECK(text.empty(), text);
}
