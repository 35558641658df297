// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The optimizer: the Adam rule in double, mixed models, states that continue exactly, and what it refuses.
#include "quantizers/optim/DiodeMix.h"
#include "quantizers/nbit/MpqLinear.h"
#include "quantizers/nbit/NBitLayers.h"
#include "test/unit/MessageOf.h"
#include "test/unit/nbit/Support.h"

#include <gmock/gmock.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/serialize.h>
#include <torch/utils.h>

#include <sstream>

using namespace bq::nn;
using namespace bq::optim;
using bq::MomentType;
using bq::Rounding;
using bq::test::messageOf;
using testing::HasSubstr;

namespace {

torch::nn::Sequential mixedModel() {
  return torch::nn::Sequential(torch::nn::Linear(12, 16), NBitLinear(NBitLinearOptions(16, 16)),
                               NBitLinear(NBitLinearOptions(16, 16).packed_weight(true)),
                               BinaryLinear(BinaryLinearOptions(16, 16)),
                               MPQLinear(MPQLinearOptions(16, 4).w_bits(3).group_size(8).bias(true)));
}

void trainStep(torch::nn::Sequential &model, DiodeMix &optimizer, uint64_t batch) {
  torch::manual_seed(batch);
  at::Tensor x = at::randn({20, 12}), target = at::randn({20, 4});
  optimizer.zero_grad();
  torch::nn::functional::mse_loss(model->forward(x), target).backward();
  optimizer.step();
}

std::vector<at::Tensor> stateOf(torch::nn::Sequential &model) {
  std::vector<at::Tensor> state;
  for (const at::Tensor &tensor : model->parameters())
    state.push_back(tensor.detach().clone());
  for (const at::Tensor &tensor : model->buffers())
    state.push_back(tensor.clone());
  return state;
}

bool sameState(const std::vector<at::Tensor> &a, const std::vector<at::Tensor> &b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto &x, const auto &y) { return x.equal(y); });
}

} // namespace

TEST(DiodeMix, OrdinaryParametersFollowTheAdamRule) {
  torch::manual_seed(1);
  for (bool correct : {false, true})
    for (at::ScalarType type : {at::kFloat, at::kDouble}) {
      at::Tensor w = at::randn({5, 6}, type).requires_grad_(true), reference = w.detach().to(at::kDouble).clone();
      at::Tensor m = at::zeros_like(reference), v = at::zeros_like(reference);
      double lr = 0.01, beta1 = 0.9, beta2 = 0.99, eps = 1e-6, decay = 0.1;
      DiodeMix optimizer({w}, DiodeMixOptions(lr).betas({beta1, beta2}).weight_decay(decay).correct_bias(correct));
      for (int t = 1; t <= 10; ++t) {
        w.mutable_grad() = at::randn({5, 6}, type);
        optimizer.step();
        at::Tensor g = w.grad().to(at::kDouble);
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        double a = correct ? lr * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t)) : lr;
        reference = (reference - a * m / (v.sqrt() + eps)) * (1 - lr * decay);
      }
      // Ten steps of some ten roundings each of numbers below 4.
      double tolerance = type == at::kFloat ? 10 * 10 * 6e-8 * 4 : 1e-13;
      EXPECT_LE((w.detach().to(at::kDouble) - reference).abs().max().item<double>(), tolerance);
    }
}

