// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The leading singular triple of a matrix, by power iteration.
#ifndef BQ_QUANTIZERS_ONEBIT_RANKONE_H
#define BQ_QUANTIZERS_ONEBIT_RANKONE_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

namespace bq::onebit {

/// left * sigma * right^T is near the matrix.
struct RankOne {
  at::Tensor left, right; ///< [N] and [K], of length 1; zeros where the matrix is zero.
  double sigma = 0;
};

/// The best rank-one approximation of diag(rowFactors) |weight| diag(columnFactors), whose entries and triple are not
/// negative. `weight`: float [N, K] on the CPU, contiguous; factors: double [N] and [K], not negative. From a fixed
/// start that is never orthogonal to the triple, so equal weights give equal triples; each iteration reads the weight
/// once, and there are at most 100. The triple is double.
BQ_TORCH_API RankOne leadingTriple(const at::Tensor &weight, const at::Tensor &rowFactors,
                                   const at::Tensor &columnFactors);

/// `iterations` steps of power iteration on `matrix` [N, K] from `start` [K], which need not be of length 1; in the
/// type of the matrix. Stops early where a product is zero.
BQ_TORCH_API RankOne powerIteration(const at::Tensor &matrix, const at::Tensor &start, int64_t iterations);

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_RANKONE_H
