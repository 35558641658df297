// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Quantized parameters: what they carry, their slot, and steps on them through the functions of bitorch-engine.
#include "quantizers/nbit/Parameters.h"
#include "quantizers/nbit/MpqLinear.h"
#include "quantizers/nbit/NBitLayers.h"
#include "quantizers/optim/GaLoreProjector.h"
#include "test/unit/MessageOf.h"

#include <gmock/gmock.h>
#include <torch/optim/adam.h>
#include <torch/utils.h>

using namespace bq::nn;
using bq::test::messageOf;
using testing::HasSubstr;

namespace {

struct Moments {
  at::Tensor s, l, step = at::zeros({1});
  explicit Moments(const QuantizedParameter &parameter)
      : s(at::zeros(parameter.momentShape())), l(at::zeros(parameter.momentShape())) {}
};

} // namespace

TEST(Parameters, TheTensorCarriesKindContentsAndGradient) {
  NBitLinear layer(NBitLinearOptions(12, 5).w_bits(3).packed_weight(true));
  ASSERT_TRUE(QuantizedParameter::is(layer->parameters()[0]));
  NBitLinearParameter parameter(layer->parameters()[0]);
  EXPECT_EQ(parameter.describe(), "NBitLinearParameter [5, 12] int3");
  EXPECT_TRUE(parameter.contents().scales.is_same(layer->scales));
  parameter.accumulateGrad(at::ones({5, 12}));
  parameter.accumulateGrad(at::ones({5, 12}));
  EXPECT_TRUE(layer->weight.grad().equal(at::full({5, 12}, 2.0)));
  layer->zero_grad();
  EXPECT_FALSE(parameter.grad().defined());
  layer->to(torch::kBFloat16);
  EXPECT_TRUE(QuantizedParameter::is(layer->weight)) << "new data keeps the contents";
  EXPECT_FALSE(QuantizedParameter::is(layer->weight.clone()));
}

TEST(Parameters, KindsAreChecked) {
  BinaryLinear layer(BinaryLinearOptions(12, 5));
  EXPECT_THAT(messageOf([&] { MPQWeightParameter parameter(layer->weight); }),
              HasSubstr("bq::nn::MPQWeightParameter: got a BinaryLinearParameter"));
  at::Tensor plain = at::zeros({5, 2}, at::kByte);
  EXPECT_THAT(messageOf([&] { NBitLinearParameter parameter(plain); }),
              HasSubstr("expected a quantized parameter, got an ordinary tensor of type Byte and shape [5, 2]"));
  EXPECT_THAT(messageOf([&] { qweightUpdateFn(plain, plain, plain, plain); }),
              HasSubstr("no quantized parameter has no rule: use an NBitLinearParameter"));
  ParameterContents contents;
  contents.shape = {5, 12};
  contents.format = *bq::Format::parse("int4");
  EXPECT_THAT(messageOf([&] { BinaryLinearParameter parameter(plain, contents); }),
              HasSubstr("format int4 is not of this kind of parameter: use sign"));
}

TEST(Parameters, UpdatesMoveTheWeightAgainstTheGradient) {
  torch::manual_seed(1);
  NBitConv2d layer(NBitConv2dOptions(3, 4, {2, 3}).w_bits(8).packed_weight(true));
  NBitConvParameter parameter(layer->weight);
  Moments moments(parameter);
  at::Tensor before = parameter.dequantize(), gradient = at::randn({4, 3, 2, 3});
  parameter.accumulateGrad(gradient);
  NBitConvParameter::update(layer->weight, moments.s, moments.l, moments.step, /*lr=*/0.02, /*weightDecay=*/0, 0.9,
                            0.99, 1e-8, at::kFloat, /*correctBias=*/true);
  EXPECT_EQ(moments.step.item<float>(), 1);
  // The first step with both corrections is lr times the sign. The new weight is rounded to its codes: half a step of
  // the scale, which 8 bits make at most |w|max / 127 / 2, before as after.
  double rounding = (before.abs().max().item<double>() + 0.02) / 127 / 2;
  at::Tensor moved = before - parameter.dequantize();
  EXPECT_LE((moved - 0.02 * gradient.sign()).abs().max().item<double>(), rounding + 1e-6);
}

