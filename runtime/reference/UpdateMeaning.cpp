// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/reference/UpdateMeaning.h"

#include "dialect/core/Philox.h"

#include <algorithm>
#include <cmath>

using namespace bq;

/// The number of a column: columns that are 16 apart in a block of 256 have turns of one. Stream 0 is for weights, 1
/// for moments.
static uint32_t randomWord(uint64_t seed, int64_t step, int64_t row, int64_t column, uint32_t stream) {
  const auto counter = static_cast<uint32_t>(column / 256 * 4 + column % 4);
  const uint32_t word =
      philox4x32({counter, static_cast<uint32_t>(row), static_cast<uint32_t>(step), stream},
                 {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}, philoxRounds)[column % 16 / 4];
  return word + static_cast<uint32_t>(column % 256 / 16) * philoxTurn;
}

/// A half as a number in (0, 1).
static double halfUnit(uint32_t half) { return (half + 0.5) * 0x1p-16; }

uint32_t reference::momentWord(uint64_t seed, int64_t step, int64_t row, int64_t column) {
  return randomWord(seed, step, row, column, 1);
}
uint32_t reference::halfOf(uint32_t word, bool high) { return high ? word >> 16 : word & 0xffff; }
double reference::weightUnit(uint64_t seed, int64_t step, int64_t row, int64_t column) {
  return halfUnit(halfOf(randomWord(seed, step, row, column, 0), false));
}

double reference::roundAtRandom(double x, double unit) {
  const double below = std::floor(x);
  return below + (unit < x - below);
}

float reference::storedMoment(MomentType type, double x, uint32_t half, bool isSecond) {
  if (type == MomentType::F32)
    return static_cast<float>(x);
  const double size = std::fabs(x);
  const bool isHalf = type == MomentType::F16;
  const int leastExponent = isHalf ? -14 : -126, digits = isHalf ? 10 : 7;
  const int exponent = size > 0 ? std::max(std::ilogb(size), leastExponent) : leastExponent;
  const double step = std::ldexp(1.0, exponent - digits);
  double stored =
      (isHalf ? roundAtRandom(size / step, halfUnit(half)) : std::floor(size / step + half * 0x1p-16)) * step;
  stored = std::min(stored, isHalf ? 65504.0 : 0x1.fep127);
  if (isSecond && x > 0)
    stored = std::max(stored, std::ldexp(1.0, leastExponent - digits));
  return static_cast<float>(std::copysign(stored, x));
}

double reference::secondScale(double greatest, double fresh2) {
  greatest /= fresh2;
  int exponent = -95;
  if (greatest > 0) {
    exponent = std::ilogb(greatest);
    exponent += std::ldexp(greatest, -exponent) >= 1.875;
  }
  return std::ldexp(static_cast<float>(fresh2), std::clamp(exponent, -95, 126));
}

int reference::encodeSecond(double v, double scale, uint32_t word) {
  const double x = v / scale;
  if (x < 0x1p-31)
    return 0;
  const int exponent = std::ilogb(x);
  const double code = (exponent + 31 + std::ldexp(x, -exponent) - 1) * 8 + (word >> 12) * 0x1p-20;
  return static_cast<int>(std::min(std::floor(code), 255.0));
}

double reference::decodeSecond(int code) { return std::ldexp(1 + code % 8 / 8.0, code / 8 - 31); }

double reference::linearScale(double greatest) { return greatest < 0x1p-100 ? 1 : greatest * (1 + 0x1p-18) / 127; }

int reference::encodeLinear(double x, double scale, uint32_t half) {
  return static_cast<int>(std::floor(std::trunc(x / scale * 0x1p16) * 0x1p-16 + half * 0x1p-16));
}

reference::StoredCode reference::storedCode(const Format &format, Rounding rounding, double value, int zero,
                                            double unit) {
  const double least = format.leastValue(), greatest = format.greatestValue();
  StoredCode stored;
  switch (rounding) {
  case Rounding::Nearest:
    stored.code = static_cast<int>(std::nearbyint(std::clamp(value, least, greatest) - zero)) + zero;
    break;
  case Rounding::Stochastic:
    stored.code = static_cast<int>(std::clamp(roundAtRandom(value, unit), least, greatest));
    break;
  case Rounding::Residual: {
    const double steps = roundAtRandom(std::clamp(value, least - 1, greatest + 1) * 256, unit);
    stored.code = static_cast<int>(std::clamp(std::floor((steps + 128) / 256), least, greatest));
    stored.residual = static_cast<int>(std::clamp(steps - stored.code * 256.0, -128.0, 127.0));
    break;
  }
  }
  return stored;
}
