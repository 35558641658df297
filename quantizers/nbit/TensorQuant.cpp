// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/TensorQuant.h"

#include "quantizers/Tensors.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>

using namespace bq;

namespace {

/// 2 mean|x| / c puts two means of |x| at code c: 11.269 is the square root of 127, and half of it serves 4 bits.
constexpr double meanCode8 = 11.269, meanCode4 = 5.6345;

bool isHalf(at::ScalarType type) { return type == at::kHalf || type == at::kBFloat16; }

at::Tensor wide(const at::Tensor &tensor) { return isHalf(tensor.scalar_type()) ? tensor.to(at::kFloat) : tensor; }

void checkFloating(const char *op, const char *what, const at::Tensor &tensor) {
  TORCH_CHECK(at::isFloatingType(tensor.scalar_type()), op, ": expected '", what, "' of a floating type, got ",
              tensor.scalar_type());
}

void checkMeanBits(const char *op, int64_t bits) {
  TORCH_CHECK(bits == 4 || bits == 8, op, ": ", bits, " bits are not supported: use 4 or 8");
}

} // namespace

std::pair<at::Tensor, at::Tensor> bq::tensorQuant(const at::Tensor &x, const std::optional<at::Tensor> &maximum,
                                                  const TensorQuantOptions &options) {
  constexpr const char *op = "bq::tensorQuant";
  const bool upstream = options.upstreamCompatible;
  const int64_t leastBits = options.isUnsigned ? 1 : 2;
  TORCH_CHECK(options.bits >= leastBits && options.bits <= 16, op, ": ", options.bits, " bits are not supported: use ",
              leastBits, " to 16");
  checkFloating(op, "x", x);
  TORCH_CHECK(x.numel() || maximum, op, ": 'x' ", shapeText(x.sizes()), " is empty, so 'maximum' must be given");

  at::NoGradGuard noGrad;
  auto computed = [&](const at::Tensor &tensor) {
    return upstream && tensor.scalar_type() == at::kBFloat16 ? tensor : wide(tensor);
  };
  at::Tensor values = computed(x.detach());
  if (options.isUnsigned)
    TORCH_CHECK(!values.numel() || values.min().item<double>() >= 0, op, ": 'x' ", shapeText(x.sizes()), " holds ",
                values.min().item<double>(), ", which has no unsigned code");
  at::Tensor top = maximum ? maximum->detach() : (upstream ? x.detach().max() : x.detach().abs().max());
  if (!maximum)
    top = top.reshape(std::vector<int64_t>(x.dim(), 1));
  checkFloating(op, "maximum", top);
  TORCH_CHECK(top.dim() == x.dim() && at::is_expandable_to(top.sizes(), x.sizes()), op, ": 'maximum' ",
              shapeText(top.sizes()), " does not broadcast, with the same rank, to 'x' ", shapeText(x.sizes()));
  const at::ScalarType scaleType = top.scalar_type();
  top = computed(top);
  const double least = top.min().item<double>();
  TORCH_CHECK(upstream || !std::isnan(least), op, ": ", maximum ? "'maximum'" : "'x'", " holds NaN");
  TORCH_CHECK(!(least < 0), op, ": ", maximum ? "'maximum' holds " : "the maximum of 'x' is ", least,
              ": use numbers from 0");

  const double bound = double(int64_t(1) << (options.bits - 1 + options.isUnsigned)) - 1;
  const double low = options.isUnsigned ? 0 : options.narrowRange ? -bound : -bound - 1;
  // A reciprocal, then a product: what dividing a number by a tensor is in LibTorch, and the golden integers with it.
  at::Tensor scale = top.reciprocal() * bound;
  if (!upstream)
    scale = at::where(top == 0, at::ones_like(scale), scale).clamp_max(std::numeric_limits<float>::max());
  at::Tensor integers = (values * scale).round().clamp(low, bound);
  if (upstream)
    scale = at::where(top <= 0x1p-24, at::ones_like(scale), scale);
  return {integers.to(x.scalar_type()), scale.to(scaleType)};
}

at::Tensor bq::meanScale(const at::Tensor &x, int64_t bits, double eps) {
  constexpr const char *op = "bq::meanScale";
  checkMeanBits(op, bits);
  checkFloating(op, "x", x);
  TORCH_CHECK(x.numel(), op, ": 'x' ", shapeText(x.sizes()), " is empty: a mean needs values");
  at::NoGradGuard noGrad;
  return (wide(x.detach()).abs().mean() * 2 / (bits == 8 ? meanCode8 : meanCode4)).clamp_min(eps);
}

std::pair<at::Tensor, at::Tensor> bq::quantizeByMean(const at::Tensor &x, int64_t bits,
                                                     const std::optional<at::Tensor> &scale, double eps) {
  constexpr const char *op = "bq::quantizeByMean";
  checkMeanBits(op, bits);
  checkFloating(op, "x", x);
  at::NoGradGuard noGrad;
  at::Tensor step = scale ? scale->detach() : meanScale(x, bits, eps);
  TORCH_CHECK(step.numel() == 1, op, ": expected 'scale' to be one number, got ", shapeText(step.sizes()));
  const int64_t bound = int64_t(1) << (bits - 1);
  at::Tensor divisor = wide(step).reshape({}).clamp_min(eps);
  return {(wide(x.detach()) / divisor).round().clamp(-bound, bound - 1).to(at::kChar), step};
}

std::pair<at::Tensor, at::Tensor> bq::initBinaryWeight(const at::Tensor &weight, bool upstreamCompatible) {
  checkFloating("bq::initBinaryWeight", "weight", weight);
  at::NoGradGuard noGrad;
  at::Tensor values = wide(weight.detach());
  at::Tensor centred = values - values.mean();
  TensorQuantOptions options;
  options.upstreamCompatible = upstreamCompatible;
  at::Tensor integers = tensorQuant(centred, std::nullopt, options).first;
  at::Tensor sign = centred.sign();
  if (!upstreamCompatible)
    sign = sign + (sign == 0);
  return {at::where(integers == 0, sign, integers).to(at::kChar), values.abs().mean()};
}
