// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/BitTraining.h"

#include "quantizers/Mixed.h"
#include "tools/bqc/ModelFile.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

using namespace bq;
using namespace bq::cli;

namespace {

/// How far below its target a model is steered, so that rounding its bits does not lift it above.
constexpr double margin = 0.985;
/// Control of the penalty: its integral part changes by this power of the relative excess in a step; its proportional
/// part is this many first penalties for an excess of one, and is negative below the target, so that room is used.
constexpr double gain = 0.1, lead = 10;

DiffQuantizerOptions quantizerOptions(const TrainOptions &options) {
  return DiffQuantizerOptions()
      .min_size(options.minSize)
      .group_size(options.groupSize)
      .noise(options.noise)
      .init_bits(options.initBits);
}

} // namespace

double StoredBits::mean() const {
  double sum = 0, count = 0;
  for (size_t bits = 0; bits < groups.size(); ++bits) {
    sum += static_cast<double>(bits) * static_cast<double>(groups[bits]);
    count += static_cast<double>(groups[bits]);
  }
  return sum / count;
}

BitTraining::BitTraining(const TrainOptions &options, TrainModel &model)
    : penalty(options.penalty), quantizer(model, quantizerOptions(options)), target(options.targetSize),
      firstPenalty(options.penalty) {}

Expected<std::unique_ptr<BitTraining>> BitTraining::create(const TrainOptions &options, TrainModel &model,
                                                           torch::optim::Optimizer &optimizer) {
  try {
    std::unique_ptr<BitTraining> training(new BitTraining(options, model));
    if (training->quantizer.quantizedParameters().empty())
      return invalidArgument(fmt::format("--min-size {}: no parameter is larger, expected less", options.minSize));
    training->quantizer.setupOptimizer(optimizer, options.bitsLr);
    if (training->target > 0) {
      std::vector<at::Tensor> before;
      for (const QuantizedParameter &entry : training->quantizer.quantizedParameters())
        before.push_back(entry.learned.detach().clone());
      training->header = training->fileSize() - training->size();
      training->takeOff(before, INFINITY);
      const double least = training->fileSize();
      size_t index = 0;
      for (const QuantizedParameter &entry : training->quantizer.quantizedParameters())
        entry.learned.detach().copy_(before[index++]);
      if (least > training->target)
        return invalidArgument(fmt::format("--target-size {}: with {} bits for all weights the file takes {:.4f} MB; "
                                           "expected more, or a smaller --model or --min-size",
                                           options.targetSize, training->quantizer.options.min_bits(), least));
    }
    return training;
  } catch (const std::exception &error) {
    return invalidArgument(fmt::format("--quantizer {}: {}", options.quantizer, modelErrorText(error)));
  }
}

at::Tensor BitTraining::cost() const {
  const at::Tensor size = quantizer.modelSize();
  return size * (penalty + (target > 0 ? lead * firstPenalty * excess(size) : 0));
}

double BitTraining::excess(const at::Tensor &size) const {
  return (size.item<double>() + header) / (margin * target) - 1;
}

void BitTraining::steer() {
  if (target == 0)
    return;
  const at::NoGradGuard noGradient;
  const double change = std::clamp(gain * excess(quantizer.modelSize()), -0.1, 0.1);
  penalty = std::clamp(penalty * std::exp(change), 1e-3 * firstPenalty, 1e6 * firstPenalty);
}

void BitTraining::takeOff(const std::vector<at::Tensor> &bits, double less) {
  const at::NoGradGuard noGradient;
  const double least = quantizer.options.min_bits(), most = quantizer.options.max_bits();
  // Logits stay finite.
  constexpr double end = 1e-4;
  size_t index = 0;
  for (const QuantizedParameter &entry : quantizer.quantizedParameters()) {
    const at::Tensor t = ((bits[index++] - less - least) / (most - least)).clamp(end, 1 - end);
    entry.learned.detach().copy_(t.logit());
  }
}

void BitTraining::reachTarget() {
  if (target == 0 || fileSize() <= target)
    return;
  std::vector<at::Tensor> bits;
  for (const QuantizedParameter &entry : quantizer.quantizedParameters())
    bits.push_back(quantizer.bits(entry).detach());
  double enough = quantizer.options.max_bits(), tooLittle = 0;
  for (int step = 0; step < 20; ++step) {
    const double less = (enough + tooLittle) / 2;
    takeOff(bits, less);
    (fileSize() <= target ? enough : tooLittle) = less;
  }
  takeOff(bits, enough);
}

void BitTraining::finish(TrainModel &model) {
  reachTarget();
  std::vector<PackedParameter> packed;
  for (const QuantizedParameter &entry : quantizer.quantizedParameters()) {
    if (entry.parameter.dim() != 2 && entry.parameter.dim() != 4)
      continue;
    const MixedWeight weight = quantizer.packed(entry.name);
    packed.push_back(
        {entry.parameter, c10::make_intrusive<PackedWeight>(weight.codes, weight.scales, std::nullopt,
                                                            *Format::parse(weight.format()), weight.shape)});
  }
  quantizer.quantize();
  model.usePacked(packed);
}

double BitTraining::meanBits() const {
  double sum = 0, count = 0;
  for (const QuantizedParameter &entry : quantizer.quantizedParameters())
    if (!entry.boundTo) {
      const auto elements = static_cast<double>(entry.parameter.numel());
      sum += quantizer.bits(entry).detach().mean().item<double>() * elements;
      count += elements;
    }
  return sum / count;
}

std::vector<StoredBits> BitTraining::stored() const {
  std::vector<StoredBits> result;
  for (const QuantizedParameter &entry : quantizer.quantizedParameters()) {
    if (entry.boundTo)
      continue;
    const MixedWeight weight = quantizer.packed(entry.name);
    StoredBits layer{entry.name, weight.shape, {}, weight.bytes()};
    const at::Tensor counts = unpackMixed(weight).bits.to(at::kLong).bincount({}, 16);
    for (int64_t bits = 0; bits < 16; ++bits)
      layer.groups[bits] = counts[bits].item<int64_t>();
    result.push_back(std::move(layer));
  }
  return result;
}
