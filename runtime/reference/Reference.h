// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The meaning of single codes, weights and groups, from which the reference backend is made. All functions are pure.
#ifndef BQ_RUNTIME_REFERENCE_REFERENCE_H
#define BQ_RUNTIME_REFERENCE_REFERENCE_H

#include "runtime/Backend.h"

#include <cstdint>

namespace bq::reference {

/// relu, gelu (by erf), gelu_tanh and silu by their textbook formulas; NaN stays NaN.
double activate(Activation kind, double value);

/// Code `column` of a canonical row: bits [column * bits, (column + 1) * bits) of a little-endian bit stream.
uint8_t codeAt(const uint8_t *row, int bits, int64_t column);
/// Sets a code in a canonical row whose bits there are zero.
void setCode(uint8_t *row, int bits, int64_t column, uint8_t code);

/// The 2^bits values of a table format: its own, or the caller's `table` for lut.
const float *tableOf(const Format &format, const float *table);

/// W[row, column] of a weight that verifies and is not mixed: the exact value, but for the rounding of a double.
double weightAt(const CanonicalWeight &weight, int64_t row, int64_t column);

/// What quantize stores for a group beside its codes.
struct GroupCode {
  float scale = 1; ///< A value of the scale type.
  uint8_t zero = 0;
};

/// Quantizes the `count` weights of one group to one code a byte. The arithmetic is part of the meaning, so that every
/// backend gives the same bits; weights are finite, every operation is one IEEE operation in f32, rounded to nearest
/// even, and rint rounds to an integer, ties to even:
///
///   stored(q) = 1 where all weights of the group are 0, else q clamped to [least positive normal, greatest finite] of
///               the scale type, then rounded to it
///   int<b>    L = 2^(b-1); scale = stored(max|w| / (L - 1)); code = clamp(rint(w / scale), -L, L - 1)
///   uint<b>   L = 2^b - 1; low = min(0, min w); high = max(0, max w); scale = stored((high - low) / L);
///             zero = min(rint(-low / scale), L); code = clamp(rint(w / scale) + zero, 0, L)
///   nf4, fp4  L = the greatest table entry, 1 or 6; scale = stored(max|w| / L); v = clamp(w / scale, -L, L);
///             code = the lowest with the least |v - table[code]|
///   sign      code = 1 where w >= 0, else 0; no scale
///
/// The clamps act before the conversion to an integer; they matter where the quotient leaves the range of the scale
/// type.
GroupCode quantizeGroup(const Format &format, ElementType scaleType, const float *weights, int64_t count,
                        uint8_t *codes);

} // namespace bq::reference

#endif // BQ_RUNTIME_REFERENCE_REFERENCE_H
