// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/Refine.h"

#include <algorithm>
#include <utility>

using namespace bq::onebit;

using at::Tensor;

namespace {

constexpr double leastGain = 1e-6;
/// Part of the mean diagonal that keeps the normal equations of b solvable where inputs do not span all columns.
constexpr double ridge = 1e-6;
/// Columns whose signs are chosen before the other columns hear of it.
constexpr int64_t signBlock = 64;

class Refinement {
public:
  Refinement(const Objective &objective, Factors start)
      : objective(objective), weightProduct(at::matmul(objective.weight, objective.hessian)) {
    state = withProduct(std::move(start));
  }

  Factors run(int64_t rounds) {
    for (int64_t round = 0; round < rounds && state.error > 0; ++round) {
      const double before = state.error;
      take(withBestRows());
      take(withBestColumns());
      take(withBestSigns());
      if (before - state.error < leastGain * before)
        break;
    }
    return state.factors;
  }

private:
  struct State {
    Factors factors;
    Tensor gradient; ///< (W - form) H, [N, K]
    double error = 0;
  };

  State makeState(Factors factors, Tensor gradient) const {
    State made{std::move(factors), std::move(gradient), 0};
    Tensor rows = (made.gradient * (objective.weight - made.factors.weight())).sum(1, /*keepdim=*/false, at::kDouble);
    made.error = rows.dot(objective.rowWeights.to(at::kDouble)).item<double>();
    return made;
  }
  State withProduct(Factors factors) const {
    Tensor gradient = at::matmul(objective.weight - factors.weight(), objective.hessian);
    return makeState(std::move(factors), std::move(gradient));
  }

  void take(State next) {
    // Not "<": a row of the same error is as good, and a value that is not finite is never taken.
    if (next.error <= state.error)
      state = std::move(next);
  }

  /// With f the rows of the form, a[n] times (w_n H f_n) / (f_n H f_n); H f comes out of the gradient.
  State withBestRows() const {
    Tensor form = state.factors.weight(), formProduct = weightProduct - state.gradient;
    Tensor numerator = (weightProduct * form).sum(1), denominator = (formProduct * form).sum(1);
    Tensor ratio = at::where(denominator > 0, numerator / denominator, 1.0f);
    Factors factors = state.factors;
    factors.a = factors.a * ratio;
    return makeState(std::move(factors), weightProduct - formProduct * ratio.unsqueeze(1));
  }

  /// With s the signs times a and q the row weights, the normal equations of b:
  /// (H o (s^T diag(q) s)) b = the column sums of q s o (W H).
  State withBestColumns() const {
    Factors factors = state.factors;
    Tensor rows = factors.sign * factors.a.unsqueeze(1), weighted = rows * objective.rowWeights.unsqueeze(1);
    Tensor right = (weighted * weightProduct).sum(0);
    Tensor matrix = objective.hessian * at::matmul(rows.t(), weighted);
    Tensor diagonal = matrix.diagonal();
    diagonal.add_(diagonal.mean() * ridge + 1e-30);
    auto [cholesky, info] = at::linalg_cholesky_ex(matrix);
    if (info.item<int>() != 0)
      return state;
    factors.b = at::cholesky_solve(right.unsqueeze(1), cholesky).squeeze(1);
    return withProduct(std::move(factors));
  }

  /// Goes through the columns once: a sign is turned where that lowers the error, given all signs before it. Turning
  /// sign [n, k] changes the form by d = -2 a[n] b[k] sign, and the error by rowWeights[n] (d^2 H[k, k] - 2 d G[n, k]),
  /// G the gradient.
  State withBestSigns() const {
    const Tensor &hessian = objective.hessian;
    Factors factors = state.factors;
    factors.sign = factors.sign.clone();
    const int64_t k = factors.b.size(0);
    Tensor gradient = state.gradient.clone(), diagonal = hessian.diagonal();
    for (int64_t first = 0; first < k; first += signBlock) {
      const int64_t last = std::min(k, first + signBlock);
      Tensor changes = at::zeros({factors.sign.size(0), last - first}, factors.sign.options());
      Tensor block = gradient.slice(1, first, last).clone();
      for (int64_t column = first; column < last; ++column) {
        Tensor signs = factors.sign.select(1, column);
        Tensor change = factors.a * signs * (factors.b[column] * -2);
        Tensor gain = change * (block.select(1, column - first) * 2 - change * diagonal[column]);
        change = at::where(gain > 0, change, 0);
        signs.copy_(at::where(gain > 0, -signs, signs));
        block.addr_(change, hessian[column].slice(0, first, last), 1, -1);
        changes.select(1, column - first).copy_(change);
      }
      gradient.addmm_(changes, hessian.slice(0, first, last), 1, -1);
    }
    return makeState(std::move(factors), std::move(gradient));
  }

  const Objective &objective;
  const Tensor weightProduct; ///< W H
  State state;
};

} // namespace

double Objective::error(const Factors &factors) const {
  Tensor difference = weight - factors.weight();
  Tensor rows = (at::matmul(difference, hessian) * difference).sum(1, /*keepdim=*/false, at::kDouble);
  return rows.dot(rowWeights.to(at::kDouble)).item<double>();
}

Factors bq::onebit::refine(const Objective &objective, Factors factors, int64_t rounds) {
  return Refinement(objective, std::move(factors)).run(rounds);
}