TEST(DiodeMix, WeightsInOtherMemoryFormats) {
  torch::manual_seed(2);
  at::Tensor start = at::randn({2, 3, 4, 5}), gradient = at::randn({2, 3, 4, 5});
  at::Tensor plain = start.clone().requires_grad_(true);
  at::Tensor last = start.contiguous(at::MemoryFormat::ChannelsLast).clone().requires_grad_(true);
  DiodeMix optimizer({plain, last}, DiodeMixOptions(0.1));
  for (int step = 0; step < 3; ++step) {
    plain.mutable_grad() = gradient;
    last.mutable_grad() = gradient;
    optimizer.step();
  }
  EXPECT_TRUE(at::allclose(plain, last, 1e-6, 1e-6));
  EXPECT_TRUE(last.is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST(DiodeMix, OneOptimizerTrainsAMixedModel) {
  bq::test::OneThread oneThread;
  for (MomentType moments : {MomentType::F32, MomentType::BF16, MomentType::Block8})
    for (Rounding rounding : {Rounding::Residual, Rounding::Stochastic}) {
      torch::manual_seed(3);
      torch::nn::Sequential model = mixedModel();
      DiodeMix optimizer(model->named_parameters(),
                         DiodeMixOptions(5e-3).betas({0.9, 0.99}).moments(moments).rounding(rounding));
      at::Tensor x = at::randn({64, 12}), target = at::randn({64, 4}) * 0.1 + 1;
      auto loss = [&] { return torch::nn::functional::mse_loss(model->forward(x), target); };
      double first = loss().item<double>();
      for (int step = 0; step < 150; ++step) {
        optimizer.zero_grad();
        loss().backward();
        optimizer.step();
      }
      EXPECT_LT(loss().item<double>(), 0.5 * first) << bq::str(moments) << " " << bq::str(rounding);
    }
}

TEST(DiodeMix, SavedAndLoadedItContinuesBitForBit) {
  bq::test::OneThread oneThread;
  for (MomentType moments : {MomentType::F32, MomentType::Block8})
    for (Rounding rounding : {Rounding::Residual, Rounding::Stochastic}) {
      torch::manual_seed(4);
      torch::nn::Sequential model = mixedModel(), other = mixedModel();
      auto options = DiodeMixOptions(3e-3).betas({0.9, 0.99}).moments(moments).rounding(rounding).seed(7);
      DiodeMix optimizer(model->named_parameters(), options);
      for (int step = 0; step < 5; ++step)
        trainStep(model, optimizer, step);
      std::stringstream savedModel, savedOptimizer;
      torch::save(model, savedModel);
      torch::save(optimizer, savedOptimizer);

      DiodeMix another(other->named_parameters(), DiodeMixOptions(1));
      torch::load(other, savedModel);
      torch::load(another, savedOptimizer);
      for (int step = 5; step < 10; ++step) {
        trainStep(model, optimizer, step);
        trainStep(other, another, step);
      }
      EXPECT_TRUE(sameState(stateOf(model), stateOf(other))) << bq::str(moments) << " " << bq::str(rounding);
    }
}

TEST(DiodeMix, ProjectedStatesContinueToo) {
  bq::test::OneThread oneThread;
  for (Projection type :
       {Projection::Right, Projection::Left, Projection::Full, Projection::Std, Projection::ReverseStd}) {
    torch::manual_seed(5);
    torch::nn::Sequential model = mixedModel(), other = mixedModel();
    DiodeMix optimizer(model->named_parameters(),
                       DiodeMixOptions(3e-3).galore(GaLoreOptions(3).update_proj_gap(4).scale(0.5).proj_type(type)));
    for (int step = 0; step < 3; ++step)
      trainStep(model, optimizer, step);
    std::stringstream savedModel, savedOptimizer;
    torch::save(model, savedModel);
    torch::save(optimizer, savedOptimizer);
    DiodeMix another(other->named_parameters());
    torch::load(other, savedModel);
    torch::load(another, savedOptimizer);
    for (int step = 3; step < 6; ++step) {
      trainStep(model, optimizer, step);
      trainStep(other, another, step);
    }
    EXPECT_TRUE(sameState(stateOf(model), stateOf(other))) << str(type);
  }
}

TEST(DiodeMix, GroupsHaveTheirOwnOptions) {
  at::Tensor a = at::zeros({3}).requires_grad_(true), b = at::zeros({3}).requires_grad_(true);
  DiodeMix optimizer({a}, DiodeMixOptions(0.1));
  optimizer.add_param_group(torch::optim::OptimizerParamGroup({b}, std::make_unique<DiodeMixOptions>(0.3)));
  a.mutable_grad() = at::ones({3});
  b.mutable_grad() = at::ones({3});
  optimizer.step();
  EXPECT_TRUE(at::allclose(3 * a, b, 1e-5));
  optimizer.param_groups()[1].options().set_lr(0);
  at::Tensor before = b.detach().clone();
  optimizer.step();
  EXPECT_TRUE(b.equal(before));
}

TEST(DiodeMix, ParametersWithoutGradientArePassedOver) {
  at::Tensor a = at::ones({3}).requires_grad_(true);
  MPQLinear layer(MPQLinearOptions(8, 4));
  at::Tensor before = layer->weight.clone();
  DiodeMix optimizer({a, layer->weight}, DiodeMixOptions(0.1));
  optimizer.step();
  EXPECT_TRUE(a.equal(at::ones({3})));
  EXPECT_TRUE(layer->weight.equal(before));
}

TEST(DiodeMix, BadGradientsAreNamedAndNothingMoves) {
  torch::manual_seed(6);
  torch::nn::Sequential model = mixedModel();
  DiodeMix optimizer(model->named_parameters(), DiodeMixOptions(0.1));
  torch::nn::functional::mse_loss(model->forward(at::randn({5, 12})), at::randn({5, 4})).backward();
  std::vector<at::Tensor> before = stateOf(model);
  at::Tensor gradient = model->named_parameters()["3.weight"].grad();
  at::Tensor broken = gradient.clone();
  broken[0][0] = NAN;
  auto step = [&] { optimizer.step(); };
  model->named_parameters()["3.weight"].mutable_grad() = broken;
  EXPECT_THAT(messageOf(step), HasSubstr("the gradient of 3.weight holds NaN or infinity"));
  broken[0][0] = INFINITY;
  EXPECT_THAT(messageOf(step), HasSubstr("the gradient of 3.weight holds NaN or infinity"));
  model->named_parameters()["3.weight"].mutable_grad() = at::randn({16, 2});
  EXPECT_THAT(messageOf(step), HasSubstr("the gradient of 3.weight has shape [16, 2], expected [16, 16]"));
  EXPECT_TRUE(sameState(stateOf(model), before));
  model->named_parameters()["3.weight"].mutable_grad() = gradient;
  EXPECT_EQ(messageOf(step), "accepted");
  EXPECT_FALSE(sameState(stateOf(model), before));
}

TEST(DiodeMix, ParametersThatNoRuleTakesAreNamed) {
  at::Tensor empty = at::empty({0, 3}).requires_grad_(true), integers = at::zeros({3}, at::kInt);
  empty.mutable_grad() = at::empty({0, 3});
  integers.mutable_grad() = at::zeros({3});
  DiodeMix first({empty}), second({integers});
  EXPECT_THAT(messageOf([&] { first.step(); }), HasSubstr("parameter 0 of group 0 is empty"));
  EXPECT_THAT(messageOf([&] { second.step(); }), HasSubstr("is of type Int and no quantized parameter"));
  at::Tensor sparse = at::zeros({3}).requires_grad_(true);
  sparse.mutable_grad() = at::ones({3}).to_sparse();
  DiodeMix third({sparse});
  EXPECT_THAT(messageOf([&] { third.step(); }), HasSubstr("is sparse"));
}

TEST(DiodeMix, OptionsOutOfRangeAreNamed) {
  at::Tensor w = at::zeros({3}).requires_grad_(true);
  auto make = [&](DiodeMixOptions options) { return messageOf([&] { DiodeMix optimizer({w}, options); }); };
  EXPECT_THAT(make(DiodeMixOptions(-1)), HasSubstr("lr is -1, it must be at least 0"));
  EXPECT_THAT(make(DiodeMixOptions().betas({0.9, 1})), HasSubstr("betas are 0.9 and 1"));
  EXPECT_THAT(make(DiodeMixOptions().eps(-1)), HasSubstr("eps is -1"));
  EXPECT_THAT(make(DiodeMixOptions().galore(GaLoreOptions(0))), HasSubstr("rank is 0"));
  EXPECT_THAT(make(DiodeMixOptions().galore(GaLoreOptions(2)).moments(MomentType::Block8)), HasSubstr("block8"));
}

TEST(DiodeMix, StatesOfOtherModelsAreRefusedAndNothingIsLost) {
  torch::manual_seed(7);
  torch::nn::Sequential model = mixedModel();
  DiodeMix optimizer(model->named_parameters(), DiodeMixOptions(1e-3));
  trainStep(model, optimizer, 0);
  std::stringstream saved;
  torch::save(optimizer, saved);
  const std::string bytes = saved.str();
  auto load = [&](DiodeMix &target, const std::string &text) {
    std::istringstream stream(text);
    return messageOf([&] { torch::load(target, stream); });
  };

  torch::nn::Sequential other(torch::nn::Linear(12, 15));
  DiodeMix wrong(other->named_parameters(), DiodeMixOptions(0.5));
  EXPECT_THAT(load(wrong, bytes), HasSubstr("parameters, here it has 2"));
  std::vector<at::Tensor> parameters = model->parameters();
  DiodeMix reordered(std::vector<at::Tensor>(parameters.rbegin(), parameters.rend()));
  EXPECT_NE(load(reordered, bytes), "accepted");
  EXPECT_EQ(static_cast<DiodeMixOptions &>(wrong.param_groups()[0].options()).lr(), 0.5);
  EXPECT_TRUE(wrong.state().empty());

  // A file that was cut off.
  size_t states = optimizer.state().size();
  EXPECT_NE(load(optimizer, bytes.substr(0, bytes.size() / 2)), "accepted");
  EXPECT_EQ(optimizer.state().size(), states);
  EXPECT_EQ(load(optimizer, bytes), "accepted");
}

TEST(DiodeMix, EightBitMomentsAreAQuarter) {
  at::Tensor w = at::randn({64, 1024}).requires_grad_(true);
  w.mutable_grad() = at::randn({64, 1024});
  auto bytes = [&](MomentType type) {
    DiodeMix optimizer({w}, DiodeMixOptions().moments(type));
    const bq::Moments &moments = optimizer.paramState(w).moments;
    int64_t sum = 0;
    for (const at::Tensor *tensor : {&moments.m, &moments.v, &moments.mScales, &moments.vScales})
      sum += tensor->defined() ? static_cast<int64_t>(tensor->nbytes()) : 0;
    return static_cast<double>(sum);
  };
  // One byte a moment, and a scale of 4 bytes for 256 of them.
  EXPECT_DOUBLE_EQ(bytes(MomentType::Block8) / bytes(MomentType::F32), (1 + 4 / 256.0) / 4);
}
