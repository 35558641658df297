// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The protocol of n-bit layers: weights installed, made on demand, saved, loaded, cloned and refused.
#include "quantizers/nbit/MpqLinear.h"
#include "quantizers/nbit/NBitLayers.h"
#include "test/unit/MessageOf.h"

#include <gmock/gmock.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/serialize.h>
#include <torch/utils.h>

#include <sstream>

using namespace bq::nn;
using bq::test::messageOf;
using testing::HasSubstr;

TEST(NBitLinear, WeightIsFloatInTrainingAndQuantizedOnDemandInEvaluation) {
  NBitLinear layer(NBitLinearOptions(24, 9).a_bits(4).w_bits(4));
  EXPECT_TRUE(layer->optWeight().is_same(layer->weight));
  layer->eval();
  at::Tensor codes = layer->optWeight();
  EXPECT_EQ(codes.scalar_type(), at::kByte);
  EXPECT_EQ(codes.sizes(), at::IntArrayRef({9, 12}));
  EXPECT_TRUE(layer->optWeight().is_same(codes)) << "made once";
  at::NoGradGuard noGrad;
  layer->weight.neg_();
  EXPECT_FALSE(layer->optWeight().equal(codes)) << "a changed weight is quantized again";
}

TEST(NBitLinear, InitializesItsWeightAsLinearLayersDo) {
  torch::manual_seed(1);
  NBitLinear layer(NBitLinearOptions(100, 50));
  double bound = 1 / std::sqrt(100.0), greatest = layer->weight.abs().max().item<double>();
  EXPECT_LE(greatest, bound);
  EXPECT_GT(greatest, 0.95 * bound);
  EXPECT_TRUE(layer->weight.requires_grad());
}

TEST(NBitLinear, ScaleOfActivationsComesFromTheFirstInputThatIsNotZero) {
  NBitLinear layer(NBitLinearOptions(8, 4).a_bits(4));
  EXPECT_TRUE(at::isfinite(layer(at::zeros({3, 8}))).all().item<bool>());
  EXPECT_EQ(layer->scaleA.item<float>(), 0);
  at::Tensor x = at::randn({3, 8});
  layer(x).sum().backward();
  EXPECT_FLOAT_EQ(layer->scaleA.item<float>(), 2 * x.abs().mean().item<float>() / 5.6345f);
  EXPECT_TRUE(at::isfinite(layer->scaleA.grad()).item<bool>());
  layer(10 * x);
  EXPECT_FLOAT_EQ(layer->scaleA.item<float>(), 2 * x.abs().mean().item<float>() / 5.6345f) << "set once";
}

TEST(NBitLinear, TakesAnyNumberOfDimensionsAndRows) {
  NBitLinear layer(NBitLinearOptions(7, 5));
  at::Tensor x = at::randn({2, 3, 7});
  at::Tensor y = layer(x);
  EXPECT_EQ(y.sizes(), at::IntArrayRef({2, 3, 5}));
  EXPECT_TRUE(y.view({6, 5}).equal(layer(x.view({6, 7}))));
  EXPECT_EQ(layer(at::randn({7})).sizes(), at::IntArrayRef({5}));
  EXPECT_EQ(layer(at::randn({0, 7})).sizes(), at::IntArrayRef({0, 5}));
  EXPECT_EQ(layer(x.to(at::kBFloat16)).scalar_type(), at::kBFloat16);
}

TEST(NBitLinear, SetWeightDataKeepsWhetherItTrains) {
  NBitLinear layer(NBitLinearOptions(8, 4));
  at::Tensor data = at::randn({4, 8});
  layer->setWeightData(data);
  EXPECT_TRUE(layer->weight.equal(data));
  EXPECT_TRUE(layer->weight.requires_grad());
  layer->weight.requires_grad_(false);
  layer->setWeightData(data);
  EXPECT_FALSE(layer->weight.requires_grad());
  EXPECT_THAT(messageOf([&] { layer->setWeightData(at::randn({8, 4})); }),
              HasSubstr("bq::nn::NBitLinear: expected 'weight' of a floating type and shape [4, 8], got Float [8, 4]"));
  EXPECT_TRUE(layer->weight.equal(data)) << "an error changes nothing";
}

