// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/IntegerRule.h"

#include <array>

using namespace bq::nn;

/// c in scale = 2 mean|x| / c, for 2 to 8 bits.
static double meanDivisor(int64_t bits) {
  // Steps of Max's table II in units of the deviation, for 2 to 7 bits.
  constexpr std::array<double, 6> steps = {0.9957, 0.5860, 0.3352, 0.1881, 0.1041, 0.0569};
  constexpr double meanOfNormal = 0.7978845608; // mean|x|, sqrt(2 / pi)
  switch (bits) {
  case 4:
    return 5.6345;
  case 8:
    return 11.269;
  default:
    return 2 * meanOfNormal / steps[bits - 2];
  }
}

void IntegerRule::check(const std::string &layer, const char *option) const {
  bool known = (bits >= 1 && bits <= 8) || (of == Of::Activations && bits == 16);
  TORCH_CHECK(known, layer, ": ", option, " is ", bits, ": use 1 to 8",
              of == Of::Activations ? ", or 16 for activations as they are" : "");
}

at::Tensor IntegerRule::scaleOf(const at::Tensor &x) const {
  at::Tensor mean = x.abs().mean();
  if (bits == 1)
    return (of == Of::Weights ? mean : mean * (symmetric ? 2 : 4)).clamp_min(eps);
  double divisor = meanDivisor(upstreamCompatible && of == Of::Activations ? 8 : bits);
  return (2 * mean / divisor).clamp_min(eps);
}

at::Tensor IntegerRule::integers(const at::Tensor &x, const at::Tensor &scale) const {
  if (keepsFloat())
    return x;
  if (bits == 1)
    return at::ge(x, 0).to(x.scalar_type()).mul_(2).sub_(1);
  at::Tensor ratio = x / scale;
  // Half away from zero. The sum of a number just below one half and one half is rounded to one, so none is taken.
  if (upstreamCompatible && bits == 4) {
    at::Tensor whole = ratio.trunc();
    return whole.add_(ratio.sign() * (ratio - whole).abs().ge(0.5)).clamp_(least(), greatest());
  }
  return ratio.round_().clamp_(least(), greatest());
}

at::Tensor IntegerRule::inside(const at::Tensor &ratio) const {
  return at::logical_and(ratio.ge(least()), ratio.le(greatest())).to(ratio.scalar_type());
}

at::Tensor bq::nn::scaleGradient(const IntegerRule &rule, const at::Tensor &gradient, const at::Tensor &x,
                                 const at::Tensor &scale) {
  if (rule.bits == 1)
    return (gradient * rule.integers(x, scale)).sum();
  at::Tensor ratio = x / scale;
  at::Tensor perElement = rule.integers(x, scale) - ratio * rule.inside(ratio);
  return (gradient * perElement).sum();
}
