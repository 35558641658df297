// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/Refine.h"

#include <algorithm>

using namespace bq::onebit;

using at::Tensor;

namespace {

constexpr double leastGain = 1e-6;
/// Part of the mean diagonal that keeps the normal equations of b solvable where inputs do not span all columns.
constexpr double ridge = 1e-6;
/// Columns whose signs are chosen before the other columns hear of it.
constexpr int64_t signBlock = 64;

/// numerator / denominator; `otherwise` where nothing depends on the factor.
Tensor solve(const Tensor &numerator, const Tensor &denominator, const Tensor &otherwise) {
  return at::where(denominator > 0, numerator / denominator, otherwise);
}

bool hasDiagonal(const Objective &objective) { return objective.hessian.dim() == 1; }

/// With t = sign * b, a[n] = (w_n H t_n) / (t_n H t_n).
Tensor bestRows(const Objective &objective, const Factors &factors) {
  Tensor rows = factors.sign * factors.b, product = objective.timesHessian(rows);
  return solve((product * objective.weight).sum(1), (product * rows).sum(1), factors.a);
}

/// With s the signs times a and q the row weights, the normal equations of b:
/// (H o (s^T diag(q) s)) b = the column sums of q s o (W H).
Tensor bestColumns(const Objective &objective, const Factors &factors) {
  Tensor rows = factors.sign * factors.a.unsqueeze(1), weighted = rows * objective.rowWeights.unsqueeze(1);
  Tensor right = (weighted * objective.timesHessian(objective.weight)).sum(0);
  if (hasDiagonal(objective))
    return solve(right, (weighted * rows).sum(0) * objective.hessian, factors.b);
  Tensor matrix = objective.hessian * at::matmul(rows.t(), weighted);
  Tensor diagonal = matrix.diagonal();
  diagonal.add_(diagonal.mean() * ridge + 1e-30);
  auto [cholesky, info] = at::linalg_cholesky_ex(matrix);
  if (info.item<int>() != 0)
    return factors.b;
  return at::cholesky_solve(right.unsqueeze(1), cholesky).squeeze(1);
}

/// Goes through the columns once: a sign is turned where that lowers the error, given all signs before it. Turning
/// sign [n, k] changes the form by d = -2 a[n] b[k] sign, and the error by rowWeights[n] (d^2 H[k, k] - 2 d G[n, k]),
/// G = (W - form) H.
Tensor bestSigns(const Objective &objective, const Factors &factors) {
  if (hasDiagonal(objective)) {
    // No column hears of another: the nearest sign is best.
    Tensor product = objective.weight * factors.a.unsqueeze(1) * factors.b;
    return at::where(product == 0, factors.sign, product.sign());
  }
  const Tensor &hessian = objective.hessian;
  const int64_t k = factors.b.size(0);
  Tensor sign = factors.sign.clone();
  Tensor gradient = objective.timesHessian(objective.weight - factors.weight());
  Tensor diagonal = hessian.diagonal();
  for (int64_t first = 0; first < k; first += signBlock) {
    const int64_t last = std::min(k, first + signBlock);
    Tensor changes = at::zeros({sign.size(0), last - first}, sign.options());
    Tensor block = gradient.slice(1, first, last).clone();
    for (int64_t column = first; column < last; ++column) {
      Tensor signs = sign.select(1, column);
      Tensor change = factors.a * signs * (factors.b[column] * -2);
      Tensor gain = change * (block.select(1, column - first) * 2 - change * diagonal[column]);
      change = at::where(gain > 0, change, 0);
      signs.copy_(at::where(gain > 0, -signs, signs));
      block.addr_(change, hessian[column].slice(0, first, last), 1, -1);
      changes.select(1, column - first).copy_(change);
    }
    gradient.addmm_(changes, hessian.slice(0, first, last), 1, -1);
  }
  return sign;
}

} // namespace

Tensor Objective::timesHessian(const Tensor &values) const {
  return hessian.dim() == 1 ? values * hessian : at::matmul(values, hessian);
}

double Objective::error(const Factors &factors) const {
  Tensor difference = weight - factors.weight();
  Tensor rows = (timesHessian(difference) * difference).sum(1, /*keepdim=*/false, at::kDouble);
  return rows.dot(rowWeights.to(at::kDouble)).item<double>();
}

Factors bq::onebit::refine(const Objective &objective, Factors factors, int64_t rounds) {
  double error = objective.error(factors);
  auto take = [&](Tensor Factors::*member, const Tensor &value) {
    Factors next = factors;
    next.*member = value;
    const double reached = objective.error(next);
    // Not "<": a row of the same error is as good, and a value that is not finite is never taken.
    if (reached <= error) {
      factors = next;
      error = reached;
    }
  };
  for (int64_t round = 0; round < rounds && error > 0; ++round) {
    const double before = error;
    take(&Factors::a, bestRows(objective, factors));
    take(&Factors::b, bestColumns(objective, factors));
    take(&Factors::sign, bestSigns(objective, factors));
    if (before - error < leastGain * before)
      break;
  }
  return factors;
}
