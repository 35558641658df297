// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Evaluation by packed kernels gives what the training path gives in evaluation mode.
#include "quantizers/nbit/NBitLayers.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/normalization.h>
#include <torch/utils.h>

using namespace bq::nn;

namespace {

template <typename Layer>
void expectSame(Layer layer, const at::Tensor &x, const std::string &what) {
  at::NoGradGuard noGrad;
  layer->biasA.normal_(0, 0.1);
  layer->train();
  layer(x);
  layer->eval();
  at::Tensor packed = layer(x);
  setPackedEvaluation(*layer, false);
  at::Tensor training = layer(x);
  setPackedEvaluation(*layer, true);
  ASSERT_EQ(packed.sizes(), training.sizes()) << what;
  // Sums of integers are below 2^24 here, so both are exact until they are multiplied with two scales.
  EXPECT_TRUE(packed.equal(training)) << what << ", worst " << (packed - training).abs().max().item<float>();
}

} // namespace

TEST(Evaluation, LinearLayersOfAllWidths) {
  torch::manual_seed(1);
  for (int64_t aBits = 1; aBits <= 8; ++aBits)
    for (int64_t wBits = 1; wBits <= 8; ++wBits) {
      // More columns than a kernel adds up in integers at once.
      NBitLinear layer(NBitLinearOptions(1067, 21).a_bits(aBits).w_bits(wBits));
      expectSame(layer, at::randn({5, 3, 1067}), std::to_string(aBits) + " and " + std::to_string(wBits) + " bits");
    }
}

TEST(Evaluation, ActivationsAsTheyAre) {
  torch::manual_seed(2);
  at::NoGradGuard noGrad;
  NBitLinear layer(NBitLinearOptions(67, 21).a_bits(16).w_bits(4));
  layer->eval();
  at::Tensor x = at::randn({5, 67}), packed = layer(x);
  setPackedEvaluation(*layer, false);
  // Sums of 67 floats in another order: 70 roundings of the sum of magnitudes, which is below 67 * 3 * 0.2.
  EXPECT_TRUE(at::allclose(packed, layer(x), 0, 70 * 6e-8 * 67 * 3 * 0.2));
}

TEST(Evaluation, Convolutions) {
  torch::manual_seed(3);
  for (int64_t bits : {1, 2, 4, 8})
    for (int64_t groups : {1, 2})
      for (bool channelsLast : {false, true}) {
        NBitConv2d layer(NBitConv2dOptions(6, 8, {3, 2})
                             .stride({2, 1})
                             .padding({1, 2})
                             .dilation({1, 2})
                             .groups(groups)
                             .a_bits(bits)
                             .w_bits(bits));
        at::Tensor x = at::randn({2, 6, 9, 8});
        if (channelsLast)
          x = x.contiguous(at::MemoryFormat::ChannelsLast);
        expectSame(layer, x, std::to_string(bits) + " bits, groups " + std::to_string(groups));
      }
}

TEST(Evaluation, BinaryLayers) {
  torch::manual_seed(4);
  expectSame(BinaryLinear(BinaryLinearOptions(67, 21)), at::randn({5, 67}), "linear");
  expectSame(BinaryConv2d(BinaryConv2dOptions(6, 8, 3).padding(1)), at::randn({2, 6, 9, 8}), "convolution");
}

TEST(Evaluation, PackedWeightsThatTrain) {
  torch::manual_seed(5);
  expectSame(NBitLinear(NBitLinearOptions(67, 21).packed_weight(true)), at::randn({5, 67}), "linear");
  expectSame(NBitConv2d(NBitConv2dOptions(6, 8, 3).packed_weight(true)), at::randn({2, 6, 9, 8}), "convolution");
}

TEST(Evaluation, SeesWeightsThatHaveChanged) {
  torch::manual_seed(6);
  at::NoGradGuard noGrad;
  BinaryLinear layer(BinaryLinearOptions(16, 4));
  at::Tensor x = at::randn({3, 16});
  layer->eval();
  at::Tensor before = layer(x);
  layer->weight.bitwise_not_();
  EXPECT_TRUE(layer(x).equal(-before));
  layer->scaleW.mul_(2);
  EXPECT_TRUE(layer(x).equal(-2 * before));
}

TEST(Evaluation, ClassesOfANetworkAreTheSame) {
  torch::manual_seed(7);
  torch::nn::Sequential net(NBitLinear(NBitLinearOptions(64, 48)),
                            torch::nn::LayerNorm(torch::nn::LayerNormOptions({48})),
                            NBitLinear(NBitLinearOptions(48, 32)), BinaryLinear(BinaryLinearOptions(32, 10)));
  at::NoGradGuard noGrad;
  at::Tensor x = at::rand({500, 64});
  net->forward(x);
  net->eval();
  at::Tensor packed = net->forward(x).argmax(1);
  setPackedEvaluation(*net, false);
  EXPECT_TRUE(packed.equal(net->forward(x).argmax(1)));
}
