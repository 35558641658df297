// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/UniformQuantizer.h"

#include <nlohmann/json.hpp>

#include <cmath>

using namespace bq;
using namespace bq::diffq;

using at::Tensor;

static constexpr const char *kindName = "UniformQuantizer";

namespace {

UniformQuantizerOptions checked(UniformQuantizerOptions options) {
  TORCH_CHECK(options.bits() >= 1 && options.bits() <= 15 && options.bits() == std::floor(options.bits()), kindName,
              ": bits is ", options.bits(), ", expected a whole number from 1 to 15");
  return options;
}

} // namespace

UniformQuantizer::UniformQuantizer(torch::nn::Module &model, UniformQuantizerOptions options)
    : UniformQuantizer(ModelView(model), std::move(options)) {}

UniformQuantizer::UniformQuantizer(const torch::jit::Module &model, UniformQuantizerOptions options)
    : UniformQuantizer(ModelView(model), std::move(options)) {}

UniformQuantizer::UniformQuantizer(ModelView model, UniformQuantizerOptions given)
    : ModelQuantizer(kindName, std::move(model),
                     {checked(given).min_size(), given.float16(), given.exclude(), given.detect_bound()}, "",
                     given.upstream_compatible()),
      options(std::move(given)) {}

Tensor UniformQuantizer::quantizedBits(bool /*exact*/) const {
  double bits = 0;
  for (const QuantizedParameter &entry : entries)
    if (!entry.boundTo)
      bits += options.bits() * static_cast<double>(entry.parameter.numel()) + 64;
  return at::scalar_tensor(bits, at::kFloat);
}

Tensor UniformQuantizer::trainingValue(const QuantizedParameter &entry, const Tensor &weight) {
  if (!options.qat())
    return weight;
  const Tensor rounded = unpack(pack(entry, weight), {}).to(weight.device(), weight.scalar_type());
  return weight + (rounded - weight).detach();
}

MixedWeight UniformQuantizer::pack(const QuantizedParameter &entry, const Tensor &weight) const {
  try {
    return quantizeMixed(weight.detach().to(at::kCPU, at::kFloat),
                         at::full({1}, static_cast<int64_t>(options.bits()), at::kByte), /*groupSize=*/0);
  } catch (const c10::Error &error) {
    TORCH_CHECK(false, kindName, ": '", entry.name, "': ", error.what_without_backtrace());
  }
}

std::string UniformQuantizer::optionsJson() const {
  return nlohmann::json{{"bits", options.bits()},
                        {"min_size", options.min_size()},
                        {"float16", options.float16()},
                        {"qat", options.qat()},
                        {"exclude", options.exclude()},
                        {"detect_bound", options.detect_bound()},
                        {"upstream_compatible", options.upstream_compatible()}}
      .dump();
}