TEST(Parameters, ZeroGradientsChangeNothing) {
  for (bool residual : {false, true}) {
    NBitLinear layer(NBitLinearOptions(40, 6).packed_weight(true));
    NBitLinearParameter parameter(layer->weight);
    parameter.contents().rounding = residual ? bq::Rounding::Residual : bq::Rounding::Nearest;
    Moments moments(parameter);
    at::Tensor before = parameter.dequantize();
    parameter.accumulateGrad(at::zeros({6, 40}));
    for (int step = 0; step < 5; ++step)
      qweightUpdateFn(layer->weight, moments.s, moments.l, moments.step, 0.1);
    // Scales are made again from the same greatest weight: two roundings.
    EXPECT_TRUE(at::allclose(parameter.dequantize(), before, 3 * 6e-8, 0));
    EXPECT_EQ(layer->weight.scalar_type(), at::kByte);
  }
}

TEST(Parameters, BinaryUpdatesFlipSignsWhereTheMeanSaysSo) {
  BinaryLinear layer(BinaryLinearOptions(16, 3));
  BinaryLinearParameter parameter(layer->weight);
  Moments moments(parameter);
  at::Tensor gradient = at::randn({3, 16});
  parameter.accumulateGrad(gradient);
  BinaryLinearParameter::update(layer->weight, moments.s, moments.l, moments.step, 0.1);
  EXPECT_TRUE(parameter.dequantize().equal(-gradient.sign()));
}

TEST(Parameters, ErrorsNameTheParameterAndChangeNothing) {
  MPQLinear layer(MPQLinearOptions(16, 4).group_size(8));
  MPQWeightParameter parameter(layer->weight);
  Moments moments(parameter);
  auto update = [&] { qweightUpdateFn(layer->weight, moments.s, moments.l, moments.step); };
  EXPECT_THAT(messageOf(update), HasSubstr("MPQWeightParameter [4, 16] uint4:g8 has no gradient"));
  at::Tensor before = layer->weight.clone(), gradient = at::randn({4, 16});
  gradient[1][2] = NAN;
  layer->weight.mutable_grad() = gradient;
  EXPECT_THAT(messageOf(update), HasSubstr("MPQWeightParameter [4, 16] uint4:g8"));
  layer->weight.mutable_grad() = at::randn({16, 4});
  EXPECT_THAT(messageOf(update), HasSubstr("has shape [16, 4], expected [4, 16]"));
  EXPECT_THAT(messageOf([&] { parameter.accumulateGrad(at::randn({16, 4})); }), HasSubstr("expected [4, 16]"));
  moments.s = at::zeros({4, 4});
  layer->weight.mutable_grad() = at::randn({4, 16});
  EXPECT_THAT(messageOf(update), HasSubstr("expected moments of shape [4, 16]"));
  EXPECT_TRUE(layer->weight.equal(before));
  EXPECT_EQ(moments.step.item<float>(), 0);
  EXPECT_EQ(moments.l.abs().max().item<float>(), 0);
}

TEST(Parameters, ProjectorsTakeTheSlotsGradientOrOneThatIsProjected) {
  for (bool given : {false, true}) {
    torch::manual_seed(2);
    MPQLinear layer(MPQLinearOptions(16, 8).w_bits(8));
    MPQWeightParameter parameter(layer->weight);
    bq::optim::GaLoreProjector projector(bq::optim::GaLoreOptions(2).scale(0.5));
    at::Tensor before = parameter.dequantize(), gradient = at::randn({8, 16}), step = at::zeros({1});
    at::Tensor s = at::zeros({2, 16}), l = at::zeros({2, 16});
    std::optional<at::Tensor> projected;
    if (given)
      projected = projector.project(gradient, 0);
    else
      layer->weight.mutable_grad() = gradient;
    qweightUpdateFn(layer->weight, s, l, step, 0.01, 0, 0.9, 0.99, 1e-8, at::kFloat, true, &projector, projected);
    at::Tensor low = projector.project(gradient, 1);
    at::Tensor expected = before - 0.01 * projector.projectBack(low.sign());
    double rounding = before.abs().max().item<double>() / 255 + 1e-5;
    EXPECT_LE((parameter.dequantize() - expected).abs().max().item<double>(), rounding) << given;
  }
}

TEST(Parameters, AnOptimizerThatDoesNotKnowThemFails) {
  NBitLinear layer(NBitLinearOptions(12, 5).packed_weight(true));
  layer(at::randn({3, 12})).sum().backward();
  torch::optim::Adam adam(layer->parameters());
  EXPECT_NE(messageOf([&] { adam.step(); }), "accepted");
}
