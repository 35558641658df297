// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/UniformQuantizer.h"
#include "quantizers/diffq/UpstreamNoise.h"
#include "test/unit/MessageOf.h"
#include "test/unit/diffq/Support.h"
#include "test/unit/diffq/TiedModel.h"

#include <gmock/gmock.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>

using namespace bq;
using bq::test::messageOf;
using testing::HasSubstr;

using at::Tensor;

namespace {

DiffQuantizerOptions small() { return bq::test::small(4); }

/// The noise of upstream's rule comes from LibTorch's generator, so that a test can make it again.
DiffQuantizerOptions known() { return small().upstream_compatible(true).exclude({"bias"}); }

Tensor knownNoisy(const Tensor &weight, const Tensor &bits) {
  return diffq::addNoise(weight, bits, 4, NoiseKind::Gaussian, at::randn({weight.numel()}));
}

class Throwing : public torch::nn::Module {
public:
  Throwing() { linear = register_module("linear", torch::nn::Linear(8, 8)); }
  Tensor forward(const Tensor &x) {
    const Tensor y = linear(x);
    TORCH_CHECK(y.size(0) == 1, "one row only");
    return y;
  }
  torch::nn::Linear linear = nullptr;
};

} // namespace

TEST(WeightScope, GivesTheGradientsOfNoisyWeights) {
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(2, 4, 2));
  DiffQuantizer quantizer(*conv, known());
  quantizer.noOptimizer();
  const QuantizedParameter &entry = quantizer.quantizedParameters()[0];
  const Tensor x = at::randn({3, 2, 5, 5}).requires_grad_();
  torch::manual_seed(1);
  {
    WeightScope scope = quantizer.trainingWeights();
    (conv(x).square().sum() + quantizer.modelSize()).backward();
    scope.close();
  }
  const Tensor gradient = conv->weight.grad().clone(), bitsGradient = entry.learned.grad().clone(),
               inputGradient = x.grad().clone();

  // The same without a scope, as a graph from a copy of the weight.
  const Tensor weight = conv->weight.detach().clone().requires_grad_();
  entry.learned.mutable_grad() = Tensor();
  x.mutable_grad() = Tensor();
  torch::manual_seed(1);
  const Tensor noisy = knownNoisy(weight, quantizer.bits(entry));
  (at::conv2d(x, noisy, conv->bias.detach()).square().sum() + quantizer.modelSize()).backward();
  // The same operators in the same order.
  EXPECT_TRUE(gradient.equal(weight.grad()));
  EXPECT_TRUE(bitsGradient.equal(entry.learned.grad()));
  EXPECT_TRUE(inputGradient.equal(x.grad()));
  EXPECT_GT(bitsGradient.abs().max().item<double>(), 0);
}

TEST(WeightScope, GradientsAddUpOverScopes) {
  torch::nn::Linear linear(8, 8);
  DiffQuantizer quantizer(*linear, known());
  quantizer.noOptimizer();
  const Tensor x = at::randn({5, 8});
  std::vector<Tensor> sums;
  for (int round = 0; round < 2; ++round) {
    torch::manual_seed(3);
    WeightScope scope = quantizer.trainingWeights();
    linear(x).square().sum().backward();
    scope.close();
    sums.push_back(linear->weight.grad().clone());
  }
  EXPECT_TRUE(sums[1].allclose(2 * sums[0]));
}

TEST(WeightScope, GivesTheWeightsBackWhateverHappens) {
  auto model = std::make_shared<Throwing>();
  DiffQuantizer quantizer(*model, small());
  quantizer.noOptimizer();
  const Tensor weight = model->linear->weight, before = weight.detach().clone();
  const void *memory = weight.const_data_ptr();
  EXPECT_THAT(messageOf([&] {
                const WeightScope scope = quantizer.trainingWeights();
                EXPECT_FALSE(weight.equal(before));
                model->forward(at::ones({2, 8})).sum().backward();
              }),
              HasSubstr("one row only"));
  EXPECT_TRUE(weight.equal(before));
  EXPECT_EQ(weight.const_data_ptr(), memory);
  EXPECT_TRUE(weight.requires_grad() && weight.is_leaf());
  EXPECT_FALSE(weight.grad().defined());
  // Without noise, gradients are those of the weights themselves again.
  model->forward(at::ones({1, 8})).sum().backward();
  EXPECT_TRUE(weight.grad().equal(at::ones({8, 8})));
  EXPECT_FALSE(quantizer.quantizedParameters()[0].learned.grad().defined());
}

TEST(WeightScope, RefusesABackwardThatComesTooLate) {
  torch::nn::Linear linear(8, 8);
  DiffQuantizer quantizer(*linear, small());
  quantizer.noOptimizer();
  Tensor loss;
  {
    const WeightScope scope = quantizer.trainingWeights();
    loss = linear(at::ones({1, 8})).sum();
  }
  EXPECT_THAT(messageOf([&] { loss.backward(); }), HasSubstr("WeightScope"));
}

