// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A OneBitLinear starts as its decomposition, has the gradients of its formula, trains, and evaluates on packed signs.
#include "quantizers/onebit/OneBitLinear.h"
#include "quantizers/onebit/StraightThrough.h"
#include "test/unit/MessageOf.h"
#include "test/unit/nbit/Support.h"

#include <gmock/gmock.h>
#include <torch/optim/adam.h>
#include <torch/serialize.h>
#include <torch/utils.h>

#include <cmath>
#include <sstream>

using namespace bq::nn;
using namespace bq::onebit;

using at::Tensor;
using bq::test::messageOf;
using testing::HasSubstr;

namespace {

Tensor signOf(const Tensor &latent) { return at::where(latent >= 0, 1.0, -1.0).to(latent.scalar_type()); }

Tensor leaf(const Tensor &tensor) { return tensor.detach().to(at::kDouble).clone().requires_grad_(true); }

/// `hard` in value, `soft` in gradient.
Tensor straightThrough(const Tensor &hard, const Tensor &soft) { return soft + (hard - soft).detach(); }

/// |got - expected| <= terms roundings of `bound`, the greatest sum of magnitudes, in the unit roundoff of float.
void expectClose(const Tensor &got, const Tensor &expected, double terms, double bound, const char *what) {
  ASSERT_TRUE(got.defined()) << what;
  EXPECT_LE((got.to(at::kDouble) - expected).abs().max().item<double>(), terms * std::exp2(-24) * bound) << what;
}

OneBitLinear makeLayer(int64_t in, int64_t out, at::ScalarType dtype = at::kFloat) {
  at::manual_seed(31);
  OneBitLinear layer(OneBitLinearOptions(in, out).dtype(dtype));
  const at::NoGradGuard noGrad;
  layer->bias.normal_();
  return layer;
}

} // namespace

TEST(OneBitLinear, StartsAsTheDecomposition) {
  at::manual_seed(30);
  torch::nn::Linear linear(40, 24);
  {
    const at::NoGradGuard noGrad;
    linear->weight[3].zero_(); // A dead output.
    linear->weight.select(1, 5).zero_();
  }
  const std::shared_ptr<OneBitLinearImpl> layer = OneBitLinearImpl::fromFloat(linear);
  const Decomposition form = decompose(linear->weight);
  EXPECT_TRUE(at::equal(layer->latent >= 0, form.sign));
  EXPECT_TRUE(layer->latent.abs().gt(0).all().item<bool>());
  EXPECT_TRUE(layer->latent.isfinite().all().item<bool>());
  EXPECT_TRUE(at::equal(layer->a, form.a));
  EXPECT_TRUE(at::equal(layer->b, form.b));
  EXPECT_TRUE(at::equal(layer->bias, linear->bias));
  const Tensor x = at::randn({7, 40});
  // Sums of 40 products, with two roundings each and those of the sums.
  expectClose(layer->forward(x),
              at::linear(x.to(at::kDouble), form.dequantized.to(at::kDouble), linear->bias.to(at::kDouble)), 46,
              at::linear(x.abs(), form.dequantized.abs(), linear->bias.abs()).max().item<double>(), "y");
}

TEST(OneBitLinear, CalibrationDecidesTheFactors) {
  at::manual_seed(32);
  torch::nn::Linear linear(16, 8);
  Importance importance;
  importance.inputNorms = at::arange(1, 17).to(at::kFloat).pow(3);
  const auto plain = OneBitLinearImpl::fromFloat(linear);
  const auto weighted = OneBitLinearImpl::fromFloat(linear, OneBitLinearOptions(1, 1), importance);
  EXPECT_EQ(weighted->options.in_features(), 16);
  EXPECT_FALSE(at::equal(plain->a, weighted->a));
}

