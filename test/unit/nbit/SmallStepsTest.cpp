// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Small steps on packed weights are not lost: a residual keeps each of them, rounding at random their mean.
#include "quantizers/nbit/MpqLinear.h"
#include "quantizers/nbit/NBitLayers.h"
#include "quantizers/optim/DiodeMix.h"
#include "test/unit/nbit/Support.h"

#include <gtest/gtest.h>
#include <torch/utils.h>

#include <cmath>

using namespace bq::nn;
using namespace bq::optim;
using bq::Rounding;

namespace {

constexpr int steps = 1000;

/// What the default options make of a constant gradient in 1000 steps: the sum of lr m / (sqrt(v) + eps) with both
/// corrections.
double sumOfSteps(double gradient, const DiodeMixOptions &options) {
  auto [beta1, beta2] = options.betas();
  double m = 0, v = 0, sum = 0;
  for (int t = 1; t <= steps; ++t) {
    m = beta1 * m + (1 - beta1) * gradient;
    v = beta2 * v + (1 - beta2) * gradient * gradient;
    sum += options.lr() * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t)) * m /
           (std::sqrt(v) + options.eps());
  }
  return sum;
}

struct Training {
  at::Tensor before, after, scales;
  at::Tensor direction; ///< 1 or -1: where each weight is to go.
  int64_t residualBytes = 0;
};

template <typename Layer>
Training train(Layer layer, Rounding rounding) {
  QuantizedParameter parameter(layer->weight);
  Training run;
  run.before = parameter.dequantize();
  // Weights go both ways: moved all alike, they would stay on their codes while zero points follow them.
  run.direction = at::arange(run.before.numel()).remainder(3).eq(0).view(run.before.sizes()).to(at::kFloat) * 2 - 1;
  at::Tensor gradient = -0.37 * run.direction;
  DiodeMix optimizer({layer->weight}, DiodeMixOptions().rounding(rounding).seed(3));
  for (int step = 0; step < steps; ++step) {
    layer->weight.mutable_grad() = gradient;
    optimizer.step();
  }
  run.after = parameter.dequantize();
  run.scales = parameter.contents().scales;
  if (parameter.contents().residual.defined())
    run.residualBytes = static_cast<int64_t>(parameter.contents().residual.nbytes());
  return run;
}

template <typename Layer>
void expectEachWeightMoved(Layer layer, const char *what) {
  Training run = train(layer, Rounding::Residual);
  at::Tensor error = run.after - run.before - sumOfSteps(0.37, DiodeMixOptions()) * run.direction;
  // One step of its scale for each weight.
  EXPECT_LE((error.abs() / run.scales.max()).max().item<double>(), 1) << what;
  EXPECT_LE(run.residualBytes, run.before.numel()) << "8 bits a weight";
}

template <typename Layer>
void expectMeanMoved(Layer layer, const char *what) {
  Training run = train(layer, Rounding::Stochastic);
  at::Tensor error = run.after - run.before - sumOfSteps(0.37, DiodeMixOptions()) * run.direction;
  // Weights are rounded independently of each other, so the mean's standard error follows from the errors seen.
  double standardError = error.std().item<double>() / std::sqrt(static_cast<double>(error.numel()));
  EXPECT_LE(std::abs(error.mean().item<double>()), 3 * standardError) << what;
}

} // namespace

TEST(SmallSteps, ResidualKeepsEachWeightsSteps) {
  bq::test::OneThread oneThread;
  torch::manual_seed(1);
  expectEachWeightMoved(NBitLinear(NBitLinearOptions(64, 64).w_bits(4).packed_weight(true)), "int4");
  expectEachWeightMoved(NBitLinear(NBitLinearOptions(64, 64).w_bits(8).packed_weight(true)), "int8");
  expectEachWeightMoved(MPQLinear(MPQLinearOptions(64, 64).w_bits(2).group_size(16)), "uint2:g16");
  expectEachWeightMoved(MPQLinear(MPQLinearOptions(64, 64).w_bits(4).group_size(32)), "uint4:g32");
}

TEST(SmallSteps, RoundingAtRandomKeepsTheMean) {
  bq::test::OneThread oneThread;
  torch::manual_seed(2);
  expectMeanMoved(NBitLinear(NBitLinearOptions(64, 64).w_bits(4).packed_weight(true)), "int4");
  expectMeanMoved(NBitLinear(NBitLinearOptions(64, 64).w_bits(8).packed_weight(true)), "int8");
  expectMeanMoved(MPQLinear(MPQLinearOptions(64, 64).w_bits(4).group_size(32)), "uint4:g32");
}

TEST(SmallSteps, RoundingToNearestLosesThem) {
  bq::test::OneThread oneThread;
  torch::manual_seed(3);
  Training run = train(NBitLinear(NBitLinearOptions(64, 64).w_bits(4).packed_weight(true)), Rounding::Nearest);
  at::Tensor moved = (run.after - run.before) * run.direction;
  EXPECT_LT(moved.mean().item<double>(), 0.5 * sumOfSteps(0.37, DiodeMixOptions()));
}
