// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/LSQ.h"
#include "test/unit/MessageOf.h"
#include "test/unit/diffq/Support.h"
#include "test/unit/nbit/Support.h"

#include <gmock/gmock.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/optim/adam.h>
#include <torch/utils.h>

#include <sstream>

using namespace bq;
using bq::test::messageOf;
using testing::HasSubstr;

using at::Tensor;

namespace {

DiffQuantizerOptions small() { return bq::test::small(4); }

/// y = relu(x W1^T) W2^T
torch::jit::Module scriptModel() {
  torch::jit::Module module("__torch__.Net");
  module.register_parameter("w1", at::randn({12, 10}) / 3, /*is_buffer=*/false);
  module.register_parameter("w2", at::randn({3, 12}) / 3, /*is_buffer=*/false);
  module.register_buffer("seen", at::zeros({}, at::kLong));
  module.define("def forward(self, x):\n  return torch.linear(torch.relu(torch.linear(x, self.w1)), self.w2)\n");
  for (const auto &parameter : module.parameters())
    parameter.set_requires_grad(true);
  return module;
}

template <typename Forward>
std::vector<double> losses(DiffQuantizer &quantizer, torch::optim::Optimizer &optimizer, double penalty, int steps,
                           const Forward &forward) {
  const Tensor x = at::randn({32, 10}), y = x.narrow(1, 0, 3) * 2;
  std::vector<double> result;
  for (int step = 0; step < steps; ++step) {
    optimizer.zero_grad();
    WeightScope scope = quantizer.trainingWeights();
    const Tensor loss = (forward(x) - y).square().mean();
    (loss + penalty * quantizer.modelSize()).backward();
    scope.close();
    optimizer.step();
    result.push_back(loss.item<double>());
  }
  return result;
}

} // namespace

TEST(Training, LearnsWeightsAndBits) {
  const bq::test::OneThread oneThread;
  torch::manual_seed(0);
  torch::nn::Sequential model(torch::nn::Linear(10, 12), torch::nn::ReLU(), torch::nn::Linear(12, 3));
  torch::optim::Adam optimizer(model->parameters(), 0.02);
  DiffQuantizer quantizer(*model, small());
  quantizer.setupOptimizer(optimizer, 0.05);
  const std::vector<double> path =
      losses(quantizer, optimizer, 1e4, 150, [&](const Tensor &x) { return model->forward(x); });
  EXPECT_LT(path.back(), path.front() / 4);
  // From 8 bits towards 2, under a penalty that rules everything.
  for (const QuantizedParameter &entry : quantizer.quantizedParameters())
    EXPECT_LT(quantizer.bits(entry).mean().item<double>(), 6) << entry.name;
}

TEST(Training, TrainsTorchScript) {
  const bq::test::OneThread oneThread;
  torch::manual_seed(0);
  torch::jit::Module module = scriptModel();
  std::vector<Tensor> parameters;
  for (const auto &parameter : module.parameters())
    parameters.push_back(parameter);
  torch::optim::Adam optimizer(parameters, 0.02);
  DiffQuantizer quantizer(module, small());
  quantizer.setupOptimizer(optimizer, 0.05);
  const std::vector<double> path =
      losses(quantizer, optimizer, 1, 150, [&](const Tensor &x) { return module.forward({x}).toTensor(); });
  EXPECT_LT(path.back(), path.front() / 4);
  // Nothing of the quantizer is in the module.
  EXPECT_EQ(module.parameters().size(), 2);
  EXPECT_THAT(messageOf([&] { DiffQuantizer(module, small()); }), HasSubstr("has a quantizer already"));
}

TEST(Training, RoundedTorchScriptComputesWithItsCodes) {
  torch::jit::Module module = scriptModel();
  DiffQuantizer quantizer(module, small().init_bits(3));
  const Tensor x = at::randn({4, 10});
  const Tensor before = module.forward({x}).toTensor();
  const WeightScope scope = quantizer.quantizedWeights();
  const Tensor expected = at::linear(at::linear(x, dequantizeMixed(quantizer.packed("w1"))).relu(),
                                     dequantizeMixed(quantizer.packed("w2")));
  EXPECT_TRUE(module.forward({x}).toTensor().allclose(expected));
  EXPECT_FALSE(before.allclose(expected));
}

