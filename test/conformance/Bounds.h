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
/// Activations that are quantized with one scale are integers: they are not rounded here, and what `i8` says holds with
/// steps of 0. Factors of columns belong to x like the column scale of `sign`.
///
/// On GPUs sums are taken segment by segment, of L = 128 codes at most (256 of one bit), and of K in up to 16 parts.
/// With S = groups * ceil(G / L) segments and U = ceil(min(G, L) / 32) units of 32 columns in one:
///
///   f32   g(S + 8 U + 24) A. A product meets one rounding each for the column scale and for u - z; 8 U in the sum of a
///         lane, which has 8 columns of each unit; the scale's fma of its segment and those after it, S; two sums of
///         lanes, 15 of parts, and the bias: S + 8 U + 20.
///   bf16  as above, with g(S + 2 U + 24) A'. Codes of less than 8 bits that are no table are taken as 128 + u, exact
///   in
///         bf16, and (128 + z) sum x is taken out: A' = sum |x| |s| (|128 + u| + |128 + z|). Where u was shifted left,
///         so was z: dividing by a power of two then is exact, and A' is smaller. A step of 16 columns rounds once, in
///         the sum and in the sum of x; then 128 + z, the fma that takes it out, or the column scale; then as f32,
///         without lanes: S + 2 U + 18.
///   i8    as above with c = S + 24: integers are exact in a segment; the fma of the zero point, the scale's fma, S; 15
///         parts, the products with the units of x and the table, and the bias: S + 19.
///
/// Gradients x W are sums over the N rows of the weight, with u - z exact where z is common to all codes, and x s in
/// place of x:
///
///   f32   g(4 ceil(N / 64) + 28) A. A product meets one rounding each for x s, for what three bf16 leave of that, and
///         for the column scale; up to four in each block of 16 rows, of which a warp has every fourth; two sums of
///         lanes and the difference for z, four sums of warps, 15 of parts: 4 ceil(N / 64) + 25.
///   bf16  2^-8 sum |x W| for rounding x s, the same for rounding a table; then as f32.
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

/// How a backend sums, which is what the bounds depend on.
enum class Summation {
  Exact, ///< In double precision, whatever the compute: the reference itself.
  Cpu,
  Gpu,
};

/// What one element of y must be.
struct Expectation {
  double value = 0;
  double tolerance = 0;
  bool isAsked = true;      ///< If not, anything is right.
  bool mayOverflow = false; ///< A result that is not finite is right too.
  bool rowIsFinite = true;  ///< If not, only a `value` that is not finite asks for something: that y is not finite.
};

struct LinearProblem {
  const Weight &weight;
  const LinearArgs &args;
  /// [args.m, k], for gradients [args.m, n], contiguous; codes of activations where those have one scale.
  const float *x;
  Summation summation;
};

/// [m, n].
std::vector<Expectation> expectLinear(const LinearProblem &problem);

/// [m, k], for x [m, n]: x W.
std::vector<Expectation> expectGradient(const LinearProblem &problem);

/// W[row, column] as `embedding` and `dequantize` give it: at most two roundings to f32, u - z and the product, and the
/// rounding to the type of the scales.
Expectation expectWeight(const Weight &weight, int64_t row, int64_t column);

/// Whether `got` is what is expected; `ratio` is the error as a part of the tolerance, or 0.
bool accepts(const Expectation &expected, float got, double &ratio);

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_BOUNDS_H
