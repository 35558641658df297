// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Balancing a matrix: factors of rows and columns that give every row, and every column, the same norm (Sinkhorn and
/// Knopp 1967).
#ifndef BQ_QUANTIZERS_ONEBIT_BALANCE_H
#define BQ_QUANTIZERS_ONEBIT_BALANCE_H

#include "quantizers/Export.h"
#include "quantizers/onebit/MagnitudeSums.h"

#include <optional>
#include <vector>

namespace bq::onebit {

struct BalanceOptions {
  int64_t iterations = 30;
  double alpha = 1; ///< Wanted norm of a row: its sum of magnitudes.
  /// Wanted norm of a column; N * alpha / K, which can be had together with alpha, where not given.
  std::optional<double> beta;
  Magnitude magnitude = Magnitude::Absolute; ///< l1 norms, or squares of l2 norms.
  bool fixGauge = true;                      ///< Rows' and columns' factors get the same mean.
  double floor = 1e-12;                      ///< Least norm that is divided by.
  /// Greatest distance of a norm from the wanted one that counts as balanced, as a part of the wanted one.
  double tolerance = 1e-3;
  int64_t stopWindow = 3; ///< Iterations in a row that must be balanced before it stops.
};

struct Balance {
  at::Tensor rows, columns; ///< Factors, double [N] and [K]; those of rows and columns of zeros stay as they were.
  /// Of each iteration: greatest distance of the norm of a row and of a column from the wanted one, and sum of the
  /// squares of the balanced matrix (0 for Magnitude::Absolute).
  std::vector<double> rowResiduals, columnResiduals, objectives;

  /// rows * weight * columns, in float.
  BQ_TORCH_API at::Tensor apply(const at::Tensor &weight) const;
};

/// Balances `weight`, float [N, K], finite, where it is. Each iteration reads the weight once.
BQ_TORCH_API Balance balance(const at::Tensor &weight, const BalanceOptions &options);
/// The same from factors of rows and columns that are there already, double [N] and [K], positive; the result has them
/// in it.
BQ_TORCH_API Balance balance(const at::Tensor &weight, const BalanceOptions &options, const at::Tensor &rows,
                             const at::Tensor &columns);

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_BALANCE_H
