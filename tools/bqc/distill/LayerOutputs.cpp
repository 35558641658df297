// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/distill/LayerOutputs.h"

#include <ATen/record_function.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <string_view>
#include <unordered_map>

using namespace bq::cli;

namespace {

class Capture;
/// Callbacks are plain functions.
thread_local Capture *active = nullptr;

class Capture {
public:
  explicit Capture(const std::vector<at::Tensor> &weights) {
    for (size_t i = 0; i < weights.size(); ++i)
      layers.emplace(weights[i].const_data_ptr(), i);
    TORCH_CHECK(!active, "captureOutputs: is running on this thread already");
    active = this;
    handle = at::addThreadLocalCallback(at::RecordFunctionCallback(begin, end)
                                            .needsInputs(true)
                                            .needsOutputs(true)
                                            .scopes({at::RecordScope::FUNCTION}));
  }
  Capture(const Capture &) = delete;
  Capture &operator=(const Capture &) = delete;
  ~Capture() {
    at::removeCallback(handle);
    active = nullptr;
  }

  std::vector<LayerOutput> outputs;

private:
  /// The layer that a call is of.
  struct Call : at::ObserverContext {
    explicit Call(size_t layer) : layer(layer) {}
    size_t layer;
  };

  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction &function) {
    if (!active || std::string_view(function.name()) != "aten::linear")
      return nullptr;
    // Where an interpreter makes the call, what it has on its stack stands before x, weight and bias, and before the
    // result.
    const c10::ArrayRef<const c10::IValue> inputs = function.inputs();
    if (inputs.size() < 3 || !inputs[inputs.size() - 2].isTensor())
      return nullptr;
    const at::Tensor &weight = inputs[inputs.size() - 2].toTensor();
    if (!weight.defined() || !weight.has_storage())
      return nullptr;
    const auto found = active->layers.find(weight.const_data_ptr());
    return found == active->layers.end() ? nullptr : std::make_unique<Call>(found->second);
  }

  static void end(const at::RecordFunction &function, at::ObserverContext *context) {
    if (!active || !context)
      return;
    const std::vector<c10::IValue> &results = function.outputs();
    if (!results.empty() && results.back().isTensor())
      active->outputs.push_back({static_cast<Call *>(context)->layer, results.back().toTensor()});
  }

  std::unordered_map<const void *, size_t> layers;
  at::CallbackHandle handle = at::INVALID_CALLBACK_HANDLE;
};

} // namespace

std::vector<LayerOutput> bq::cli::captureOutputs(const std::vector<at::Tensor> &weights,
                                                 const std::function<void()> &body) {
  const torch::jit::GraphOptimizerEnabledGuard asWritten(false);
  Capture capture(weights);
  body();
  return std::move(capture.outputs);
}
