// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The decomposition reproduces its weight, gets better with every round, and never loses to upstream's best mode.
#include "quantizers/onebit/Decompose.h"
#include "quantizers/onebit/Calibration.h"
#include "test/unit/MessageOf.h"

#include <gmock/gmock.h>

#include <limits>

using namespace bq::onebit;

using at::Tensor;
using bq::test::messageOf;
using testing::HasSubstr;

namespace {

/// Inputs of which some directions and columns matter more than others, as in real layers.
Tensor inputs(int64_t rows, int64_t k) {
  return at::matmul(at::randn({rows, k}), at::randn({k, k}) / 4 + at::diag((at::randn({k})).exp()));
}

struct Problem {
  Tensor weight, hessian;
  explicit Problem(int seed, int64_t n = 48, int64_t k = 40) {
    at::manual_seed(seed);
    weight = at::randn({n, k}) * (at::randn({n, 1}) / 2).exp();
    Hessian sum(k);
    sum.add(inputs(4 * k, k));
    hessian = sum.value();
  }
  double error(const Tensor &quantized) const {
    Tensor d = (weight - quantized).to(at::kDouble);
    return (at::matmul(d, hessian.to(at::kDouble)) * d).sum().item<double>();
  }
  double errorOf(const DecomposeOptions &options) const {
    Importance importance;
    importance.hessian = hessian;
    return error(decompose(weight, options, importance).dequantized);
  }
};

Tensor productOf(const Decomposition &form) { return at::where(form.sign, 1.0f, -1.0f) * form.a.unsqueeze(1) * form.b; }

} // namespace

TEST(Decompose, FactorsReproduceTheWeightInEveryMode) {
  Problem problem(10);
  for (bool importance : {false, true})
    for (bool balancing : {false, true})
      for (at::ScalarType type : {at::kFloat, at::kHalf}) {
        DecomposeOptions options;
        options.importanceScaling = importance;
        options.balancing = balancing;
        Importance known;
        known.hessian = problem.hessian;
        Decomposition form = decompose(problem.weight.to(type), options, known);
        EXPECT_EQ(form.dequantized.scalar_type(), type);
        EXPECT_TRUE(at::equal(form.dequantized, productOf(form).to(type)));
      }
}

TEST(Decompose, RoundsNeverRaiseTheError) {
  Problem problem(11);
  DecomposeOptions options;
  double before = std::numeric_limits<double>::infinity();
  for (int64_t rounds : {0, 1, 2, 4, 8, 16}) {
    options.iterations = rounds;
    const double error = problem.errorOf(options);
    EXPECT_LE(error, before * (1 + 1e-6)) << rounds;
    before = error;
  }
  options.iterations = 0;
  EXPECT_LT(before, 0.9 * problem.errorOf(options));
}

TEST(Decompose, IsBetterThanUpstreamOnTheSameData) {
  double ratioSum = 0;
  for (int seed = 20; seed < 28; ++seed) {
    Problem problem(seed);
    double best = std::numeric_limits<double>::infinity(), upstreamDefault = 0;
    for (bool importance : {false, true})
      for (bool balancing : {false, true}) {
        DecomposeOptions options;
        options.upstreamCompatible = true;
        options.importanceScaling = importance;
        options.balancing = balancing;
        const double error = problem.errorOf(options);
        best = std::min(best, error);
        if (importance && balancing)
          upstreamDefault = error;
      }
    const double ours = problem.errorOf(DecomposeOptions());
    EXPECT_LE(ours, best) << seed;
    ratioSum += ours / upstreamDefault;
  }
  EXPECT_LE(ratioSum / 8, 0.9);
}

TEST(Decompose, ZerosStayZeros) {
  at::manual_seed(12);
  Tensor weight = at::randn({8, 6});
  weight[2] = 0;
  weight.select(1, 4).zero_();
  Tensor quantized = decompose(weight).dequantized;
  EXPECT_TRUE(at::equal(quantized[2], at::zeros({6})));
  EXPECT_TRUE(at::equal(quantized.select(1, 4), at::zeros({8})));
  EXPECT_TRUE(at::equal(decompose(at::zeros({3, 5})).dequantized, at::zeros({3, 5})));
  // A weight of one magnitude is of rank one.
  Tensor constant = at::full({3, 5}, -0.25);
  EXPECT_TRUE(at::allclose(decompose(constant).dequantized, constant, 1e-6, 0));
}

TEST(Decompose, IsTheSameEveryTime) {
  Problem problem(13);
  Importance importance;
  importance.hessian = problem.hessian;
  Decomposition one = decompose(problem.weight, {}, importance), two = decompose(problem.weight, {}, importance);
  EXPECT_TRUE(at::equal(one.a, two.a) && at::equal(one.b, two.b) && at::equal(one.sign, two.sign));
}

TEST(Decompose, SaysWhatIsWrong) {
  Tensor weight = at::ones({4, 3});
  weight[1][1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(messageOf([&] { decompose(weight); }), HasSubstr("not finite"));
  Importance importance;
  importance.hessian = at::eye(4);
  EXPECT_THAT(messageOf([&] { decompose(at::ones({4, 3}), {}, importance); }), HasSubstr("must be [3, 3]"));
  DecomposeOptions options;
  options.iterations = -1;
  options.balanceIterations = 0;
  options.balanceAlpha = std::numeric_limits<double>::infinity();
  EXPECT_THAT(messageOf([&] { options.check(); }),
              HasSubstr("iterations is -1, use 0 or more; balanceIterations is 0, use 1 or more; balanceAlpha is inf"));
}
