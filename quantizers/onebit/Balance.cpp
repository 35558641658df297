// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/Balance.h"

#include <cmath>

using namespace bq::onebit;

using at::Tensor;

namespace {

/// Works on the factors as they multiply magnitudes: themselves, or their squares.
class Balancer {
public:
  Balancer(const Tensor &weight, const BalanceOptions &options, const Tensor &rows, const Tensor &columns)
      : weight(weight), options(options), rows(options.magnitude == Magnitude::Square ? rows.square() : rows),
        columns(options.magnitude == Magnitude::Square ? columns.square() : columns),
        beta(options.beta.value_or(weight.size(0) * options.alpha / weight.size(1))) {}

  Balance run() {
    int64_t balanced = 0;
    // The norms of an iteration's rows are known by the pass of the next one.
    MagnitudeSums sums = pass();
    for (int64_t iteration = 0; iteration < options.iterations && balanced < options.stopWindow; ++iteration) {
      const double columnResidual = step(sums);
      sums = pass();
      const double rowResidual = residual(sums.rows, options.alpha);
      result.rowResiduals.push_back(rowResidual);
      result.columnResiduals.push_back(columnResidual);
      balanced = isBalanced(rowResidual, options.alpha) && isBalanced(columnResidual, beta) ? balanced + 1 : 0;
    }
    result.rows = factors(rows);
    result.columns = factors(columns);
    return std::move(result);
  }

private:
  bool isSquare() const { return options.magnitude == Magnitude::Square; }
  Tensor factors(const Tensor &values) const { return isSquare() ? values.sqrt() : values; }

  MagnitudeSums pass() const {
    return magnitudeSums(weight, options.magnitude, rows, columns, RowStep::Divide, options.floor);
  }

  /// Takes the rows' next factors, and makes the columns' from them; the residual of the columns.
  double step(const MagnitudeSums &sums) {
    Tensor nextRows = sums.next * options.alpha;
    Tensor columnSums = sums.columns * options.alpha;
    nextRows = at::where(sums.rows == 0, rows, nextRows);
    Tensor norms = columns * columnSums;
    Tensor nextColumns = columns * beta / norms.clamp_min(options.floor);
    nextColumns = at::where(norms == 0, columns, nextColumns);
    rows = nextRows;
    columns = nextColumns;
    norms = columns * columnSums;
    result.objectives.push_back(isSquare() ? norms.sum().item<double>() : 0.0);
    if (options.fixGauge) {
      const double gauge = std::sqrt((factors(rows).mean() / factors(columns).mean()).item<double>());
      const double scale = isSquare() ? gauge * gauge : gauge;
      rows = rows / scale;
      columns = columns * scale;
    }
    return residual(norms, beta);
  }

  /// Rows and columns of zeros cannot be balanced and do not count.
  double residual(const Tensor &norms, double wanted) const {
    return at::where(norms == 0, 0.0, (norms - wanted).abs()).max().item<double>();
  }
  bool isBalanced(double distance, double wanted) const { return distance < options.tolerance * wanted; }

  const Tensor &weight;
  const BalanceOptions &options;
  Tensor rows, columns;
  double beta;
  Balance result;
};

} // namespace

Tensor Balance::apply(const Tensor &weight) const { return (weight * rows.unsqueeze(1)).mul(columns).to(at::kFloat); }

Balance bq::onebit::balance(const Tensor &weight, const BalanceOptions &options) {
  const at::TensorOptions factors = weight.options().dtype(at::kDouble);
  return balance(weight, options, at::ones({weight.size(0)}, factors), at::ones({weight.size(1)}, factors));
}

Balance bq::onebit::balance(const Tensor &weight, const BalanceOptions &options, const Tensor &rows,
                            const Tensor &columns) {
  return Balancer(weight, options, rows, columns).run();
}
