// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Balancing gives rows and columns the wanted norms, and leaves rows and columns of zeros alone.
#include "quantizers/onebit/Balance.h"

#include <gtest/gtest.h>

using namespace bq::onebit;

using at::Tensor;

namespace {

void checkNorms(const Tensor &balanced, Magnitude magnitude, const BalanceOptions &options) {
  Tensor e = magnitude == Magnitude::Square ? balanced.to(at::kDouble).square() : balanced.to(at::kDouble).abs();
  Tensor rows = e.sum(1), columns = e.sum(0);
  const double beta = options.beta.value_or(balanced.size(0) * options.alpha / balanced.size(1));
  EXPECT_TRUE(at::allclose(rows, at::full_like(rows, options.alpha), 2 * options.tolerance, 0)) << rows;
  EXPECT_TRUE(at::allclose(columns, at::full_like(columns, beta), 2 * options.tolerance, 0)) << columns;
}

} // namespace

TEST(Balance, GivesRowsAndColumnsTheWantedNorms) {
  at::manual_seed(3);
  Tensor weight = at::randn({40, 24}) * at::rand({40, 1}).exp() * (at::rand({24}) * 3).exp();
  for (Magnitude magnitude : {Magnitude::Absolute, Magnitude::Square})
    for (double alpha : {1e-6, 1.0, 1e3}) {
      BalanceOptions options;
      options.iterations = 100;
      options.magnitude = magnitude;
      options.alpha = alpha;
      options.floor = 1e-20;
      Balance balance = bq::onebit::balance(weight, options);
      EXPECT_LT(balance.rowResiduals.size(), 100u);
      checkNorms(balance.apply(weight), magnitude, options);
    }
}

TEST(Balance, FixesTheGauge) {
  at::manual_seed(4);
  Tensor weight = at::randn({12, 20});
  Balance balance = bq::onebit::balance(weight, BalanceOptions());
  EXPECT_NEAR(balance.rows.mean().item<double>(), balance.columns.mean().item<double>(), 1e-9);
}

TEST(Balance, LeavesRowsAndColumnsOfZerosAlone) {
  at::manual_seed(5);
  Tensor weight = at::randn({16, 16});
  weight[3] = 0;
  weight.select(1, 7).zero_();
  BalanceOptions options;
  options.iterations = 100;
  options.fixGauge = false;
  Balance balance = bq::onebit::balance(weight, options);
  EXPECT_TRUE(balance.apply(weight).isfinite().all().item<bool>());
  EXPECT_EQ(balance.rows[3].item<double>(), 1.0);
  EXPECT_EQ(balance.columns[7].item<double>(), 1.0);
}

TEST(Balance, GoesOnFromFactors) {
  at::manual_seed(6);
  Tensor weight = at::randn({20, 12}), rows = at::rand({20}, at::kDouble) + 0.5,
         columns = at::rand({12}, at::kDouble) + 0.5;
  for (Magnitude magnitude : {Magnitude::Absolute, Magnitude::Square}) {
    BalanceOptions options;
    options.magnitude = magnitude;
    Balance from = bq::onebit::balance(weight, options, rows, columns);
    Balance scaled = bq::onebit::balance((weight * rows.unsqueeze(1) * columns).to(at::kFloat), options);
    // Balanced matrices are the same; sums of 20 terms in float, a few iterations of them.
    EXPECT_TRUE(
        at::allclose(from.apply(weight), scaled.apply((weight * rows.unsqueeze(1) * columns).to(at::kFloat)), 1e-5, 0));
  }
}

TEST(Balance, StopsAtOnceForZeros) {
  Balance balance = bq::onebit::balance(at::zeros({4, 4}), BalanceOptions());
  EXPECT_EQ(balance.rowResiduals.size(), 3u);
  EXPECT_TRUE(balance.apply(at::zeros({4, 4})).eq(0).all().item<bool>());
}