TEST(NBitLinear, WithoutItsFloatWeightItEvaluatesAndDoesNotTrain) {
  NBitLinear layer(NBitLinearOptions(8, 4));
  at::Tensor x = at::randn({3, 8});
  layer(x);
  layer->eval();
  at::Tensor expected = layer(x);
  packLayers(*layer, /*qweightOnly=*/true);
  EXPECT_EQ(layer->weight.numel(), 0);
  EXPECT_TRUE(layer(x).equal(expected));
  setPackedEvaluation(*layer, false);
  EXPECT_TRUE(at::allclose(layer(x), expected, 1e-6, 1e-6)) << "the training path has the same integers";
  layer->train();
  EXPECT_THAT(messageOf([&] { layer(x); }), HasSubstr("the float weight is gone"));
  layer->setWeightData(at::randn({4, 8}));
  EXPECT_EQ(messageOf([&] { layer(x); }), "accepted");
}

TEST(NBitLinear, SavesAndLoadsWithAndWithoutItsFloatWeight) {
  for (bool qweightOnly : {false, true}) {
    torch::nn::Sequential model(NBitLinear(NBitLinearOptions(8, 4)), NBitLinear(NBitLinearOptions(4, 3)));
    torch::nn::Sequential other(NBitLinear(NBitLinearOptions(8, 4)), NBitLinear(NBitLinearOptions(4, 3)));
    at::Tensor x = at::randn({3, 8});
    model->forward(x);
    model->eval();
    at::Tensor expected = model->forward(x);
    packLayers(*model, qweightOnly);
    std::stringstream stream;
    torch::save(model, stream);
    torch::load(other, stream);
    other->eval();
    EXPECT_TRUE(other->forward(x).equal(expected)) << qweightOnly;
  }
}

TEST(NBitLinear, RefusesTheStateOfAnotherLayerAndStaysAsItWas) {
  NBitLinear saved(NBitLinearOptions(8, 5)), layer(NBitLinearOptions(8, 4));
  at::Tensor before = layer->weight.clone();
  std::stringstream stream;
  torch::save(saved, stream);
  EXPECT_THAT(messageOf([&] { torch::load(layer, stream); }),
              HasSubstr("bq::nn::NBitLinear: expected 'weight' of type Float and shape [4, 8], the archive holds Float "
                        "[5, 8]"));
  EXPECT_TRUE(layer->weight.equal(before));
}

TEST(NBitLayers, ClonesAreIndependent) {
  torch::nn::Sequential model(NBitLinear(NBitLinearOptions(8, 6).packed_weight(true)),
                              BinaryLinear(BinaryLinearOptions(6, 5)), NBitLinear(NBitLinearOptions(5, 4)),
                              MPQLinear(MPQLinearOptions(4, 3)));
  at::Tensor x = at::randn({3, 8});
  model->forward(x);
  model->eval();
  at::Tensor expected = model->forward(x);
  auto copy = std::dynamic_pointer_cast<torch::nn::SequentialImpl>(model->clone());
  ASSERT_TRUE(copy);
  EXPECT_TRUE(copy->forward(x).equal(expected));
  at::NoGradGuard noGrad;
  for (at::Tensor &parameter : copy->parameters())
    parameter.zero_();
  EXPECT_TRUE(model->forward(x).equal(expected));
  EXPECT_TRUE(QuantizedParameter::is(copy->parameters()[0]));
}

