// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Rows quantized by a program of its own, so that what `quantize` writes never changes silently.
#ifndef BQ_TEST_CONFORMANCE_QUANTIZEGOLDEN_H
#define BQ_TEST_CONFORMANCE_QUANTIZEGOLDEN_H

#include <vector>

namespace bq::conformance {

struct QuantizeGolden {
  const char *format;
  const char *scaleType;
  const char *codes, *scales, *zeros; ///< Hexadecimal, byte by byte.
};

constexpr int quantizeGoldenColumns = 50;
/// Weight `column` of the row, one f32 multiplication.
inline float quantizeGoldenValue(int column) { return static_cast<float>((column * 37 + 11) % 64 - 25) * 0.0123f; }

/// Worked out in numpy from the rules of quantizeGroup (runtime/reference/Reference.h).
const std::vector<QuantizeGolden> &quantizeGoldens();

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_QUANTIZEGOLDEN_H
