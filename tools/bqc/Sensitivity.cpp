// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Sensitivity.h"

#include "tools/bqc/Outputs.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <torch/autograd.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

using namespace bq;
using namespace bq::cli;

using at::Tensor;

/// Directions in all, where there are fewer inputs: each tells of all weights, so that few are enough.
static constexpr size_t leastDirections = 32;
static constexpr uint64_t seed = 0;

Tensor Sensitivity::importance(at::IntArrayRef shape) const {
  return (rows.unsqueeze(1) * (columns / columns.sum())).to(at::kFloat).reshape(shape);
}

Expected<std::vector<Sensitivity>> cli::measureSensitivity(torch::jit::Module &module,
                                                           const std::vector<std::vector<c10::IValue>> &inputs,
                                                           const std::vector<const LayerReport *> &layers,
                                                           Progress &progress) {
  // Batches of many lengths would each be compiled anew.
  const torch::jit::GraphOptimizerEnabledGuard asWritten(false);
  const at::AutoGradMode gradients(true);
  for (Tensor parameter : module.parameters())
    parameter.set_requires_grad(false);
  std::vector<Tensor> weights;
  std::vector<Sensitivity> result;
  for (const LayerReport *layer : layers) {
    weights.push_back(layer->weight.set_requires_grad(true));
    const int64_t rows = layer->weight.size(0);
    result.push_back({at::zeros({rows}, at::kDouble), at::zeros({layer->weight.numel() / rows}, at::kDouble)});
  }
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const size_t repeats = (leastDirections + inputs.size() - 1) / inputs.size();
  int64_t count = 0;
  for (size_t index = 0; index < inputs.size(); ++index) {
    const Expected<Tensor> rows = differentiableRows(module.forward(inputs[index]));
    if (!rows)
      return rows.error();
    if (!rows->requires_grad())
      return invalidArgument("--target-bits: the model's result has no gradient, by which weights are judged");
    const Tensor length = rows->detach().norm(2, 1, true).clamp_min(1e-30);
    for (size_t repeat = 0; repeat < repeats; ++repeat) {
      const Tensor direction = at::randn(rows->sizes(), generator, at::TensorOptions(at::kDouble)) / length;
      const std::vector<Tensor> all = torch::autograd::grad({*rows}, weights, {direction}, repeat + 1 < repeats,
                                                            /*create_graph=*/false, /*allow_unused=*/true);
      for (size_t layer = 0; layer < all.size(); ++layer) {
        if (!all[layer].defined())
          continue;
        const Tensor square = all[layer].flatten(1).to(at::kFloat).square();
        result[layer].rows += square.sum(1);
        result[layer].columns += square.sum(0);
      }
    }
    count += rows->size(0) * static_cast<int64_t>(repeats);
    progress.step(index + 1, inputs.size(), fmt::format("input {}", index), fmt::format("{} rows", rows->size(0)));
  }
  for (Tensor &weight : weights)
    weight.set_requires_grad(false);
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    const double sum = result[layer].columns.sum().item<double>();
    if (!std::isfinite(sum))
      return invalidArgument(fmt::format("--target-bits: the gradient of the result with respect to layer '{}' is not "
                                         "finite: expected inputs and weights that give finite ones",
                                         layers[layer]->name));
    if (sum == 0)
      return invalidArgument(fmt::format("--target-bits: no input of --calibrate reaches layer '{}', so nothing tells "
                                         "what its bits cost: give inputs that do, or leave it out by --exclude",
                                         layers[layer]->name));
    result[layer].rows /= static_cast<double>(count);
    result[layer].columns /= static_cast<double>(count);
  }
  return result;
}
