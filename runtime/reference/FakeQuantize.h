// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The meaning of fake quantization and of its gradient.
#ifndef BQ_RUNTIME_REFERENCE_FAKEQUANTIZE_H
#define BQ_RUNTIME_REFERENCE_FAKEQUANTIZE_H

#include "runtime/FakeQuantizeArgs.h"

namespace bq::reference {

/// One element. The arithmetic is part of the meaning, so that every backend gives the same values, but for the sign of
/// a zero, and for results in bf16 that are no normal numbers, which may be zero: every operation is one IEEE operation
/// in f32, rounded to nearest even, and rint rounds to an integer, ties to even.
///
///   s = max(scale, 2^-126), NaN where the scale is NaN
///   t = x / s + zero
///   q = clamp(rint(t), least, greatest); for sign: 1 where x >= 0, else -1; NaN where x is NaN
///   y = s * (q - zero)
///   isInside = not (t < least or t > greatest)
///   slope = q - t where isInside, else q - zero: the derivative with respect to the scale, with the rounding taken as
///           the identity inside (Esser et al. 2020, LSQ, equation 3)
struct FakeQuantized {
  float y = 0;
  bool isInside = true;
  float slope = 0;
};
FakeQuantized fakeQuantizeElement(const Format &format, float x, float scale, float zero);

/// The calls of Backend of these names, on verified arguments; gradients of scales are summed in double precision.
void fakeQuantize(const FakeQuantizeArgs &args, int64_t row);
void fakeQuantizeGrad(const FakeQuantizeGradArgs &args, int64_t row);

} // namespace bq::reference

#endif // BQ_RUNTIME_REFERENCE_FAKEQUANTIZE_H
