// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Rows of activations or gradients for products.
#ifndef BQ_TEST_CONFORMANCE_ROWVALUES_H
#define BQ_TEST_CONFORMANCE_ROWVALUES_H

#include "dialect/core/Types.h"
#include "test/conformance/Cover.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bq::conformance {

/// What every third row is; the other rows are Normal, and must not be disturbed.
enum class RowValues { Normal, Equal, Zero, Denormal, Tiny, Huge, Spike, Infinite, NaN };
constexpr int rowValuesCount = 9;

/// Such as "spike".
std::string nameOf(RowValues kind);

/// [m, columns], contiguous, each a number of `type`.
std::vector<float> makeRows(RowValues kind, ElementType type, int64_t m, int64_t columns, Random &random);

/// M by the kernel that serves it: one row, few, few that share a kernel on GPUs, many.
constexpr int64_t rowClasses[4][4] = {{1, 1, 1, 1}, {2, 3, 7, 8}, {9, 12, 15, 16}, {17, 33, 61, 130}};

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_ROWVALUES_H
