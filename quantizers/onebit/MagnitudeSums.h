// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One pass over the magnitudes of a weight: what balancing and power iteration are made of.
#ifndef BQ_QUANTIZERS_ONEBIT_MAGNITUDESUMS_H
#define BQ_QUANTIZERS_ONEBIT_MAGNITUDESUMS_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

namespace bq::onebit {

/// What a weight counts as: |w|, or w^2.
enum class Magnitude { Absolute, Square };

/// What the sum of a row does to its factor.
enum class RowStep {
  Multiply, ///< next = factor * sum: a step of power iteration
  Divide,   ///< next = factor / max(sum, floor): a step of balancing
};

/// With e the magnitudes of a weight [N, K]; all are double, where the weight is.
struct MagnitudeSums {
  at::Tensor rows;    ///< [N]: rowFactors[n] * sum over k of e[n, k] * columnFactors[k]
  at::Tensor next;    ///< [N]: what RowStep makes of rowFactors[n] and rows[n]
  at::Tensor columns; ///< [K]: sum over n of next[n] * e[n, k]
};

/// All three in one read of the weight: a row's factor is made while the row is in the cache. `weight`: float [N, K],
/// contiguous; factors: double [N] and [K], where the weight is. The sums of a row are taken in float, those of a
/// column in float over 64 rows and in double beyond, in an order that does not depend on the number of threads. No
/// memory of the weight's size is used. For a weight that is not on the CPU it is magnitudeSumsByTorch().
BQ_TORCH_API MagnitudeSums magnitudeSums(const at::Tensor &weight, Magnitude magnitude, const at::Tensor &rowFactors,
                                         const at::Tensor &columnFactors, RowStep step, double floor);

/// The same by LibTorch's operators, on any device and without waiting for it: in double, of at most 2^22 elements at a
/// time or one row.
BQ_TORCH_API MagnitudeSums magnitudeSumsByTorch(const at::Tensor &weight, Magnitude magnitude,
                                                const at::Tensor &rowFactors, const at::Tensor &columnFactors,
                                                RowStep step, double floor);

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_MAGNITUDESUMS_H
