// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The polynomials that DiffQ's noise is worked out with, the same on every target.
#ifndef BQ_PASSES_NOISEPOLYNOMIALS_H
#define BQ_PASSES_NOISEPOLYNOMIALS_H

namespace bq::noise {

// Coefficients of least greatest error, by Remez' algorithm, from the constant on.

/// -log(1 + t) / (2 t) for t in [sqrt(1/2) - 1, sqrt(2) - 1], to 1.7e-7 of it.
inline constexpr float logarithm[] = {-0.49999997f, 0.25000182f, -0.1666753f,  0.12484954f,
                                      -0.09950083f, 0.08625415f, -0.08111291f, 0.05053448f};
/// sin(pi f) / f and cos(pi f) in f^2, for f in [-1/2, 1/2], to 3.4e-9 and 4.7e-8.
inline constexpr float sine[] = {3.1415925f, -5.167707f, 2.5500314f, -0.59804517f, 0.07722013f};
inline constexpr float cosine[] = {0.99999994f, -4.934793f, 4.058412f, -1.3318802f, 0.2196968f};
/// (2^f - 1) / f for f in [-1/2, 1/2], to 1.1e-8 of it.
inline constexpr float power[] = {0.6931472f, 0.2402265f, 0.05550357f, 0.009618238f, 0.0013390736f, 0.00015403512f};

/// The bits of sqrt(1/2) in f32: the least mantissa that the logarithm is taken of.
constexpr int leastMantissa = 0x3f3504f3;
/// log(2) / 2
constexpr float halfLog2 = 0.34657359f;
/// Bits outside count as the nearest of these.
constexpr float leastBits = 0x1p-20f, mostBits = 126.0f;

} // namespace bq::noise

#endif // BQ_PASSES_NOISEPOLYNOMIALS_H
