// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Codes of 8-bit moments, as kernels of all targets make them: `bq.update` says what they mean.
#ifndef BQ_PASSES_MOMENTCODES_H
#define BQ_PASSES_MOMENTCODES_H

#include <cstdint>

namespace bq {

/// Codes of v are the upper bits of a float between 2^-31 and 1.875: its exponent starts here.
constexpr int64_t leastMomentExponent = 127 - 31;
constexpr int64_t momentMantissaBits = 3, droppedMomentBits = 23 - momentMantissaBits;

/// Exponents of the scale of v in units of 1 - beta2, which is a power of two.
constexpr int64_t leastScaleExponent = 127 - 95, greatestScaleExponent = 253;

/// What is taken for a lesser beta2: what is left of v is kept by its root, which is divided by.
constexpr float leastBeta2 = 0x1p-60f;

} // namespace bq

#endif // BQ_PASSES_MOMENTCODES_H
