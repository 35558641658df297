// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/DiffQuantizer.h"

#include "quantizers/DiffqNoise.h"
#include "quantizers/diffq/UpstreamNoise.h"
#include "quantizers/diffq/WeightDecay.h"

#include <torch/utils.h>

#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

using namespace bq;
using namespace bq::diffq;

using at::Tensor;

static constexpr const char *kindName = "DiffQuantizer";

namespace {

DiffQuantizerOptions checked(DiffQuantizerOptions options) {
  TORCH_CHECK(options.noise() == "gaussian" || options.noise() == "uniform", kindName, ": noise is '", options.noise(),
              "', expected gaussian or uniform");
  TORCH_CHECK(options.param() == "bits" || options.param() == "noise", kindName, ": param is '", options.param(),
              "', expected bits or noise");
  TORCH_CHECK(options.min_bits() > 0, kindName, ": min_bits is ", options.min_bits(), ", expected a number above 0");
  TORCH_CHECK(options.max_bits() <= 15 || options.upstream_compatible(), kindName, ": max_bits is ", options.max_bits(),
              ", expected 15 or less");
  TORCH_CHECK(options.group_size() >= 0, kindName, ": group_size is ", options.group_size(),
              ", expected 1 or more, or 0 for all weights of a parameter");
  TORCH_CHECK(options.min_bits() < options.init_bits() && options.init_bits() < options.max_bits(), kindName,
              ": init_bits is ", options.init_bits(), ", expected a number between min_bits ", options.min_bits(),
              " and max_bits ", options.max_bits());
  TORCH_CHECK(std::isfinite(options.extra_bits()), kindName, ": extra_bits is ", options.extra_bits(),
              ", expected a finite number");
  TORCH_CHECK(!options.suffix().empty() && options.suffix().find('.') == std::string::npos, kindName, ": suffix is '",
              options.suffix(), "', expected text without a dot");
  return options;
}

/// The elements of each group, float [groups].
Tensor lengths(int64_t elements, int64_t groupSize, const Tensor &like) {
  const int64_t groups = groupCount(elements, groupSize);
  Tensor result = at::full({groups}, static_cast<double>(groupSize == 0 ? elements : groupSize), like.options());
  if (groupSize > 0)
    result[groups - 1] = elements - (groups - 1) * groupSize;
  return result;
}

} // namespace

DiffQuantizer::DiffQuantizer(torch::nn::Module &model, DiffQuantizerOptions options)
    : DiffQuantizer(ModelView(model), std::move(options)) {}

DiffQuantizer::DiffQuantizer(const torch::jit::Module &model, DiffQuantizerOptions options)
    : DiffQuantizer(ModelView(model), std::move(options)) {}

DiffQuantizer::DiffQuantizer(ModelView model, DiffQuantizerOptions given)
    : ModelQuantizer(kindName, std::move(model),
                     {checked(given).min_size(), given.float16(), given.exclude(), given.detect_bound()},
                     given.suffix(), given.upstream_compatible()),
      options(std::move(given)), logits{options.min_bits(), options.max_bits(), options.param() == "noise"},
      noise(options.noise() == "uniform" ? NoiseKind::Uniform : NoiseKind::Gaussian) {
  const double logit = logits.logitOf(options.init_bits());
  const double back = logits.bits(at::scalar_tensor(logit, at::kFloat)).item<double>();
  TORCH_CHECK(std::abs(back - options.init_bits()) < 1e-5, kindName, ": init_bits ", options.init_bits(),
              " comes back from a float logit as ", back, "; give bounds that are further from it");
  for (QuantizedParameter &entry : entries)
    if (!entry.boundTo)
      learn(entry, at::full({groupCount(entry.parameter.numel(), options.group_size())}, logit,
                            entry.parameter.options().dtype(at::kFloat).requires_grad(true)));
}

void DiffQuantizer::setupOptimizer(torch::optim::Optimizer &optimizer, double lr,
                                   const std::function<void(torch::optim::OptimizerOptions &)> &change) {
  TORCH_CHECK(!hasOptimizer, kindName, ": setupOptimizer() has been called already; clearOptimizer() allows another");
  TORCH_CHECK(lr >= 0 && std::isfinite(lr), kindName, ": the learning rate of bits is ", lr, ", expected 0 or more");
  addToOptimizer(optimizer, lr, [&](torch::optim::OptimizerOptions &group) {
    clearWeightDecay(group);
    if (change)
      change(group);
  });
  trainable = hasOptimizer = true;
}

void DiffQuantizer::noOptimizer() {
  checkUsable();
  trainable = true;
}

