// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How n-bit layers turn activations and weights into integers with one scale.
#ifndef BQ_QUANTIZERS_NBIT_INTEGERRULE_H
#define BQ_QUANTIZERS_NBIT_INTEGERRULE_H

#include <ATen/ATen.h>

#include <cstdint>
#include <string>

namespace bq::nn {

/// Values x as q * s, q = clamp(round(x / s), least(), greatest()), s a positive scale for the whole tensor. With one
/// bit q is the sign, that of 0 and -0 being +1.
struct IntegerRule {
  enum class Of { Activations, Weights };

  Of of = Of::Weights;
  int64_t bits = 8;      ///< 1 to 8; for activations also 16: as they are, with a scale of 1.
  double eps = 1e-5;     ///< The least scale.
  bool symmetric = true; ///< Activations of one bit: of both signs. Else the first scale is twice as large.
  /// Scales and rounding of bitorch-engine 0.2.6: activations of any width start with the scale of 8 bits, and 4 bits
  /// are rounded half away from zero.
  bool upstreamCompatible = false;

  /// Throws where `bits` is not one of those above; `layer` and `option` are named.
  void check(const std::string &layer, const char *option) const;
  bool keepsFloat() const { return bits == 16; }
  double least() const { return bits == 1 ? -1 : -static_cast<double>(1 << (bits - 1)); }
  double greatest() const { return bits == 1 ? 1 : static_cast<double>((1 << (bits - 1)) - 1); }

  /// The scale that values get from their mean magnitude, 0-d, at least eps: 2 mean|x| / c with c = 11.269 for 8 bits
  /// and 5.6345 for 4 as in bitorch-engine; for 2, 3, 5, 6 and 7 bits the step of the best uniform quantizer of normal
  /// values (Max 1960, table II); for one bit mean|w| for weights, 2 mean|x| for activations.
  at::Tensor scaleOf(const at::Tensor &x) const;
  /// q in the type of x. `scale` is 0-d and positive.
  at::Tensor integers(const at::Tensor &x, const at::Tensor &scale) const;
  /// 1 where `ratio` = x / s is in [least(), greatest()], where the gradient passes; else 0. In the type of ratio.
  at::Tensor inside(const at::Tensor &ratio) const;
};

/// sum over x of gradient * d(q s)/ds, 0-d, `gradient` being that of q s: q outside the range and q - x / s inside, the
/// straight-through estimate of Esser et al. 2020 (LSQ); q everywhere for one bit, where it is exact.
at::Tensor scaleGradient(const IntegerRule &rule, const at::Tensor &gradient, const at::Tensor &x,
                         const at::Tensor &scale);

} // namespace bq::nn

#endif // BQ_QUANTIZERS_NBIT_INTEGERRULE_H