TEST(WeightScope, RefusesStepsInside) {
  torch::nn::Linear linear(8, 8);
  torch::optim::SGD optimizer(linear->parameters(), 0.1);
  DiffQuantizer quantizer(*linear, small());
  quantizer.setupOptimizer(optimizer);
  const Tensor before = linear->weight.detach().clone();
  const auto misuse = [&](bool close) {
    WeightScope scope = quantizer.trainingWeights();
    linear(at::ones({1, 8})).sum().backward();
    optimizer.step();
    if (close)
      scope.close();
  };
  EXPECT_THAT(messageOf([&] { misuse(true); }), HasSubstr("'weight'"));
  EXPECT_TRUE(linear->weight.equal(before));
  // A scope that just ends leaves the error to the next call.
  misuse(false);
  EXPECT_THAT(messageOf([&] { quantizer.trainingWeights(); }), HasSubstr("end the scope after backward()"));
  EXPECT_EQ(messageOf([&] { quantizer.trainingWeights(); }), "accepted");
}

TEST(WeightScope, OnlyOneIsOpen) {
  torch::nn::Linear linear(8, 8);
  DiffQuantizer quantizer(*linear, small());
  EXPECT_THAT(messageOf([&] { quantizer.trainingWeights(); }), HasSubstr("call setupOptimizer(), or noOptimizer()"));
  quantizer.noOptimizer();
  WeightScope scope = quantizer.trainingWeights();
  EXPECT_THAT(messageOf([&] { quantizer.trainingWeights(); }), HasSubstr("a WeightScope is open"));
  EXPECT_THAT(messageOf([&] { quantizer.quantize(); }), HasSubstr("a WeightScope is open"));
  EXPECT_GT(quantizer.modelSize().item<double>(), 0);
  scope.close();
  EXPECT_TRUE(quantizer.quantize());
}

TEST(WeightScope, RoundedWeightsComeAndGo) {
  torch::nn::Sequential model(torch::nn::Linear(16, 16), torch::nn::Linear(16, 2));
  DiffQuantizer quantizer(*model, DiffQuantizerOptions().min_size(0.0005).init_bits(3).float16(true));
  std::vector<Tensor> before, parameters;
  for (const auto &parameter : model->named_parameters())
    if (parameter.key().find("_diffq") == std::string::npos) {
      parameters.push_back(parameter.value());
      before.push_back(parameter.value().detach().clone());
    }
  {
    const WeightScope scope = quantizer.quantizedWeights();
    EXPECT_FALSE(parameters[0].equal(before[0]));
    // Those of float16 are rounded too, and not for good.
    EXPECT_TRUE(parameters[2].equal(before[2].to(at::kHalf).to(at::kFloat)));
  }
  EXPECT_TRUE(quantizer.quantize());
  EXPECT_FALSE(quantizer.quantize());
  EXPECT_FALSE(quantizer.quantizedWeights().isOpen());
  EXPECT_TRUE(quantizer.isQuantized());
  quantizer.unquantize();
  for (size_t index = 0; index < parameters.size(); ++index)
    EXPECT_TRUE(parameters[index].equal(before[index])) << index;
}

TEST(WeightScope, StraightThroughTraining) {
  torch::nn::Linear linear(8, 8);
  UniformQuantizer quantizer(*linear, UniformQuantizerOptions().min_size(0).bits(3).qat(true));
  quantizer.quantize();
  const Tensor rounded = linear->weight.detach().clone();
  quantizer.unquantize();
  WeightScope scope = quantizer.trainingWeights();
  EXPECT_TRUE(linear->weight.allclose(rounded, 1e-6, 1e-6));
  linear(at::ones({1, 8})).sum().backward();
  scope.close();
  EXPECT_TRUE(linear->weight.grad().equal(at::ones({8, 8})));
}

TEST(WeightScope, NamesAWeightOfNan) {
  torch::nn::Sequential model(torch::nn::Linear(8, 8), torch::nn::Linear(8, 8));
  DiffQuantizer quantizer(*model, small());
  quantizer.noOptimizer();
  const Tensor bad = model->named_parameters()["1.weight"], good = model->named_parameters()["0.weight"];
  const Tensor before = good.detach().clone();
  bad.detach()[2][3] = NAN;
  for (const auto &call : std::vector<std::function<void()>>{
           [&] { quantizer.trainingWeights(); }, [&] { quantizer.quantize(); }, [&] { quantizer.getQuantizedState(); }})
    EXPECT_THAT(messageOf(call), HasSubstr("'1.weight'"));
  EXPECT_TRUE(good.equal(before));
  EXPECT_FALSE(quantizer.isQuantized());
}

TEST(WeightScope, TiedWeightsAreOne) {
  auto model = std::make_shared<bq::test::TiedModel>();
  torch::optim::SGD optimizer(model->a->parameters(), 0.1);
  DiffQuantizer quantizer(*model, small());
  quantizer.setupOptimizer(optimizer, 1);
  // The logits of a.weight, a.bias and b.bias.
  EXPECT_EQ(optimizer.param_groups()[1].params().size(), 3);
  const Tensor logit = model->named_parameters()["a.weight_diffq"];
  EXPECT_FALSE(model->named_parameters().contains("b.weight_diffq"));
  logit.mutable_grad() = at::ones_like(logit);
  const Tensor before = logit.detach().clone();
  optimizer.step();
  EXPECT_TRUE((before - logit.detach()).equal(at::ones_like(logit)));
  quantizer.clearOptimizer(optimizer);
  EXPECT_EQ(optimizer.param_groups().size(), 1);
  EXPECT_EQ(messageOf([&] { quantizer.detach(); }), "accepted");
}