TEST(Training, TensorsThatShareMemoryBecomeOne) {
  torch::jit::Module module("__torch__.Tied");
  const Tensor weight = at::randn({4, 4}).requires_grad_();
  module.register_parameter("a", weight, /*is_buffer=*/false);
  module.register_parameter("b", weight, /*is_buffer=*/false);
  module.define("def forward(self, x):\n  return torch.linear(torch.linear(x, self.a), self.b)\n");
  std::stringstream file;
  module.save(file);
  const torch::jit::Module loaded = torch::jit::load(file);
  DiffQuantizer quantizer(loaded, small());
  ASSERT_EQ(quantizer.quantizedParameters().size(), 2);
  EXPECT_EQ(quantizer.quantizedParameters()[1].boundTo, 0);
}

TEST(Training, RecurrentModulesSeeTheNoise) {
  torch::manual_seed(0);
  torch::nn::LSTM lstm(torch::nn::LSTMOptions(6, 8).num_layers(2));
  DiffQuantizer quantizer(*lstm, small().init_bits(3));
  quantizer.noOptimizer();
  const Tensor x = at::randn({5, 2, 6});
  const Tensor before = std::get<0>(lstm(x));
  WeightScope scope = quantizer.trainingWeights();
  const Tensor noisy = std::get<0>(lstm(x));
  EXPECT_FALSE(noisy.allclose(before));
  noisy.square().sum().backward();
  scope.close();
  for (const QuantizedParameter &entry : quantizer.quantizedParameters()) {
    EXPECT_GT(entry.parameter.grad().abs().max().item<double>(), 0) << entry.name;
    EXPECT_GT(entry.learned.grad().abs().max().item<double>(), 0) << entry.name;
  }
  EXPECT_TRUE(std::get<0>(lstm(x)).equal(before));
}

TEST(Training, ScaleLearns) {
  const bq::test::OneThread oneThread;
  torch::manual_seed(0);
  torch::nn::Linear model(torch::nn::LinearOptions(10, 3).bias(false));
  torch::optim::Adam optimizer(model->parameters(), 0.02);
  LSQ quantizer(*model, LSQOptions().min_size(0).bits(4));
  quantizer.setupOptimizer(optimizer);
  const Tensor x = at::randn({32, 10}), y = x.narrow(1, 0, 3) * 2;
  double first = 0, last = 0;
  for (int step = 0; step < 200; ++step) {
    optimizer.zero_grad();
    WeightScope scope = quantizer.trainingWeights();
    const Tensor loss = (model(x) - y).square().mean();
    loss.backward();
    scope.close();
    optimizer.step();
    (step ? last : first) = loss.item<double>();
  }
  EXPECT_LT(last, first / 10);
}

TEST(Training, UnusedWeightsFeelNoPressure) {
  torch::nn::Sequential model(torch::nn::Linear(8, 8), torch::nn::Linear(8, 8));
  DiffQuantizer quantizer(*model, small());
  quantizer.noOptimizer();
  WeightScope scope = quantizer.trainingWeights();
  const Tensor y = std::dynamic_pointer_cast<torch::nn::LinearImpl>(model->children()[0])->forward(at::ones({1, 8}));
  (y.sum() + quantizer.modelSize()).backward();
  scope.close();
  const Tensor unused = model->named_parameters()["1.weight_diffq"], used = model->named_parameters()["0.weight_diffq"];
  EXPECT_NE(unused.grad().abs().sum().item<double>(), 0);
  quantizer.checkUnused();
  EXPECT_EQ(unused.grad().abs().sum().item<double>(), 0);
  EXPECT_NE(used.grad().abs().sum().item<double>(), 0);
}

TEST(Training, HalfModelsTrain) {
  torch::nn::Linear model(8, 8);
  model->to(at::kBFloat16);
  DiffQuantizer quantizer(*model, small());
  quantizer.noOptimizer();
  WeightScope scope = quantizer.trainingWeights();
  model(at::ones({1, 8}, at::kBFloat16)).sum().backward();
  scope.close();
  EXPECT_EQ(model->weight.scalar_type(), at::kBFloat16);
  EXPECT_EQ(model->weight.grad().scalar_type(), at::kBFloat16);
}
