// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The Hessian says what the outputs say, and adjusting a weight lowers the error that shifted inputs cause.
#include "quantizers/onebit/Calibration.h"
#include "test/unit/MessageOf.h"

#include <gmock/gmock.h>

#include <limits>

using namespace bq::onebit;

using at::Tensor;
using bq::test::messageOf;
using testing::HasSubstr;

TEST(Calibration, HessianGivesTheOutputError) {
  at::manual_seed(7);
  Tensor x = at::randn({6, 5, 12}, at::kDouble), weight = at::randn({9, 12}, at::kDouble);
  Tensor quantized = weight + at::randn({9, 12}, at::kDouble);
  Hessian hessian(12, at::kDouble);
  hessian.add(x.slice(0, 0, 2));
  hessian.add(x.slice(0, 2));
  EXPECT_EQ(hessian.rows(), 30);
  const SquaredError error = outputError(weight, quantized, x);
  // tr(D H D^T) = 2 / N times the sum; both in double, of 30 * 9 * 12 terms.
  EXPECT_NEAR(outputError(weight, quantized, hessian), error.sum * 2 / 30, 1e-11 * error.sum);
  EXPECT_NEAR(error.mean, error.sum / (9 * 30), 1e-12);
  EXPECT_NEAR(*error.relative, error.sum / at::matmul(x, weight.t()).square().sum().item<double>(), 1e-12);
}

TEST(Calibration, ErrorsOfZerosHaveNoRelativeValue) {
  EXPECT_FALSE(weightError(at::zeros({2, 3}), at::ones({2, 3})).relative);
  EXPECT_EQ(weightError(at::zeros({2, 3}), at::ones({2, 3})).sum, 6);
}

TEST(Calibration, AdjustmentLowersTheErrorOfShiftedInputs) {
  at::manual_seed(8);
  Tensor before = at::randn({400, 10}), now = before + 0.3 * at::randn({400, 10}), weight = at::randn({6, 10});
  Hessian hessian(10);
  hessian.add(now);
  QepOptions options;
  options.correction = 1;
  options.damping = 1e-6;
  Tensor adjusted = adjustWeight(weight, hessian.value(), inputShift(before, now), options);
  Tensor wanted = at::matmul(before, weight.t());
  auto error = [&](const Tensor &w) { return (wanted - at::matmul(now, w.t())).square().sum().item<double>(); };
  // The full correction is the least-squares solution, up to the damping.
  Tensor best = at::matmul(at::linalg_pinv(now), wanted).t();
  EXPECT_LT(error(adjusted), 0.95 * error(weight));
  EXPECT_NEAR(error(adjusted), error(best), 1e-3 * error(best));
}

TEST(Calibration, DeadColumnsBecomeZero) {
  at::manual_seed(9);
  Tensor x = at::randn({50, 4});
  x.select(1, 2).zero_();
  Hessian hessian(4);
  hessian.add(x);
  Tensor adjusted = adjustWeight(at::ones({3, 4}), hessian.value(), inputShift(x, x));
  EXPECT_TRUE(at::equal(adjusted.select(1, 2), at::zeros({3})));
  EXPECT_TRUE(at::allclose(adjusted.select(1, 1), at::ones({3})));
}

TEST(Calibration, RefusesWhatDoesNotFit) {
  Hessian hessian(4);
  EXPECT_THAT(messageOf([&] { hessian.add(at::zeros({2, 3})); }), HasSubstr("inputs must have 4 columns, got [2, 3]"));
  EXPECT_THAT(messageOf([&] { hessian.add(at::full({2, 4}, std::numeric_limits<float>::infinity())); }),
              HasSubstr("not finite"));
  EXPECT_EQ(hessian.rows(), 0);
  EXPECT_THAT(messageOf([] { Hessian(4, at::kHalf); }), HasSubstr("use float or double"));
  EXPECT_THAT(messageOf([] { adjustWeight(at::ones({2, 3}), at::eye(3), at::eye(2)); }), HasSubstr("must be [3, 3]"));
  EXPECT_THAT(messageOf([] { adjustWeight(at::ones({2, 2}), -at::eye(2), at::eye(2)); }),
              HasSubstr("not positive definite"));
}