TEST(OneBitLinear, GradientsAreThoseOfTheFormula) {
  const int64_t in = 37, out = 19;
  OneBitLinear layer = makeLayer(in, out);
  Tensor x = at::randn({2, 5, in}).requires_grad_(true);
  const Tensor gradient = at::randn({2, 5, out});
  layer->forward(x).backward(gradient);

  const Tensor wideX = leaf(x), latent = leaf(layer->latent), a = leaf(layer->a), b = leaf(layer->b),
               bias = leaf(layer->bias);
  const Tensor weight = a.unsqueeze(1) * straightThrough(signOf(latent), latent) * b;
  const Tensor y = at::linear(wideX, weight, bias);
  y.backward(gradient.to(at::kDouble));

  // Sums have up to 37 terms (10 where they run over the rows of x), of up to three roundings each; magnitudes of
  // standard normal numbers are below 5, factors below 1.
  const double terms = in + 8, bound = 37 * 5 * 5;
  expectClose(layer->forward(x), y, terms, bound, "y");
  expectClose(x.grad(), wideX.grad(), terms, bound, "x");
  expectClose(layer->latent.grad(), latent.grad(), terms, bound, "latent");
  expectClose(layer->a.grad(), a.grad(), terms, bound, "a");
  expectClose(layer->b.grad(), b.grad(), terms, bound, "b");
  expectClose(layer->bias.grad(), bias.grad(), terms, bound, "bias");
}

TEST(OneBitLinear, OneTensorOfTheWeightHasTheSameGradients) {
  at::manual_seed(33);
  // More rows than one block of sums, and columns that no vector divides.
  const int64_t rows = 150, columns = 45;
  for (at::ScalarType type : {at::kFloat, at::kDouble}) {
    std::vector<Tensor> fused, composed;
    const at::TensorOptions options = at::device(at::kCPU).dtype(type);
    for (const Tensor &value :
         {at::randn({rows, columns}, options), at::randn({rows}, options), at::randn({columns}, options)}) {
      fused.push_back(value.clone().requires_grad_(true));
      composed.push_back(leaf(value));
    }
    const Tensor gradient = at::randn({rows, columns}, options);
    const Tensor weight = signWeight(fused[0], fused[1], fused[2]);
    weight.backward(gradient);
    const Tensor expected = composed[1].unsqueeze(1) * straightThrough(signOf(composed[0]), composed[0]) * composed[2];
    expected.backward(gradient.to(at::kDouble));
    EXPECT_TRUE(at::equal(weight, expected.to(type)));
    // Sums of up to 150 products of three numbers below 5 each.
    for (size_t i = 0; i < fused.size(); ++i)
      expectClose(fused[i].grad(), composed[i].grad(), rows + 3, rows * 125, "gradient");
  }
}

TEST(OneBitLinear, EvaluationRunsOnPackedSigns) {
  for (at::ScalarType type : {at::kFloat, at::kDouble}) {
    OneBitLinear layer = makeLayer(43, 21, type);
    layer->eval();
    const Tensor x = at::randn({6, 43}, type);
    setPackedEvaluation(*layer, false);
    const Tensor expected = layer->forward(x).detach();
    setPackedEvaluation(*layer, true);
    const at::NoGradGuard noGrad;
    // Both round sums of 43 terms; values stay below 20.
    EXPECT_LE((layer->forward(x) - expected).abs().max().item<double>(), 2 * 46 * std::exp2(-24) * 20);
    EXPECT_EQ(layer->forward(x).scalar_type(), type);
    EXPECT_EQ(layer->packedWeight()->format().str(), "sign");
    EXPECT_TRUE(at::equal(layer->packedWeight()->dequantize(at::kFloat).ge(0), layer->latent >= 0));
  }
}

TEST(OneBitLinear, EvaluationFollowsTheParameters) {
  OneBitLinear layer = makeLayer(16, 8);
  layer->eval();
  const at::NoGradGuard noGrad;
  const Tensor x = at::randn({3, 16}), before = layer->forward(x) - layer->bias;
  layer->a.mul_(2);
  EXPECT_TRUE(at::allclose(layer->forward(x) - layer->bias, 2 * before, 1e-5, 1e-5));
  layer->latent.neg_();
  EXPECT_TRUE(at::allclose(layer->forward(x) - layer->bias, -2 * before, 1e-5, 1e-5));
}

