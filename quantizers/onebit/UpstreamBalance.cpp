// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/UpstreamBalance.h"

#include <algorithm>
#include <cmath>

using namespace bq::onebit;

using at::Tensor;

Balance bq::onebit::balanceAsUpstream(const Tensor &weight, const BalanceOptions &options) {
  const bool isSquare = options.magnitude == Magnitude::Square;
  const double alpha = options.alpha;
  const double beta = options.beta.value_or(weight.size(0) * alpha / weight.size(1));
  Balance result;
  result.rows = at::ones({weight.size(0)}, at::device(weight.device()));
  result.columns = at::ones({weight.size(1)}, at::device(weight.device()));
  auto norms = [&](int64_t dimension) {
    Tensor balanced = result.rows.unsqueeze(1) * weight * result.columns;
    return (isSquare ? balanced.square() : balanced.abs()).sum(dimension);
  };
  auto step = [&](Tensor &factors, const Tensor &sums, double wanted) {
    Tensor ratio = wanted / sums.clamp_min(options.floor);
    factors = factors * (isSquare ? ratio.sqrt() : ratio);
  };
  int64_t balanced = 0;
  for (int64_t iteration = 0; iteration < options.iterations && balanced < options.stopWindow; ++iteration) {
    step(result.rows, norms(1), alpha);
    step(result.columns, norms(0), beta);
    if (options.fixGauge) {
      Tensor gauge = (result.rows.mean() / result.columns.mean()).sqrt();
      result.rows = result.rows / gauge;
      result.columns = result.columns * gauge;
    }
    result.rowResiduals.push_back((norms(1) - alpha).abs().max().item<double>());
    result.columnResiduals.push_back((norms(0) - beta).abs().max().item<double>());
    result.objectives.push_back(isSquare ? norms(1).sum().item<double>() : 0.0);
    const double distance = std::max(result.rowResiduals.back(), result.columnResiduals.back());
    balanced = distance < options.tolerance ? balanced + 1 : 0;
  }
  return result;
}
