// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weights of the format `mixed`: their bytes, DiffQ's arithmetic, damaged streams, and layers that run on them.
#include "quantizers/Mixed.h"

#include "quantizers/Modules.h"
#include "quantizers/Quantize.h"
#include "test/unit/MessageOf.h"

#include <ATen/ops/conv2d.h>
#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/serialize.h>

#include <sstream>

using namespace bq;
using at::Tensor;
using bq::test::messageOf;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

Tensor randomBits(int64_t groups, int64_t least, int64_t greatest) {
  return at::randint(least, greatest + 1, {groups}, at::kLong).to(at::kByte);
}

MixedWeight randomMixed(at::IntArrayRef shape, int64_t groupSize, int64_t least = 1, int64_t greatest = 8) {
  const Tensor weight = at::randn(shape);
  const int64_t groups = groupSize ? (weight.numel() + groupSize - 1) / groupSize : 1;
  return quantizeMixed(weight, randomBits(groups, least, greatest), groupSize);
}

/// |sum| <= K |x| |W| with |x|, |W| below 6, rounded K times.
double sumTolerance(int64_t k) { return static_cast<double>(k * k) * 36 * 0x1p-24; }

std::vector<uint8_t> bytesOf(const Tensor &codes) {
  return {codes.const_data_ptr<uint8_t>(), codes.const_data_ptr<uint8_t>() + codes.numel()};
}

} // namespace

TEST(Mixed, BytesAreThoseOfTheFormat) {
  // Groups of 3 weights with 2, 1 and 4 bits; the last has 2 weights. m = 1, f = 2.
  const Tensor levels = at::tensor({3, 0, 2, 1, 1, 0, 9, 15, 0}, at::kShort).view({3, 3});
  const MixedWeight weight = packMixed(levels, at::tensor({2, 1, 4}, at::kByte), -1, 1, {8});
  EXPECT_THAT(bytesOf(weight.codes), ElementsAre(8, 0, 0, 0, 0, 0, 0, 0, 1, 2,
                                                 0b110001,   // widths less m: 1, 0, 3
                                                 0b011,      // 1 bit: 1, 1, 0
                                                 0b100011,   // 2 bits: 3, 0, 2
                                                 0b11111001) // 4 bits: 9, 15
  );
  EXPECT_EQ(weight.format(), "mixed:g3");
  const MixedLevels back = unpackMixed(weight);
  EXPECT_TRUE(back.levels.equal(levels));
  EXPECT_TRUE(back.bits.equal(at::tensor({2, 1, 4}, at::kByte)));
  EXPECT_EQ(back.min, -1);
  EXPECT_EQ(back.max, 1);
}

TEST(Mixed, EveryWidthAndGroupSizeComesBack) {
  for (int64_t groupSize : {0, 1, 3, 7, 8, 16, 100}) {
    const int64_t count = 777, size = groupSize ? groupSize : count, groups = (count + size - 1) / size;
    const Tensor bits = randomBits(groups, 1, 15);
    Tensor levels = at::randint(0, 1 << 15, {groups, size}, at::kLong);
    levels = levels.bitwise_and(at::pow(2, bits.to(at::kLong)).unsqueeze(1) - 1).to(at::kShort);
    levels.view(-1).slice(0, count).zero_();
    const MixedLevels back = unpackMixed(packMixed(levels, bits, 0, 1, {count}));
    EXPECT_TRUE(back.levels.equal(levels)) << groupSize;
    EXPECT_TRUE(back.bits.equal(bits)) << groupSize;
  }
}

TEST(Mixed, RoundsAsDiffQ) {
  const Tensor weight = at::randn({24, 32}), bits = randomBits(96, 1, 15);
  const MixedWeight mixed = quantizeMixed(weight, bits, 8);
  const Tensor n = at::pow(2.0f, bits.to(at::kFloat)).sub(1).unsqueeze(1);
  const float least = weight.min().item<float>(), greatest = weight.max().item<float>();
  const Tensor levels = weight.view({96, 8}).sub(least).div(at::scalar_tensor(greatest - least)).div(n.reciprocal());
  EXPECT_TRUE(unpackMixed(mixed).levels.equal(levels.round().to(at::kShort)));
  const Tensor values = levels.round().mul(n.reciprocal()).mul(greatest - least).add(least);
  EXPECT_TRUE(dequantizeMixed(mixed).equal(values.view({24, 32})));
  EXPECT_TRUE(packedWeight(mixed)->dequantize().equal(values.view({24, 32})));
}

TEST(Mixed, AConstantWeightStaysWhatItIs) {
  const Tensor weight = at::full({4, 8}, 0.3);
  EXPECT_TRUE(dequantizeMixed(quantizeMixed(weight, at::full({4}, 5, at::kByte), 8)).equal(weight));
}