TEST(OneBitLinear, TrainingFlipsSignsTowardsTheTarget) {
  const bq::test::OneThread oneThread;
  at::manual_seed(34);
  const Tensor x = at::randn({256, 24}), target = at::randn({24, 24}).sign();
  OneBitLinear layer = makeLayer(24, 24);
  torch::optim::Adam optimizer(layer->parameters(), torch::optim::AdamOptions(0.05));
  const auto loss = [&] { return (layer->forward(x) - at::linear(x, target)).square().mean(); };
  const double before = loss().item<double>();
  for (int step = 0; step < 200; ++step) {
    optimizer.zero_grad();
    loss().backward();
    optimizer.step();
  }
  EXPECT_LT(loss().item<double>(), 0.05 * before);
}

TEST(OneBitLinear, DroppedLatentWeightLeavesTheSigns) {
  OneBitLinear layer = makeLayer(20, 12);
  layer->eval();
  const at::NoGradGuard noGrad;
  const Tensor x = at::randn({4, 20}), expected = layer->forward(x);
  packLayers(*layer, /*qweightOnly=*/true);
  EXPECT_EQ(layer->latent.numel(), 0);
  EXPECT_EQ(layer->codes.sizes(), at::IntArrayRef({12, 3}));
  EXPECT_TRUE(at::equal(layer->forward(x), expected));
  layer->train();
  EXPECT_THAT(messageOf([&] { layer->forward(x); }), HasSubstr("call setWeightData() to train"));
  layer->setWeightData(at::randn({12, 20}));
  EXPECT_EQ(layer->codes.numel(), 0);
  layer->forward(x);
}

TEST(OneBitLinear, IsSavedWithItsLatentWeightOrItsSigns) {
  for (bool packed : {false, true}) {
    OneBitLinear layer = makeLayer(20, 12);
    layer->eval();
    if (packed)
      layer->generateQuantizedWeight(true);
    std::stringstream stream;
    torch::save(layer, stream);
    OneBitLinear other(OneBitLinearOptions(20, 12));
    other->eval();
    torch::load(other, stream);
    EXPECT_EQ(other->latent.numel() == 0, packed);
    const at::NoGradGuard noGrad;
    const Tensor x = at::randn({4, 20});
    EXPECT_TRUE(at::equal(other->forward(x), layer->forward(x)));
    std::stringstream again(stream.str());
    OneBitLinear wrong(OneBitLinearOptions(28, 12));
    EXPECT_THAT(messageOf([&] { torch::load(wrong, again); }), HasSubstr("expected '"));
  }
}

TEST(OneBitLinear, RefusesWhatItCannotTake) {
  EXPECT_THAT(messageOf([] { OneBitLinear(OneBitLinearOptions(0, 4)); }), HasSubstr("sizes must be positive"));
  EXPECT_THAT(messageOf([] { OneBitLinear(OneBitLinearOptions(4, 4).dtype(at::kHalf)); }),
              HasSubstr("use Float or Double"));
  EXPECT_THAT(messageOf([] { OneBitLinear(OneBitLinearOptions(4, 4).compute("f8")); }), HasSubstr("f8"));
  OneBitLinear layer = makeLayer(8, 4);
  EXPECT_THAT(messageOf([&] { layer->forward(at::randn({2, 7})); }), HasSubstr("expected a floating input [..., 8]"));
  EXPECT_THAT(messageOf([&] { layer->setWeightData(at::randn({8, 4})); }), HasSubstr("shape [4, 8], got [8, 4]"));
  EXPECT_THAT(messageOf([&] { layer->setQuantizedWeightData(at::zeros({4, 2}, at::kByte)); }),
              HasSubstr("shape [4, 1], got Byte [4, 2]"));
  EXPECT_THAT(messageOf([] { signWeight(at::randn({2, 3}), at::randn({3}), at::randn({3})); }),
              HasSubstr("expected a latent weight [N, K], a [N] and b [K]"));
}