TEST(NBitLayers, ChangesOfTypeKeepPackedCodes) {
  NBitLinear packed(NBitLinearOptions(8, 6).packed_weight(true));
  MPQLinear mpq(MPQLinearOptions(8, 6).group_size(4));
  torch::nn::Sequential model(packed, MPQLinear(MPQLinearOptions(6, 4)));
  model->to(torch::kHalf);
  mpq->to(torch::kHalf);
  EXPECT_EQ(packed->weight.scalar_type(), at::kByte);
  EXPECT_EQ(packed->scales.scalar_type(), at::kHalf);
  EXPECT_TRUE(QuantizedParameter::is(packed->weight));
  EXPECT_EQ(mpq->weight.scalar_type(), at::kByte);
  EXPECT_EQ(mpq->zeros.scalar_type(), at::kFloat);
  EXPECT_EQ(mpq(at::randn({2, 8}, at::kHalf)).scalar_type(), at::kHalf);
}

TEST(NBitLayers, HelpersReachTheRootAndAllBelow) {
  NBitLinear layer(NBitLinearOptions(8, 4));
  packLayers(*layer, true);
  EXPECT_EQ(layer->weight.numel(), 0);
  NBitConv2d conv(NBitConv2dOptions(2, 3, 3).upstream_compatible(true));
  torch::nn::Sequential inner(conv), outer(inner);
  prepareLayers(*outer);
  EXPECT_FLOAT_EQ(conv->scaleW.item<float>(), 2 * conv->weight.abs().mean().item<float>() / 5.6345f);
  prepareLayers(*outer);
}

TEST(NBitLayers, OptionsOutOfRangeAreNamed) {
  EXPECT_THAT(messageOf([] { NBitLinear(NBitLinearOptions(8, 4).a_bits(9)); }),
              HasSubstr("bq::nn::NBitLinear: a_bits is 9: use 1 to 8, or 16"));
  EXPECT_THAT(messageOf([] { NBitLinear(NBitLinearOptions(8, 4).w_bits(16)); }), HasSubstr("w_bits is 16: use 1 to 8"));
  EXPECT_THAT(messageOf([] { NBitLinear(NBitLinearOptions(0, 4)); }), HasSubstr("sizes must be positive"));
  EXPECT_THAT(messageOf([] { NBitConv2d(NBitConv2dOptions(6, 4, 3).groups(4)); }), HasSubstr("multiples of groups"));
  EXPECT_THAT(messageOf([] { NBitConv2d(NBitConv2dOptions(6, 4, 3).stride(0)); }), HasSubstr("must be positive"));
  EXPECT_THAT(messageOf([] { NBitLinear(NBitLinearOptions(8, 4).w_bits(1).packed_weight(true)); }),
              HasSubstr("packed_weight needs 2 to 8 w_bits"));
}

TEST(NBitLayers, InputsThatDoNotFitAreNamed) {
  NBitLinear linear(NBitLinearOptions(8, 4));
  EXPECT_THAT(messageOf([&] { linear(at::randn({8, 4})); }), HasSubstr("expected an input [..., 8], got [8, 4]"));
  EXPECT_THAT(messageOf([&] { linear(at::zeros({4, 8}, at::kInt)); }), HasSubstr("floating type"));
  NBitConv2d conv(NBitConv2dOptions(3, 4, 3));
  EXPECT_THAT(messageOf([&] { conv(at::randn({2, 4, 5, 5})); }), HasSubstr("expected an input [B, 3, H, W]"));
  EXPECT_THAT(messageOf([&] { conv(at::randn({2, 3, 2, 5})); }), HasSubstr("smaller than the kernel"));
}

TEST(BinaryLinear, HoldsOneBitAWeight) {
  BinaryLinear layer(BinaryLinearOptions(20, 9));
  EXPECT_EQ(layer->weight.sizes(), at::IntArrayRef({9, 3}));
  at::Tensor data = at::randn({9, 20});
  layer->setWeightData(data);
  at::Tensor centred = data - data.mean();
  EXPECT_TRUE(QuantizedParameter(layer->weight).dequantize().equal(centred.ge(0).to(at::kFloat) * 2 - 1));
  EXPECT_FLOAT_EQ(layer->scaleW.item<float>(), data.abs().mean().item<float>());
}