TEST(Mixed, RefusesWhatDoesNotFit) {
  const Tensor bits = at::full({4}, 5, at::kByte);
  Tensor weight = at::randn({4, 8});
  EXPECT_THAT(messageOf([&] { quantizeMixed(weight, bits.slice(0, 1), 8); }),
              HasSubstr("expected 'bits' of type Byte [4]"));
  EXPECT_THAT(messageOf([&] { quantizeMixed(weight, at::full({4}, 16, at::kByte), 8); }),
              HasSubstr("group 0 has 16 bits: use 1 to 15"));
  weight[1][2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(messageOf([&] { quantizeMixed(weight, bits, 8); }), HasSubstr("holds NaN or infinity"));
  EXPECT_THAT(messageOf([&] { packMixed(at::full({4, 8}, 32, at::kShort), bits, 0, 1, {4, 8}); }),
              HasSubstr("level 32 of group 0 does not fit its 5 bits"));
  EXPECT_THAT(messageOf([&] { quantize(weight.nan_to_num(), *Format::parse("mixed:g8")); }),
              HasSubstr("the bits of its groups come from the caller"));
}

TEST(Mixed, RefusesDamagedCodes) {
  const MixedWeight weight = randomMixed({4, 8}, 8, 2, 15);
  auto with = [&](const Tensor &codes) {
    return messageOf([&] { packedWeight({codes, weight.scales, weight.shape, weight.groupSize}); });
  };
  EXPECT_THAT(with(weight.codes.slice(0, 0, weight.codes.numel() - 1)), HasSubstr("the widths of their groups make"));
  EXPECT_THAT(with(weight.codes.slice(0, 0, 9)), HasSubstr("10 bytes or more"));
  EXPECT_THAT(with(at::cat({weight.codes, weight.codes.slice(0, 0, 1)})), HasSubstr("the widths of their groups make"));
  Tensor codes = weight.codes.clone();
  codes[0] = 31;
  EXPECT_THAT(with(codes), HasSubstr("'codes' hold 31 weights, which are no rows of 8"));
  codes[0] = 40;
  EXPECT_THAT(with(codes), HasSubstr("40 weights, expected 32"));
  codes = weight.codes.clone();
  codes[8] = 15;
  EXPECT_THAT(with(codes), HasSubstr("widths are 1 to 15"));
}

TEST(Mixed, LinearLayersRunOnTheCodes) {
  for (int64_t groupSize : {0, 7, 8, 32, 128}) {
    const int64_t k = 256;
    const MixedWeight weight = randomMixed({48, k}, groupSize, 1, 15);
    const auto packed = packedWeight(weight);
    for (int64_t m : {1, 3, 20}) {
      const Tensor x = at::randn({m, k}), bias = at::randn({48});
      const Tensor expected = at::linear(x, dequantizeMixed(weight), bias);
      EXPECT_TRUE(at::allclose(packed->linear(x, bias), expected, 0, sumTolerance(k))) << groupSize << " " << m;
      // Half a step of max|x| / 16256 times sum |W|.
      const double half =
          0.5 / 16256 * x.abs().max().item<double>() * dequantizeMixed(weight).abs().sum(1).max().item<double>();
      EXPECT_TRUE(at::allclose(packed->linear(x, bias, Compute::I16), expected, 0, half + sumTolerance(k)))
          << groupSize << " " << m;
    }
    const Tensor indices = at::tensor({47, 0, 5}, at::kLong);
    EXPECT_TRUE(packed->embedding(indices).equal(dequantizeMixed(weight).index_select(0, indices)));
  }
}

TEST(Mixed, LongRowsAreSummedStepByStepWithoutOverflow) {
  // With steps of 64 codes taken by four sums in turn, 258 of a row: each fourth has activations, so that they meet one
  // sum in every other row, and these rows have the greatest codes. Two of them are more than 32 bits hold.
  const int64_t k = 258 * 64;
  const Tensor x = at::arange(k).div(64, "floor").remainder(4).eq(0).to(at::kFloat).view({1, k});
  const Tensor weight = at::arange(16).remainder(2).eq(0).to(at::kFloat).view({16, 1}).expand({16, k}).contiguous();
  const auto packed = packedWeight(quantizeMixed(weight, at::full({weight.numel() / 128}, 8, at::kByte), 128));
  const Tensor y = packed->linear(x, std::nullopt, Compute::I16), expected = at::linear(x, weight);
  EXPECT_TRUE(at::allclose(y, expected, 0, x.sum().item<double>() * 0x1p-20)) << y << expected;
}

TEST(Mixed, GradientsReachTheInput) {
  const MixedWeight weight = randomMixed({12, 64}, 32);
  const Tensor x = at::randn({3, 64}).requires_grad_();
  packedWeight(weight)->linear(x, std::nullopt).sum().backward();
  EXPECT_TRUE(at::allclose(x.grad(), dequantizeMixed(weight).sum(0).expand({3, 64}), 0, sumTolerance(12)));
}

TEST(Mixed, ConvolutionsKeepTheOrderOfTheWeight) {
  for (int64_t groups : {1, 2, 8})
    for (int64_t groupSize : {8, 9, 64}) {
      const MixedWeight weight = randomMixed({16, 8 / groups, 3, 3}, groupSize, 1, 9);
      const Tensor x = at::randn({2, 8, 9, 7}).requires_grad_(), bias = at::randn({16});
      const Tensor expected = at::conv2d(x, dequantizeMixed(weight), bias, {2, 1}, {1, 1}, {1, 1}, groups);
      const Tensor y = packedWeight(weight)->conv2d(x, bias, {2, 1}, {1, 1}, {1, 1}, groups);
      EXPECT_TRUE(at::allclose(y, expected, 0, sumTolerance(72))) << groups << " " << groupSize;
      const Tensor gradient = at::randn_like(y);
      const Tensor dx = torch::autograd::grad({y}, {x}, {gradient})[0];
      EXPECT_TRUE(at::allclose(dx, torch::autograd::grad({expected}, {x}, {gradient})[0], 0, sumTolerance(144)));
    }
}

TEST(Mixed, TakesTheMemoryOfTheFile) {
  const MixedWeight weight = randomMixed({512, 1024}, 32, 2, 6);
  const auto packed = packedWeight(weight);
  packed->linear(at::randn({1, 1024}), std::nullopt, Compute::I8);
  EXPECT_LE(packed->residentBytes(), weight.bytes() * 101 / 100 + 4096);
}

TEST(Mixed, LayersAreSavedAndLoaded) {
  torch::nn::Linear plain(64, 16);
  const MixedWeight weight = quantizeMixed(plain->weight, randomBits(32, 2, 8), 32);
  nn::QuantizedLinear layer(nn::QuantizedLinearImpl::fromMixed(plain, weight, "i16"));
  const Tensor x = at::randn({3, 64}), y = layer(x);
  std::stringstream stream;
  torch::save(layer, stream);
  nn::QuantizedLinear loaded(nn::QuantizedLinearOptions(64, 16, "mixed:g32").compute("i16"));
  torch::load(loaded, stream);
  EXPECT_TRUE(loaded(x).equal(y));
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(4, 8, 3).padding(1));
  const MixedWeight kernel = quantizeMixed(conv->weight, randomBits(36, 2, 8), 8);
  nn::QuantizedConv2d convolution(nn::QuantizedConv2dImpl::fromMixed(conv, kernel));
  const Tensor image = at::randn({1, 4, 5, 5});
  EXPECT_TRUE(at::allclose(convolution(image), at::conv2d(image, dequantizeMixed(kernel), conv->bias, 1, 1), 0,
                           sumTolerance(36)));
}

