// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a linear layer must give: the exact result, and how far from it a kernel may be, derived.
///
/// Let x be a row of activations, W = s (u - z) a row of weights, where u - z is what a code stands for and s the
/// scale. For `sign` the column scale belongs to x. Let e = 2^-24, the unit roundoff of f32, and g(c) = c e / (1 - c
/// e), the relative error of c roundings in turn. With A = sum |x| |s| (|u| + |z|), since a kernel may sum x u and x z
/// apart:
///
///   f32   g(K + 8) A: each product meets at most K sums and 8 more roundings: u - z, the products with x, s and the
///         table's unit, the conversion of a sum, and the bias.
///   bf16  2^-8 sum |x W| for rounding x, unless it is bf16 already; the same for rounding a table; then as f32.
///   i16   x is rounded to steps of max|x| / 16256, by half a step and the error of f32 division: (1/2 + 6 * 16256 e)
///   steps
///         * sum |W|; a table to steps of max|table| / 32767: sum |s| (|x| + step) * max|table| / 65534; sums of
///         integers are exact, and g(c) A for putting c = groups * (1 + ceil(G / 256)) + 8 of them together.
///   i8    as i16 with max|x| / 127 and max|table| / 254.
///
/// Plus e |bias|, all times the Lipschitz constant of the activation (gelu 1.13, silu 1.1), plus 8 e |sum| for
/// evaluating it in f32, plus the rounding of the result to its type.
///
/// A result below the least normal f32 may be flushed to zero, and so may each factor and term on its way: FLT_MIN
/// times what it is multiplied by, in steps where x is in fixed point. Where max|x| is so small that the step of the
/// fixed point is no normal number, x counts as zero. Where A leaves the range of f32, or the result that of its type,
/// a result that is not finite is right as well.
#ifndef BQ_TEST_CONFORMANCE_BOUNDS_H
#define BQ_TEST_CONFORMANCE_BOUNDS_H

#include "runtime/Backend.h"
#include "test/conformance/Weight.h"

#include <vector>

namespace bq::conformance {

/// What one element of y must be.
struct Expectation {
  double value = 0;
  double tolerance = 0;
  bool isAsked = true;      ///< If not, anything is right.
  bool mayOverflow = false; ///< A result that is not finite is right too.
  bool rowIsFinite = true;  ///< If not, only a `value` that is not finite asks for something: that y is not finite.
};

struct LinearProblem {
  const Weight *weight = nullptr;
  int64_t m = 0;
  const float *x = nullptr;    ///< [m, k], contiguous
  const float *bias = nullptr; ///< [n], or null
  ElementType dataType = ElementType::F32;
  Compute compute = Compute::F32;
  Activation activation = Activation::None;
  bool exact = false; ///< No error but that of double precision and the result's rounding.
};

/// [m, n].
std::vector<Expectation> expectLinear(const LinearProblem &problem);

/// W[row, column] as `embedding` and `dequantize` give it: at most two roundings to f32, u - z and the product, and the
/// rounding to the type of the scales.
Expectation expectWeight(const Weight &weight, int64_t row, int64_t column);

/// Whether `got` is what is expected; `ratio` is the error as a part of the tolerance, or 0.
bool accepts(const Expectation &expected, float got, double &ratio);

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_BOUNDS_H
