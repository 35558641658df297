// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/UpstreamDecompose.h"

#include "quantizers/onebit/RankOne.h"
#include "quantizers/onebit/UpstreamBalance.h"

#include <algorithm>
#include <cmath>

using namespace bq::onebit;

using at::Tensor;

namespace {

constexpr double tiny = 1e-12;
constexpr double leastImportance = 1e-8;
constexpr int64_t leastPowerSteps = 30;

Tensor importanceOf(const Tensor &squares, const Tensor &ones) {
  if (!squares.defined())
    return ones;
  return squares.to(at::kFloat).clamp_min(leastImportance).sqrt().clamp_min(leastImportance);
}

RankOne rankOneOf(const Tensor &magnitudes, const DecomposeOptions &options, const Tensor &start) {
  if (magnitudes.numel() < upstreamPowerElements) {
    auto [u, sigma, vh] = at::linalg_svd(magnitudes, /*full_matrices=*/false);
    return {u.select(1, 0).abs(), vh[0].abs(), sigma[0].item<double>()};
  }
  Tensor from = start.defined() ? start : at::randn({magnitudes.size(1)}).to(magnitudes.device());
  RankOne triple = powerIteration(magnitudes, from, std::max(options.iterations, leastPowerSteps));
  return {triple.left.abs(), triple.right.abs(), triple.sigma};
}

} // namespace

Decomposition bq::onebit::decomposeAsUpstream(const Tensor &weight, const DecomposeOptions &options,
                                              const Importance &importance, const Tensor &start) {
  Tensor scaled = weight.detach().to(at::kFloat).contiguous();
  Tensor rows = at::ones({weight.size(0)}, scaled.options()), columns = at::ones({weight.size(1)}, scaled.options());
  Balance balanced;
  if (options.balancing) {
    BalanceOptions balancing;
    balancing.iterations = options.balanceIterations;
    balancing.alpha = options.balanceAlpha;
    balanced = balanceAsUpstream(scaled, balancing);
    scaled = balanced.apply(scaled);
  } else if (options.importanceScaling) {
    Tensor diagonal = importance.hessian.defined() ? importance.hessian.diagonal() : Tensor();
    columns = importanceOf(importance.inputNorms.defined() ? importance.inputNorms : diagonal, columns);
    rows = importanceOf(importance.outputNorms, rows);
    scaled = rows.unsqueeze(1) * scaled * columns;
  }
  Decomposition result;
  result.sign = scaled >= 0;
  RankOne triple = rankOneOf(scaled.abs(), options, start);
  const double root = std::sqrt(triple.sigma + tiny);
  result.a = triple.left * root / rows;
  result.b = triple.right * root / columns;
  Tensor form = at::where(result.sign, 1.0f, -1.0f) * result.a.unsqueeze(1) * result.b;
  if (options.balancing)
    form = (form / balanced.rows.unsqueeze(1) / balanced.columns).to(at::kFloat);
  result.dequantized = form.to(weight.scalar_type());
  return result;
}

FallbackForm bq::onebit::upstreamFallback(const Tensor &matrix, const Tensor &start, int64_t iterations) {
  auto normalized = [](const Tensor &values) { return values / (values.norm() + tiny); };
  Tensor right = normalized(start.abs()), left;
  for (int64_t iteration = 0; iteration < iterations; ++iteration) {
    left = normalized(at::mv(matrix, right));
    right = normalized(at::mv(matrix.t(), left));
  }
  if (!iterations)
    left = normalized(at::mv(matrix, right));
  const double sigma = std::max(left.dot(at::mv(matrix, right)).item<double>(), tiny);
  const double root = std::sqrt(sigma);
  return {left * root, right * root, sigma};
}