void DiffQuantizer::clearOptimizer(torch::optim::Optimizer &optimizer) {
  removeFromOptimizer(optimizer);
  hasOptimizer = false;
}

void DiffQuantizer::checkUnused() {
  checkAttached();
  for (const QuantizedParameter &entry : entries) {
    if (entry.boundTo || !entry.learned.grad().defined())
      continue;
    const Tensor &gradient = entry.parameter.grad();
    if (!gradient.defined() || !gradient.any().item<bool>())
      entry.learned.mutable_grad().zero_();
  }
}

Tensor DiffQuantizer::bits(const QuantizedParameter &entry) const { return logits.bits(entry.learned); }

Tensor DiffQuantizer::storedBits(const QuantizedParameter &entry, bool exact) const {
  const Tensor bits = logits.bits(entry.learned) + options.extra_bits();
  return exact ? bits.round().clamp(1, 15) : bits;
}

Tensor DiffQuantizer::quantizedBits(bool exact) const {
  Tensor total = at::zeros({}, at::kFloat);
  for (const QuantizedParameter &entry : entries) {
    if (entry.boundTo)
      continue;
    const Tensor bits = storedBits(entry, exact);
    const auto groups = static_cast<double>(bits.numel());
    const Tensor sum =
        (lengths(entry.parameter.numel(), options.group_size(), bits.detach()) * bits).sum().to(at::kCPU);
    // What a group's own number of bits takes.
    const Tensor whole = upstreamCompatible ? bits.detach().round() : storedBits(entry, true).detach();
    const double least = upstreamCompatible ? options.min_bits() : whole.min().item<double>();
    const double width = std::ceil(std::log2(std::max(1.0, 1 + whole.max().item<double>() - least)));
    // Least and greatest weight, and one byte.
    total = total + sum + (64 + 8 + width * groups);
  }
  return total;
}

void DiffQuantizer::beginTraining() {
  TORCH_CHECK(trainable, kindName,
              ": call setupOptimizer(), or noOptimizer() to leave bits as they are, before "
              "training");
  if (!upstreamCompatible)
    seed = at::randint(std::numeric_limits<int64_t>::max(), {1}, at::kLong).item<int64_t>();
}

Tensor DiffQuantizer::trainingValue(const QuantizedParameter &entry, const Tensor &weight) {
  const Tensor groups = logits.bits(entry.learned);
  try {
    if ((weight.is_cpu() || weight.is_cuda()) && !upstreamCompatible) {
      // The noise of doubles is that of floats.
      const Tensor source = weight.scalar_type() == at::kDouble ? weight.to(at::kFloat) : weight;
      const auto index = static_cast<uint64_t>(&entry - entries.data());
      return diffqNoise(source.contiguous(), groups, options.group_size(), noise, seed, index).to(weight.scalar_type());
    }
    const Tensor like = at::empty({weight.numel()}, weight.options().dtype(at::kFloat));
    const Tensor random = noise == NoiseKind::Gaussian ? at::randn_like(like) : at::rand_like(like);
    const Tensor noisy = addNoise(weight, groups, options.group_size(), noise, random);
    TORCH_CHECK(noisy.isfinite().all().item<bool>(), "the weight or its bits hold NaN or infinity");
    return noisy;
  } catch (const c10::Error &error) {
    TORCH_CHECK(false, kindName, ": '", entry.name, "': ", error.what_without_backtrace());
  }
}

MixedWeight DiffQuantizer::pack(const QuantizedParameter &entry, const Tensor &weight) const {
  const at::NoGradGuard noGradient;
  TORCH_CHECK(entry.learned.isfinite().all().item<bool>(), kindName, ": '", entry.name, options.suffix(),
              "' holds NaN or infinity; a smaller learning rate of bits may keep it finite");
  try {
    return quantizeMixed(weight.detach().to(at::kCPU, at::kFloat), storedBits(entry, true).to(at::kCPU, at::kByte),
                         options.group_size());
  } catch (const c10::Error &error) {
    TORCH_CHECK(false, kindName, ": '", entry.name, "': ", error.what_without_backtrace());
  }
}

std::string DiffQuantizer::optionsJson() const {
  return nlohmann::json{{"min_size", options.min_size()},
                        {"float16", options.float16()},
                        {"group_size", options.group_size()},
                        {"min_bits", options.min_bits()},
                        {"max_bits", options.max_bits()},
                        {"param", options.param()},
                        {"noise", options.noise()},
                        {"init_bits", options.init_bits()},
                        {"extra_bits", options.extra_bits()},
                        {"suffix", options.suffix()},
                        {"exclude", options.exclude()},
                        {"detect_bound", options.detect_bound()},
                        {"upstream_compatible", options.upstream_compatible()}}
      .dump();
}
