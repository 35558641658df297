// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Weights made for tests, and what they mean, worked out apart from the reference backend.
#ifndef BQ_TEST_CONFORMANCE_WEIGHT_H
#define BQ_TEST_CONFORMANCE_WEIGHT_H

#include "runtime/Backend.h"
#include "test/conformance/Buffer.h"
#include "test/conformance/Cover.h"

#include <vector>

namespace bq::conformance {

enum class WeightValues {
  Random,
  ExtremeCodes,  ///< Rows of nothing but the greatest or the least code.
  ExtremeScales, ///< Scales, zero points and tables: zero, denormal, least normal, very large, negative.
};

struct WeightShape {
  Format format;
  int64_t n = 1, k = 1;
  ElementType scaleType = ElementType::F32;
  ZeroPointType zeroType = ZeroPointType::None;
  bool permuted = false; ///< Groups are not in order of the columns.
  WeightValues values = WeightValues::Random;
  bool columnFactors = false; ///< Not for `sign`.
};

/// A canonical weight with guarded tensors, beside the numbers that it was made from.
class Weight {
public:
  Weight(const WeightShape &shape, Random &random);

  const WeightShape &shape() const { return made; }
  /// Borrows from this object.
  CanonicalWeight canonical() const;

  /// W[row, column] = factor() * unit(), and for `sign` and with column factors times columnFactor().
  double value(int64_t row, int64_t column) const {
    return factor(row, column) * unit(row, column) * columnFactor(column);
  }
  /// The scale of the weight's group, or of its row for `sign`.
  double factor(int64_t row, int64_t column) const;
  /// code, code - zero, table[code] or +-1.
  double unit(int64_t row, int64_t column) const;
  /// b[column] for `sign`, the factor where columns have them, else 1.
  double columnFactor(int64_t column) const;
  /// Whether columns have scales or factors.
  bool hasColumnScale() const { return made.format.hasColumnScale() || made.columnFactors; }
  /// |u| + |z|, where u - z is unit() times a constant and u is what the prepacked codes say: an unsigned code. The
  /// size of the terms that a kernel may sum apart. For tables in the fixed point of `i8` and `i16` as well.
  double unitTerms(int64_t row, int64_t column) const;
  /// Greatest |table entry|; 0 for formats without a table.
  double tableMax() const;

private:
  int64_t group(int64_t row, int64_t column) const;
  void makeCodes(Random &random);
  void makeScales(Random &random);

  WeightShape made;
  std::vector<uint8_t> codes; ///< One to a byte.
  std::vector<float> scales, zeros, table, factors;
  std::vector<int32_t> groupIndex; ///< Empty where groups are in order.
  GuardedBuffer packedCodes, packedScales, packedZeros, packedTable, packedGroupIndex, packedFactors;
};

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_WEIGHT_H
