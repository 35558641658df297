// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/BitSearch.h"

#include "quantizers/PackedWeight.h"
#include "tools/bqc/ModelFile.h"
#include "tools/bqc/Outputs.h"
#include "tools/bqc/Progress.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>
#include <regex>

using namespace bq;
using namespace bq::cli;

namespace {

constexpr int minBits = 2, maxBits = 8;
/// Enough to rank layers; more inputs change the errors by little and take their time for every choice.
constexpr size_t maxInputs = 32;

bool isSearched(const LayerReport &layer) { return layer.op != "embedding" && layer.format.kind == Format::Kind::Int; }

Expected<std::vector<at::Tensor>> resultsOf(torch::jit::Module &module,
                                            const std::vector<std::vector<c10::IValue>> &inputs) {
  std::vector<at::Tensor> results;
  for (const std::vector<c10::IValue> &input : inputs) {
    Expected<at::Tensor> rows = outputRows(module.forward(input));
    if (!rows)
      return rows.error();
    results.push_back(std::move(*rows));
  }
  return results;
}

/// The mean over all rows of |a - b|^2 / |a|^2.
double relativeError(const std::vector<at::Tensor> &a, const std::vector<at::Tensor> &b) {
  double sum = 0, rows = 0;
  for (size_t index = 0; index < a.size(); ++index) {
    const at::Tensor scale = a[index].square().sum(1).clamp_min(1e-30);
    sum += ((a[index] - b[index]).square().sum(1) / scale).sum().item<double>();
    rows += static_cast<double>(a[index].size(0));
  }
  return sum / rows;
}

Format withBits(Format format, int bits) {
  format.bits = bits;
  return format;
}

/// The errors of all choices for one layer. The weight is another one where this throws.
Expected<LayerChoices> measure(const LayerReport &layer, torch::jit::Module &module,
                               const std::vector<std::vector<c10::IValue>> &inputs,
                               const std::vector<at::Tensor> &expected) {
  LayerChoices choices;
  choices.weights = layer.weight.numel();
  const at::Tensor original = layer.weight.variable_data();
  for (int bits = minBits; bits <= maxBits; ++bits) {
    const at::Tensor value = PackedWeight::quantize(original, withBits(layer.format, bits))->dequantize();
    layer.weight.set_data(value.to(original.scalar_type()));
    const Expected<std::vector<at::Tensor>> results = resultsOf(module, inputs);
    layer.weight.set_data(original);
    if (!results)
      return results.error();
    choices.bits.push_back(bits);
    choices.errors.push_back(relativeError(expected, *results));
  }
  return choices;
}

std::string exactly(const std::string &name) {
  return "^" + std::regex_replace(name, std::regex(R"([.\[\]*+?^$(){}|\\])"), R"(\$&)") + "$";
}

} // namespace

std::vector<size_t> cli::chooseBits(const std::vector<LayerChoices> &layers, double target) {
  std::vector<size_t> chosen(layers.size(), 0);
  double room = 0;
  for (const LayerChoices &layer : layers)
    room += (target - layer.bits[0]) * static_cast<double>(layer.weights);
  while (true) {
    double best = 0, cost = 0;
    size_t bestLayer = layers.size(), bestChoice = 0;
    for (size_t index = 0; index < layers.size(); ++index) {
      const LayerChoices &layer = layers[index];
      const size_t now = chosen[index];
      for (size_t next = now + 1; next < layer.bits.size(); ++next) {
        const double bits = static_cast<double>((layer.bits[next] - layer.bits[now]) * layer.weights);
        const double saved = (layer.errors[now] - layer.errors[next]) / bits;
        // Rounding leaves the room a little below what is exactly used.
        if (bits <= room * (1 + 1e-12) && saved > best) {
          best = saved;
          cost = bits;
          bestLayer = index;
          bestChoice = next;
        }
      }
    }
    if (bestLayer == layers.size())
      return chosen;
    chosen[bestLayer] = bestChoice;
    room -= cost;
  }
}

Expected<std::vector<FormatRule>> cli::searchBits(const QuantizeOptions &command, const ConvertOptions &options) {
  Expected<std::vector<std::vector<c10::IValue>>> inputs = loadInputs("--calibrate", command.calibration.data);
  if (!inputs)
    return inputs.error();
  inputs->resize(std::min(inputs->size(), maxInputs));
  // A model of its own, that evaluates.
  Expected<torch::jit::Module> module = loadModel(command.in);
  if (!module)
    return module.error();
  module->eval();
  const at::NoGradGuard noGradient;
  const ConvertReport plan = planConversion(*module, options);
  const auto total = std::count_if(plan.layers.begin(), plan.layers.end(), isSearched);
  if (total == 0)
    return invalidArgument("--target-bits: no layer has a format such as int4:g32, whose bits could be chosen");
  if (command.targetBits < minBits || command.targetBits > maxBits)
    return invalidArgument(fmt::format("--target-bits {}: expected {} to {}", command.targetBits, minBits, maxBits));
  const Expected<std::vector<at::Tensor>> expected = resultsOf(*module, *inputs);
  if (!expected)
    return expected.error();

  std::vector<LayerChoices> layers;
  {
    Progress progress("measure", command.output);
    for (const LayerReport &layer : plan.layers) {
      if (!isSearched(layer))
        continue;
      Expected<LayerChoices> choices = measure(layer, *module, *inputs, *expected);
      if (!choices)
        return choices.error();
      layers.push_back(std::move(*choices));
      progress.step(layers.size(), total, layer.name, fmt::format("4 bits alone: {:.2e}", layers.back().errors[2]));
    }
  }
  const std::vector<size_t> chosen = chooseBits(layers, command.targetBits);
  std::vector<FormatRule> rules;
  size_t index = 0;
  for (const LayerReport &layer : plan.layers) {
    Format format = layer.format;
    if (isSearched(layer)) {
      format = withBits(format, layers[index].bits[chosen[index]]);
      ++index;
    }
    rules.push_back({exactly(layer.name), format});
  }
  return rules;
}
