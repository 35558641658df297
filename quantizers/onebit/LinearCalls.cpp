// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/LinearCalls.h"

#include <ATen/record_function.h>

#include <exception>
#include <map>
#include <optional>
#include <string_view>

using namespace bq::onebit;

using at::Tensor;

namespace {

/// Where x and the weight stand among an operator's arguments.
struct Arguments {
  std::string_view op;
  size_t x, weight;
};
constexpr Arguments knownOperators[] = {
    {"aten::linear", 0, 1}, {"aten::addmm", 1, 2}, {"aten::mm", 0, 1}, {"aten::matmul", 0, 1}};

class Watch;
/// Callbacks are plain functions.
thread_local Watch *active = nullptr;

class Watch {
public:
  using OnInput = std::function<void(size_t weight, const Tensor &x)>;

  Watch(const std::vector<Tensor> &weights, const OnInput &onInput) : onInput(onInput) {
    for (size_t i = 0; i < weights.size(); ++i) {
      const bool isNew = numbers.try_emplace(keyOf(weights[i]), i).second;
      TORCH_CHECK(isNew, "watchLinearCalls: weights ", numbers.at(keyOf(weights[i])), " and ", i, " are one tensor");
    }
    TORCH_CHECK(!active, "watchLinearCalls: is running on this thread already");
    active = this;
    handle = at::addThreadLocalCallback(
        at::RecordFunctionCallback(begin, end).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  }
  Watch(const Watch &) = delete;
  Watch &operator=(const Watch &) = delete;
  ~Watch() {
    at::removeCallback(handle);
    active = nullptr;
  }

  void rethrow() const {
    if (error)
      std::rethrow_exception(error);
  }

private:
  using Key = std::pair<const void *, int64_t>;
  static Key keyOf(const Tensor &tensor) { return {tensor.const_data_ptr(), tensor.numel()}; }

  /// Marks an operator that is made of others, whose products have been seen with it.
  struct Seen : at::ObserverContext {};

  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction &function) {
    return active ? active->enter(function) : nullptr;
  }
  static void end(const at::RecordFunction &, at::ObserverContext *context) {
    if (active && context)
      active->isInside = false;
  }

  std::unique_ptr<at::ObserverContext> enter(const at::RecordFunction &function) {
    if (isInside || error)
      return nullptr;
    const std::string_view name = function.name();
    for (const Arguments &known : knownOperators) {
      if (name != known.op)
        continue;
      // The inputs of a call from TorchScript are the interpreter's whole stack, which ends with the arguments.
      const size_t arguments = function.num_inputs();
      if (function.inputs().size() < arguments || arguments <= known.weight)
        return nullptr;
      const c10::ArrayRef<const c10::IValue> inputs = function.inputs().slice(function.inputs().size() - arguments);
      if (!inputs[known.x].isTensor() || !inputs[known.weight].isTensor())
        return nullptr;
      const Tensor &weight = inputs[known.weight].toTensor();
      if (!weight.defined() || !weight.has_storage())
        return nullptr;
      const auto number = numbers.find(keyOf(weight));
      if (number == numbers.end())
        return nullptr;
      // What is called from here, and by the operator, is no call of a layer.
      isInside = true;
      try {
        onInput(number->second, inputs[known.x].toTensor().detach());
      } catch (...) {
        // LibTorch drops what callbacks throw.
        error = std::current_exception();
      }
      return std::make_unique<Seen>();
    }
    return nullptr;
  }

  const OnInput &onInput;
  std::map<Key, size_t> numbers;
  at::CallbackHandle handle = at::INVALID_CALLBACK_HANDLE;
  bool isInside = false;
  std::exception_ptr error;
};

} // namespace

void bq::onebit::watchLinearCalls(const std::vector<Tensor> &weights, const std::function<void()> &body,
                                  const std::function<void(size_t weight, const Tensor &x)> &onInput) {
  at::NoGradGuard noGrad;
  Watch watch(weights, onInput);
  try {
    body();
  } catch (...) {
    // The model may have failed because of it.
    watch.rethrow();
    throw;
  }
  watch.rethrow();
}
