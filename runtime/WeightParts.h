// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What every backend takes out of a canonical weight. All functions take weights that have been
/// verified.
#ifndef BQ_RUNTIME_WEIGHTPARTS_H
#define BQ_RUNTIME_WEIGHTPARTS_H

#include "runtime/Backend.h"

#include <vector>

namespace bq {

/// Whether an embedding of `count` rows can be done; errors name argument, value and rule.
Status verifyIndices(const CanonicalWeight &weight, const int64_t *indices, int64_t count, const void *y);

/// Column of the canonical weight for each column in the order of groups, stable; empty where that is the order already
/// or there is no group index.
std::vector<int32_t> columnsByGroup(const CanonicalWeight &weight);

/// The values of a table format, 2^bits of them.
const float *tableOf(const CanonicalWeight &weight);

/// The scales or factors of columns, [k], in the order that `columns` gives where it is not empty; empty for weights
/// that have none.
std::vector<float> columnScaleOf(const CanonicalWeight &weight, const std::vector<int32_t> &columns = {});

/// Bytes of a zero point; 0 for ZeroPointType::None.
int64_t zeroPointBytes(ZeroPointType type);

/// A table as integers of at most `levels` in size, of which each means scale(levels). A table of zeros, or one that is
/// not finite, has none: all its integers are zero, and the scale carries what the result has to become, zero or NaN.
class FixedPointTable {
public:
  /// `values` outlives this.
  FixedPointTable(const float *values, int count);

  /// Of value `index`, ties away from zero.
  int at(int index, int levels) const;
  /// The greatest value / levels, or NaN.
  float scale(int levels) const;

private:
  const float *values;
  float max = 0;
  bool isFinite = true;
};

/// The codes of one row after the other as kernels take them: one to a byte, int codes as value + 2^(bits-1).
class RowCodes {
public:
  /// Column i is column `columns[i]` of the canonical weight, in order where empty. Both outlive this.
  RowCodes(const CanonicalWeight &weight, const std::vector<int32_t> &columns);

  /// The k codes of a row, until the next call.
  const uint8_t *get(int64_t row);

private:
  const CanonicalWeight &weight;
  const std::vector<int32_t> &columns;
  std::vector<uint8_t> codes, sorted;
};

} // namespace bq

#endif // BQ_RUNTIME_WEIGHTPARTS_H
