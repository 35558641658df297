// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Convolutions from C++: the module, activations with one scale, gradients with respect to weights.
#include "quantizers/FakeQuantize.h"
#include "quantizers/InputGradient.h"
#include "quantizers/Modules.h"
#include "quantizers/StaticActivations.h"
#include "test/unit/MessageOf.h"

#include <gmock/gmock.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/serialize.h>

#include <sstream>

using namespace bq;
using namespace bq::nn;
using bq::test::messageOf;
using testing::HasSubstr;

namespace {

/// Sums of at most 144 terms in another order: 150 roundings of magnitudes below 1e2.
constexpr double sumTolerance = 150 * 6e-8 * 1e2;

torch::nn::Conv2d makeConv() {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(32, 6, {3, 2}).stride({2, 1}).padding({1, 0}).groups(2));
}

} // namespace

TEST(QuantizedConv2d, ComputesWithTheDecodedWeight) {
  for (const char *format : {"int4:g16", "uint3:g8", "nf4", "sign"}) {
    torch::nn::Conv2d plain = makeConv();
    QuantizedConv2d layer(QuantizedConv2dImpl::fromFloat(plain, format, "f32", "gelu"));
    const at::Tensor x = at::randn({2, 32, 7, 6});
    const at::Tensor expected = at::gelu(at::conv2d(x, layer->dequantize(), plain->bias, {2, 1}, {1, 0}, 1, 2));
    EXPECT_TRUE(at::allclose(layer(x), expected, 0, sumTolerance)) << format;
    const at::Tensor last = layer(x.contiguous(at::MemoryFormat::ChannelsLast));
    EXPECT_TRUE(last.is_contiguous(at::MemoryFormat::ChannelsLast)) << format;
    EXPECT_TRUE(at::equal(last, layer(x))) << format;
  }
}

TEST(QuantizedConv2d, TrainsItsBiasAndItsInput) {
  torch::nn::Conv2d plain = makeConv();
  QuantizedConv2d layer(QuantizedConv2dImpl::fromFloat(plain, "uint4:g16"));
  at::Tensor x = at::randn({2, 32, 7, 6}).requires_grad_(), other = x.detach().clone().requires_grad_();
  layer(x).square().sum().backward();
  at::conv2d(other, layer->dequantize(), plain->bias, {2, 1}, {1, 0}, 1, 2).square().sum().backward();
  EXPECT_TRUE(at::allclose(x.grad(), other.grad(), 0, 10 * sumTolerance));
  EXPECT_TRUE(at::allclose(layer->bias.grad(), plain->bias.grad(), 0, 10 * sumTolerance));
}

TEST(QuantizedConv2d, SmallGroupsForwardAndBackward) {
  struct Groups {
    int64_t count, outputs, channels;
  };
  for (const auto &[count, outputs, channels] : {Groups{37, 1, 1}, Groups{16, 2, 1}, Groups{9, 4, 4}, Groups{4, 3, 1}})
    for (int64_t stride : {1, 2})
      for (const char *format : {"int4", "uint3:g4", "nf4"}) {
        torch::nn::Conv2d plain(torch::nn::Conv2dOptions(count * channels, count * outputs, 3)
                                    .stride(stride)
                                    .padding({1, 2})
                                    .dilation({1, 2})
                                    .groups(count));
        QuantizedConv2d layer(QuantizedConv2dImpl::fromFloat(plain, format));
        at::Tensor x = at::randn({2, count * channels, 11, 12}).requires_grad_();
        at::Tensor other = x.detach().clone().requires_grad_();
        const at::Tensor y = layer(x);
        const at::Tensor expected = at::conv2d(other, layer->dequantize(), plain->bias, stride, {1, 2}, {1, 2}, count);
        EXPECT_TRUE(at::allclose(y, expected, 0, sumTolerance)) << format << " " << count << " " << stride;
        y.square().sum().backward();
        expected.square().sum().backward();
        EXPECT_TRUE(at::allclose(x.grad(), other.grad(), 0, 10 * sumTolerance))
            << format << " " << count << " " << stride;
      }
}