TEST(Mixed, ModelsTakeGivenWeights) {
  auto unit = std::make_shared<torch::jit::CompilationUnit>();
  auto module = [&](const std::string &name) {
    return torch::jit::Module(c10::QualifiedName("__torch__." + name), unit, true);
  };
  auto linear = [&](int64_t n, int64_t k) {
    torch::jit::Module layer = module("Linear");
    layer.register_parameter("weight", at::randn({n, k}), false);
    layer.define("def forward(self, x):\n  return torch.linear(x, self.weight)\n");
    return layer;
  };
  torch::jit::Module model = module("Model");
  model.register_module("up", linear(32, 24));
  model.register_module("down", linear(8, 32));
  model.define("def forward(self, x):\n  return self.down.forward(torch.relu(self.up.forward(x)))\n");
  const Tensor up = model.attr("up").toModule().attr("weight").toTensor(), x = at::randn({4, 24});
  const Tensor down = model.attr("down").toModule().attr("weight").toTensor();
  const MixedWeight weight = quantizeMixed(up, randomBits(96, 2, 8), 8);
  const ConvertReport report = convert(model, mixedConversion({{"up", weight}}));
  ASSERT_EQ(report.layers.size(), 1u);
  EXPECT_EQ(report.layers[0].bytes, weight.bytes());
  std::stringstream stream;
  model.save(stream);
  torch::jit::Module loaded = torch::jit::load(stream);
  const Tensor expected = at::linear(at::relu(at::linear(x, dequantizeMixed(weight))), down);
  EXPECT_TRUE(at::allclose(loaded.forward({x}).toTensor(), expected, 0, sumTolerance(56) * 10));
}
