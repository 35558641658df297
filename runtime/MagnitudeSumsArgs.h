// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The arguments of Backend::magnitudeSums.
#ifndef BQ_RUNTIME_MAGNITUDESUMSARGS_H
#define BQ_RUNTIME_MAGNITUDESUMSARGS_H

#include "dialect/core/Status.h"
#include "dialect/core/Types.h"

#include <cstdint>

namespace bq {

/// One read of a weight; `bq.magnitude_sums` says what is computed.
struct MagnitudeSumsArgs {
  ElementType dataType = ElementType::F32;
  int64_t n = 0, k = 0;
  const void *weight = nullptr; ///< [n, k], rows `stride` elements apart
  int64_t stride = 0;
  bool square = false;                  ///< Magnitudes are squares, not absolute values.
  bool divide = false;                  ///< next = factor / max(sum, floor), not factor * sum.
  float floor = 0;                      ///< Positive where `divide` is set.
  const float *rowFactors = nullptr;    ///< [n]
  const float *columnFactors = nullptr; ///< [k]
  float *rows = nullptr;                ///< [n]
  float *next = nullptr;                ///< [n]
  double *columns = nullptr;            ///< [k], the sums of all chunks of rows, in their order.

  /// Errors name field, value and rule.
  Status verify() const;
};

} // namespace bq

#endif // BQ_RUNTIME_MAGNITUDESUMSARGS_H