TEST(QuantizedConv2d, SavesLoadsClonesAndPrints) {
  QuantizedConv2d layer(QuantizedConv2dImpl::fromFloat(makeConv(), "uint4:g16", "i16"));
  const at::Tensor x = at::randn({1, 32, 7, 6}), y = layer(x);
  std::stringstream stream;
  torch::save(layer, stream);
  QuantizedConv2d other(
      QuantizedConv2dOptions(32, 6, {3, 2}, "uint4:g16").stride({2, 1}).padding({1, 0}).groups(2).compute("i16"));
  EXPECT_TRUE(at::equal(other(x), at::zeros_like(y))) << "a fresh module's weight is zero";
  torch::load(other, stream);
  EXPECT_TRUE(at::equal(other(x), y));
  torch::nn::Sequential model(layer);
  auto copy = std::dynamic_pointer_cast<torch::nn::SequentialImpl>(model->clone());
  EXPECT_TRUE(at::equal(copy->forward(x), y));
  model->to(at::kBFloat16);
  EXPECT_EQ(layer->codes.scalar_type(), at::kByte);
  EXPECT_EQ(model->forward(x.to(at::kBFloat16)).scalar_type(), at::kBFloat16);
  std::ostringstream text;
  text << *layer;
  EXPECT_EQ(text.str(), "bq::nn::QuantizedConv2d(32, 6, kernel_size=[3, 2], stride=[2, 1], padding=[1, 0], "
                        "dilation=[1, 1], groups=2, format=uint4:g16, bias=true, compute=i16, activation=none)");
}

TEST(QuantizedConv2d, RefusesWhatItCannotDo) {
  EXPECT_THAT(messageOf([] { QuantizedConv2d(QuantizedConv2dOptions(6, 4, 3, "int4").groups(4)); }),
              HasSubstr("'groups' is 4: use a divisor of the 6 input channels"));
  EXPECT_THAT(messageOf([] { QuantizedConv2d(QuantizedConv2dOptions(6, 4, 3, "int4").stride(0)); }),
              HasSubstr("'stride' is [0, 0]"));
  EXPECT_THAT(messageOf([] { QuantizedConv2d(QuantizedConv2dOptions(6, 4, 3, "int12")); }),
              HasSubstr("'int12' has 12 bits"));
  torch::nn::Conv2d reflected(torch::nn::Conv2dOptions(4, 4, 3).padding(1).padding_mode(torch::kReflect));
  EXPECT_THAT(messageOf([&] { QuantizedConv2dImpl::fromFloat(reflected, "int4"); }), HasSubstr("pads with zeros"));
}

/// Evaluation on packed kernels is the training path: integers of activations times integers of weights, exactly.
TEST(StaticActivations, AreThoseOfFakeQuantize) {
  const at::Tensor scale = at::full({}, 0.0625), x = at::randn({3, 32, 6, 5});
  for (int bits : {1, 2, 4, 8})
    for (const char *text : {"int4", "int8:g16", "uint1"}) {
      const Format format = *Format::parse(text);
      const auto weight = PackedWeight::quantize(at::randn({6, 32, 3, 3}), format);
      // With a scale that is a power of two, and weights of few bits, sums in f32 are exact too.
      weight->scales().fill_(0.5);
      const at::Tensor rounded = fakeQuantize(x, scale, std::nullopt, bits);
      const at::Tensor padding = at::full({}, bits == 1 ? -1.0 : 0.0) * scale;
      const at::Tensor padded = at::constant_pad_nd(rounded, {1, 1, 1, 1}, padding.item());
      const at::Tensor expected = at::conv2d(padded.to(at::kDouble), weight->dequantize().to(at::kDouble));
      const StaticActivations activations{scale, bits, bits == 1 ? -1 : 0};
      EXPECT_TRUE(at::equal(conv2d(*weight, x, std::nullopt, {1, 1, 1, 1}, activations).to(at::kDouble), expected))
          << text << " " << bits;

      const auto matrix = PackedWeight::quantize(at::randn({7, 5}), format);
      matrix->scales().fill_(0.5);
      EXPECT_TRUE(at::equal(linear(*matrix, x, std::nullopt, activations).to(at::kDouble),
                            at::matmul(rounded.to(at::kDouble), matrix->dequantize().to(at::kDouble).t())))
          << text << " " << bits;
    }
}

