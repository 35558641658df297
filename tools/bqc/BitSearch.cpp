// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/BitSearch.h"

#include "quantizers/WeightedQuantize.h"
#include "tools/bqc/ModelFile.h"
#include "tools/bqc/Progress.h"
#include "tools/bqc/Sensitivity.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <regex>

using namespace bq;
using namespace bq::cli;

namespace {

constexpr int minBits = 2, maxBits = 8;
/// Enough to rank layers; more inputs change the errors by little.
constexpr size_t maxInputs = 32;

bool isSearched(const LayerReport &layer) {
  const Format::Kind kind = layer.format.kind;
  return layer.op != "embedding" && (kind == Format::Kind::Int || kind == Format::Kind::UInt);
}

Format withBits(Format format, int bits) {
  format.bits = bits;
  return format;
}

/// The errors of all choices for one layer.
LayerChoices measure(const LayerReport &layer, const at::Tensor &importance) {
  LayerChoices choices;
  choices.weights = layer.weight.numel();
  const at::Tensor weight = layer.weight.detach();
  for (int bits = minBits; bits <= maxBits; ++bits) {
    const at::Tensor rounded =
        quantizeWeighted(weight, importance, withBits(layer.format, bits))->dequantize(at::kFloat);
    choices.bits.push_back(bits);
    choices.errors.push_back(((rounded - weight).square() * importance).sum(at::kDouble).item<double>());
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

Expected<BitPlan> cli::searchBits(const QuantizeOptions &command, const ConvertOptions &options) {
  Expected<std::vector<std::vector<c10::IValue>>> inputs = loadInputs("--calibrate", command.calibration.data);
  if (!inputs)
    return inputs.error();
  inputs->resize(std::min(inputs->size(), maxInputs));
  // A model of its own, that evaluates.
  Expected<torch::jit::Module> module = loadModel(command.in);
  if (!module)
    return module.error();
  module->eval();
  const ConvertReport plan = planConversion(*module, options);
  // Layers that share a weight are searched once.
  std::vector<const LayerReport *> searched;
  std::map<const c10::TensorImpl *, size_t> indices;
  for (const LayerReport &layer : plan.layers)
    if (isSearched(layer) && indices.emplace(layer.weight.unsafeGetTensorImpl(), searched.size()).second)
      searched.push_back(&layer);
  if (searched.empty())
    return invalidArgument("--target-bits: no layer has a format such as int4:g32, whose bits could be chosen");
  if (command.targetBits < minBits || command.targetBits > maxBits)
    return invalidArgument(fmt::format("--target-bits {}: expected {} to {}", command.targetBits, minBits, maxBits));

  Expected<std::vector<Sensitivity>> sensitivities = [&] {
    Progress progress("calibrate", command.output);
    return measureSensitivity(*module, *inputs, searched, progress);
  }();
  if (!sensitivities)
    return sensitivities.error();
  const at::NoGradGuard noGradient;
  std::vector<LayerChoices> layers;
  {
    Progress progress("measure", command.output);
    for (size_t index = 0; index < searched.size(); ++index) {
      const LayerReport &layer = *searched[index];
      layers.push_back(measure(layer, (*sensitivities)[index].importance(layer.weight.sizes())));
      progress.step(index + 1, searched.size(), layer.name,
                    fmt::format("4 bits cost {:.2e}", layers.back().errors[4 - minBits]));
    }
  }
  const std::vector<size_t> chosen = chooseBits(layers, command.targetBits);
  BitPlan result;
  double bits = 0, weights = 0;
  std::vector<c10::intrusive_ptr<PackedWeight>> rounded;
  for (size_t index = 0; index < searched.size(); ++index) {
    const LayerReport &layer = *searched[index];
    const LayerChoices &choices = layers[index];
    bits += static_cast<double>(choices.bits[chosen[index]]) * static_cast<double>(choices.weights);
    weights += static_cast<double>(choices.weights);
    result.expectedError += choices.errors[chosen[index]];
    rounded.push_back(quantizeWeighted(layer.weight.detach(), (*sensitivities)[index].importance(layer.weight.sizes()),
                                       withBits(layer.format, choices.bits[chosen[index]])));
  }
  result.meanBits = bits / weights;
  for (const LayerReport &layer : plan.layers) {
    result.rules.push_back({exactly(layer.name), layer.format});
    if (isSearched(layer)) {
      const auto &weight = rounded[indices.at(layer.weight.unsafeGetTensorImpl())];
      result.rules.back().format = weight->format();
      result.weights[layer.name] = weight;
    }
  }
  return result;
}
