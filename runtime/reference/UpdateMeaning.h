// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `bq.update` rounds, and how: decisions that grow with the number decided on, in double precision.
#ifndef BQ_RUNTIME_REFERENCE_UPDATEMEANING_H
#define BQ_RUNTIME_REFERENCE_UPDATEMEANING_H

#include "runtime/UpdateArgs.h"

#include <cstdint>

namespace bq::reference {

/// The random number for a moment of a column of a row: 32 bits (`bq.update`).
uint32_t momentWord(uint64_t seed, int64_t step, int64_t row, int64_t column);
/// Its low or high half: an integer below 2^16.
uint32_t halfOf(uint32_t word, bool high);
/// The one for its weight, in (0, 1), of 16 bits.
double weightUnit(uint64_t seed, int64_t step, int64_t row, int64_t column);

/// x rounded to an integer: up where `unit` is below its fraction.
double roundAtRandom(double x, double unit);

/// A moment as it is stored in f32, f16 or bf16; `half` is random. `isSecond`: a positive one is not stored as 0.
float storedMoment(MomentType type, double x, uint32_t half, bool isSecond);

/// The scale of a block of v of 8 bits whose greatest is this; `fresh2` is 1 - beta2.
double secondScale(double greatest, double fresh2);
/// By the upper twenty bits of a random word.
int encodeSecond(double v, double scale, uint32_t word);
/// Of a code, for a scale of 1.
double decodeSecond(int code);

/// The scale of a block of m of 8 bits whose greatest magnitude is this.
double linearScale(double greatest);
int encodeLinear(double x, double scale, uint32_t half);

/// What is stored of a weight that is `value` in units of the new scale, zero point included: the code (its value, not
/// its bits), and the residual.
struct StoredCode {
  int code = 0, residual = 0;
};
/// `zero`: the zero point where it is an integer, else 0; it matters to ties.
StoredCode storedCode(const Format &format, Rounding rounding, double value, int zero, double unit);

} // namespace bq::reference

#endif // BQ_RUNTIME_REFERENCE_UPDATEMEANING_H
