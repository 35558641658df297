// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/Decompose.h"

#include "quantizers/onebit/Balance.h"
#include "quantizers/onebit/RankOne.h"
#include "quantizers/onebit/Refine.h"
#include "quantizers/onebit/UpstreamDecompose.h"

#include <cmath>
#include <sstream>

using namespace bq::onebit;

using at::Tensor;

namespace {

/// Squares below this, and negative ones, count as this.
constexpr double leastImportance = 1e-8;

Tensor signOf(const Tensor &weight) { return at::where(weight >= 0, 1.0f, -1.0f); }

void checkShape(const char *what, const Tensor &tensor, at::IntArrayRef shape, at::IntArrayRef weight) {
  TORCH_CHECK(!tensor.defined() || tensor.sizes() == shape, "decompose: ", what, " of a weight ", weight, " must be ",
              shape, ", got ", tensor.sizes());
}

class Decomposer {
public:
  Decomposer(const Tensor &weight, const DecomposeOptions &options, const Importance &importance)
      : weight(weight), options(options), sign(signOf(weight)),
        inputs(options.importanceScaling ? norms(inputSquares(importance), 1) : ones(1)),
        outputs(options.importanceScaling ? norms(importance.outputNorms, 0) : ones(0)) {
    if (!options.importanceScaling || !importance.hessian.defined() || importance.inputNorms.defined())
      return;
    objective.weight = weight;
    objective.rowWeights = outputs.square().to(at::kFloat);
    objective.hessian = importance.hessian.to(at::kFloat);
  }

  Factors run() {
    // Of errors that are weighted by rows and columns alone this form is the best there is.
    if (!objective.hessian.defined())
      return rankOne(outputs, inputs);
    Factors best = rankOne(ones(0), ones(1));
    double error = objective.error(best);
    auto offer = [&](const Factors &start) {
      const double reached = objective.error(start);
      if (!(reached < error))
        return;
      best = start;
      error = reached;
    };
    offer(rankOne(outputs, inputs));
    if (options.balancing) {
      offer(balanced(ones(0), ones(1)));
      offer(balanced(outputs, inputs));
    }
    return refine(objective, best, options.iterations);
  }

private:
  Tensor ones(int64_t dimension) const {
    return at::ones({weight.size(dimension)}, weight.options().dtype(at::kDouble));
  }
  /// sqrt of squares, in double; ones where there are none.
  Tensor norms(const Tensor &squares, int64_t dimension) const {
    return squares.defined() ? squares.to(at::kDouble).clamp_min(leastImportance).sqrt() : ones(dimension);
  }
  static Tensor inputSquares(const Importance &importance) {
    if (importance.inputNorms.defined())
      return importance.inputNorms;
    return importance.hessian.defined() ? importance.hessian.diagonal() : Tensor();
  }

  /// From the rank-one form of diag(rows) |W| diag(columns), the factors taken out again.
  Factors rankOne(const Tensor &rows, const Tensor &columns) const {
    RankOne triple = leadingTriple(weight, rows, columns);
    const double root = std::sqrt(triple.sigma);
    return {(triple.left * root / rows).to(at::kFloat), (triple.right * root / columns).to(at::kFloat), sign};
  }

  /// The same of a matrix that is balanced first, and in between.
  Factors balanced(const Tensor &rows, const Tensor &columns) const {
    BalanceOptions balancing;
    balancing.iterations = options.balanceIterations;
    balancing.alpha = options.balanceAlpha;
    Balance balance = bq::onebit::balance(weight, balancing, rows, columns);
    return rankOne(balance.rows, balance.columns);
  }

  Tensor weight;
  const DecomposeOptions &options;
  Tensor sign, inputs, outputs;
  Objective objective; ///< Has a Hessian where there is one that counts.
};

} // namespace

void DecomposeOptions::check() const {
  std::ostringstream broken;
  auto refuse = [&](const char *name, auto value, const char *rule) {
    broken << (broken.tellp() > 0 ? "; " : "") << name << " is " << value << ", " << rule;
  };
  if (iterations < 0)
    refuse("iterations", iterations, "use 0 or more");
  if (balancing && balanceIterations < 1)
    refuse("balanceIterations", balanceIterations, "use 1 or more");
  if (balancing && !(balanceAlpha > 0 && std::isfinite(balanceAlpha)))
    refuse("balanceAlpha", balanceAlpha, "use a positive, finite number");
  TORCH_CHECK(broken.tellp() == 0, "OneBit: ", broken.str());
}

Decomposition bq::onebit::decompose(const Tensor &weight, const DecomposeOptions &options,
                                    const Importance &importance) {
  options.check();
  TORCH_CHECK(weight.dim() == 2 && weight.is_floating_point(), "decompose: the weight is ", weight.scalar_type(), " ",
              weight.sizes(), ", use a matrix of floats");
  const int64_t n = weight.size(0), k = weight.size(1);
  checkShape("the Hessian", importance.hessian, {k, k}, weight.sizes());
  checkShape("input norms", importance.inputNorms, {k}, weight.sizes());
  checkShape("output norms", importance.outputNorms, {n}, weight.sizes());
  Tensor values = weight.detach().to(at::kFloat).contiguous();
  TORCH_CHECK(values.isfinite().all().item<bool>(), "decompose: the weight holds values that are not finite");
  if (options.upstreamCompatible)
    return decomposeAsUpstream(weight, options, importance);
  if (!weight.numel())
    return {at::zeros({n}, values.options()), at::zeros({k}, values.options()), values >= 0, weight.detach().clone()};
  Factors factors = Decomposer(values, options, importance).run();
  return {factors.a, factors.b, factors.sign > 0, factors.weight().to(weight.scalar_type())};
}
