// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/LSQ.h"

#include <torch/utils.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

using namespace bq;
using namespace bq::diffq;

using at::Tensor;

static constexpr const char *kindName = "LSQ";

namespace {

LSQOptions checked(LSQOptions options) {
  TORCH_CHECK(options.bits() >= 1 && options.bits() <= 15, kindName, ": bits is ", options.bits(),
              ", expected 1 to 15");
  TORCH_CHECK(!options.suffix().empty() && options.suffix().find('.') == std::string::npos, kindName, ": suffix is '",
              options.suffix(), "', expected text without a dot");
  return options;
}

} // namespace

LSQ::LSQ(torch::nn::Module &model, LSQOptions options) : LSQ(ModelView(model), std::move(options)) {}

LSQ::LSQ(const torch::jit::Module &model, LSQOptions options) : LSQ(ModelView(model), std::move(options)) {}

LSQ::LSQ(ModelView model, LSQOptions given)
    : ModelQuantizer(kindName, std::move(model),
                     {checked(given).min_size(), given.float16(), given.exclude(), given.detect_bound()},
                     given.suffix(), given.upstream_compatible()),
      options(std::move(given)) {
  const double divisor = std::sqrt(upstreamCompatible ? -lowest() : std::max(1.0, highest()));
  for (QuantizedParameter &entry : entries) {
    if (entry.boundTo)
      continue;
    Tensor scale = entry.parameter.detach().to(at::kFloat).abs().mean() * 2 / divisor;
    TORCH_CHECK(std::isfinite(scale.item<double>()), kindName, ": '", entry.name,
                "' holds NaN or infinity, expected finite numbers");
    if (scale.item<double>() == 0)
      scale.fill_(1);
    learn(entry, scale.requires_grad_());
  }
}

void LSQ::setupOptimizer(torch::optim::Optimizer &optimizer,
                         const std::function<void(torch::optim::OptimizerOptions &)> &change) {
  addToOptimizer(optimizer, std::nullopt, change);
}

void LSQ::clearOptimizer(torch::optim::Optimizer &optimizer) { removeFromOptimizer(optimizer); }

Tensor LSQ::quantizedBits(bool /*exact*/) const {
  double bits = 0;
  for (const QuantizedParameter &entry : entries)
    if (!entry.boundTo)
      bits += static_cast<double>(options.bits() * entry.parameter.numel()) + 32;
  return at::scalar_tensor(bits, at::kFloat);
}

double LSQ::checkedScale(const QuantizedParameter &entry) const {
  const double scale = entry.learned.item<double>();
  TORCH_CHECK(std::isfinite(scale) && scale != 0, kindName, ": '", entry.name, options.suffix(), "' is ", scale,
              ", expected a finite number other than 0; a smaller learning rate of scales may keep it so");
  return scale;
}

Tensor LSQ::trainingValue(const QuantizedParameter &entry, const Tensor &weight) {
  checkedScale(entry);
  const double share = 1 / std::sqrt(static_cast<double>(weight.numel()) * std::max(1.0, highest()));
  const Tensor small = entry.learned * share;
  const Tensor scale = small + (entry.learned - small).detach();
  const Tensor index = (weight.to(at::kFloat) / scale).clamp(lowest(), highest());
  TORCH_CHECK(index.isfinite().all().item<bool>(), kindName, ": '", entry.name,
              "' holds NaN or infinity, expected finite numbers");
  const Tensor rounded = index + (index.round() - index).detach();
  return (rounded * scale).to(weight.scalar_type());
}

MixedWeight LSQ::pack(const QuantizedParameter &entry, const Tensor &weight) const {
  const at::NoGradGuard noGradient;
  const double scale = checkedScale(entry);
  const Tensor index = (weight.to(at::kFloat) / entry.learned).clamp(lowest(), highest()).round();
  TORCH_CHECK(index.isfinite().all().item<bool>(), kindName, ": '", entry.name,
              "' holds NaN or infinity, expected finite numbers");
  const Tensor levels = (index - lowest()).to(at::kCPU, at::kShort).reshape({1, -1});
  // With a negative scale, the values go down; what is read back goes by the scale itself.
  const auto [least, greatest] = std::minmax(lowest() * scale, highest() * scale);
  return packMixed(levels, at::full({1}, options.bits(), at::kByte), least, greatest, weight.sizes());
}

Tensor LSQ::unpack(const MixedWeight &weight, const Tensor &scale) const {
  const Tensor levels = unpackMixed(weight).levels.to(at::kFloat).reshape(weight.shape);
  return (levels + lowest()) * scale.detach().to(at::kCPU);
}

std::string LSQ::optionsJson() const {
  return nlohmann::json{{"bits", options.bits()},
                        {"min_size", options.min_size()},
                        {"float16", options.float16()},
                        {"suffix", options.suffix()},
                        {"exclude", options.exclude()},
                        {"detect_bound", options.detect_bound()},
                        {"upstream_compatible", options.upstream_compatible()}}
      .dump();
}