TEST(StaticActivations, RefuseWhatDoesNotFit) {
  const auto weight = PackedWeight::quantize(at::randn({7, 5}), *Format::parse("int4"));
  const at::Tensor x = at::randn({2, 5}), scale = at::ones({});
  EXPECT_THAT(messageOf([&] { linear(*weight, x, std::nullopt, {scale, 9}); }),
              HasSubstr("'activation_bits' is 9: use 1 to 8"));
  EXPECT_THAT(messageOf([&] { linear(*weight, x, std::nullopt, {scale, 4, 1}); }), HasSubstr("'pad_code' is 1: use 0"));
  EXPECT_THAT(messageOf([&] { linear(*weight, x, std::nullopt, {at::ones({2}), 4}); }),
              HasSubstr("one floating point"));
  EXPECT_THAT(messageOf([&] { linear(*weight, at::randn({2, 6}), std::nullopt, {scale, 4}); }),
              HasSubstr("'x' [2, 6] does not fit the weight [7, 5]"));
}

TEST(StaticActivations, AreMethodsInTorchScript) {
  torch::jit::Module module("Layers");
  const auto type = c10::getCustomClassType<c10::intrusive_ptr<PackedWeight>>();
  const auto filter = PackedWeight::quantize(at::randn({6, 8, 3, 3}), *Format::parse("int4"));
  const auto matrix = PackedWeight::quantize(at::randn({7, 6}), *Format::parse("int8"));
  module.register_attribute("filter", type, filter);
  module.register_attribute("matrix", type, matrix);
  module.register_buffer("scale", at::full({}, 0.125));
  module.define(R"(
def forward(self, x):
  y = self.filter.conv2d_static(x, self.scale, 1, None, [2, 2], [1, 1], pad_code=-1)
  return self.matrix.linear_static(torch.mean(y, [2, 3]), self.scale, 4)
)");
  const at::Tensor x = at::randn({3, 8, 6, 5}), scale = at::full({}, 0.125);
  const at::Tensor y = conv2d(*filter, x, std::nullopt, {2, 1, 1, 1}, {scale, 1, -1});
  EXPECT_TRUE(at::equal(module.forward({x}).toTensor(), linear(*matrix, y.mean({2, 3}), std::nullopt, {scale, 4})));
}

TEST(WeightGradients, AreThoseOfLibTorch) {
  at::Tensor weight = at::randn({6, 16, 3, 2}, at::kDouble).requires_grad_(), x = at::randn({2, 32, 7, 6}, at::kDouble);
  const at::Tensor y = at::conv2d(x, weight, {}, {2, 1}, {1, 0}, 1, 2), upstream = at::randn_like(y);
  y.backward(upstream);
  EXPECT_TRUE(
      at::allclose(conv2dWeightGradient(upstream, x, weight.sizes(), {2, 1}, {1, 0}, {1, 1}, 2), weight.grad()));

  at::Tensor matrix = at::randn({6, 16}, at::kDouble).requires_grad_();
  const at::Tensor rows = at::randn({2, 3, 16}, at::kDouble), sums = at::linear(rows, matrix);
  const at::Tensor outer = at::randn_like(sums);
  sums.backward(outer);
  EXPECT_TRUE(at::allclose(linearWeightGradient(outer, rows), matrix.grad()));
}
