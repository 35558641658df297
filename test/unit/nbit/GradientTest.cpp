// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Outputs and gradients of the training path against LibTorch's autograd on a composition of its operators in double.
#include "quantizers/nbit/NBitLayers.h"
#include "test/unit/MessageOf.h"
#include "test/unit/nbit/Support.h"

#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/utils.h>

#include <cmath>

using namespace bq::nn;

namespace {

/// A layer's inputs and weight as leaves in double, and what the composition makes of them.
struct Composition {
  at::Tensor x, biasA, scaleA, weight;
  at::Tensor y;

  void backward(const at::Tensor &gradient) { torch::autograd::backward({y}, {gradient}); }
};

at::Tensor leaf(const at::Tensor &tensor) { return tensor.detach().to(at::kDouble).clone().requires_grad_(true); }

/// `hard` in value, `soft` in gradient.
at::Tensor straightThrough(const at::Tensor &hard, const at::Tensor &soft) { return soft + (hard - soft).detach(); }

/// s q(x) with the gradients of Esser et al. 2020, for one bit with that of the sign's scale.
at::Tensor fakeQuantized(const at::Tensor &x, const at::Tensor &scale, int64_t bits) {
  if (bits == 16)
    return x;
  double least = bits == 1 ? -1 : -std::pow(2, bits - 1), greatest = bits == 1 ? 1 : std::pow(2, bits - 1) - 1;
  double factor = 1 / std::sqrt(static_cast<double>(x.numel()) * greatest);
  at::Tensor s = straightThrough(scale, scale * factor);
  if (bits > 1) {
    at::Tensor ratio = (x / s).clamp(least, greatest);
    return s * straightThrough(ratio.round(), ratio);
  }
  at::Tensor sign = x.ge(0).to(at::kDouble) * 2 - 1, step = s.detach();
  at::Tensor soft = step * (x / step).clamp(-1, 1);
  return s * sign + soft - soft.detach();
}

/// The weight that the layer computes with, in double.
at::Tensor effectiveWeight(const at::Tensor &weight, const at::Tensor &scaleW) {
  if (!QuantizedParameter::is(weight))
    return {};
  at::Tensor decoded = QuantizedParameter(weight).dequantize().to(at::kDouble);
  return scaleW.defined() ? decoded * scaleW.to(at::kDouble) : decoded;
}

template <typename Layer, typename Product>
Composition compose(Layer &layer, const at::Tensor &x, int64_t aBits, int64_t wBits, const Product &product) {
  Composition c;
  c.x = leaf(x);
  c.biasA = leaf(layer->biasA);
  c.scaleA = leaf(layer->scaleA);
  at::Tensor w = effectiveWeight(layer->weight, layer->scaleW);
  if (w.defined()) {
    c.weight = leaf(w);
    w = c.weight;
  } else {
    c.weight = leaf(layer->weight);
    at::Tensor s = layer->scaleW.to(at::kDouble);
    at::Tensor q = wBits == 1 ? c.weight.ge(0).to(at::kDouble) * 2 - 1
                              : (c.weight / s).round().clamp(-std::pow(2, wBits - 1), std::pow(2, wBits - 1) - 1);
    w = straightThrough(q * s, c.weight);
  }
  at::Tensor bias = x.dim() == 4 ? c.biasA.view({1, -1, 1, 1}) : c.biasA;
  c.y = product(c.x + bias, w, c.scaleA);
  return c;
}

/// Sums of up to 300 terms in float: (300 + 4) roundings of the sum of magnitudes, which are below 200 here.
constexpr double floatTolerance = 304 * 6e-8 * 200;

void expectClose(const at::Tensor &value, const at::Tensor &expected, double tolerance, const std::string &what) {
  ASSERT_TRUE(value.defined()) << what;
  double worst = (value.to(at::kDouble) - expected).abs().max().item<double>();
  EXPECT_LE(worst, tolerance) << what;
}

template <typename Layer, typename Product>
void checkLayer(Layer layer, const at::Tensor &x, int64_t aBits, int64_t wBits, double tolerance,
                const Product &product) {
  std::string what = "activations " + std::to_string(aBits) + ", weight " + std::to_string(wBits);
  {
    at::NoGradGuard noGrad;
    layer->biasA.normal_(0, 0.1);
    layer->scaleA.fill_(aBits == 16 ? 1 : 3.0 / std::pow(2, aBits));
  }
  at::Tensor input = x.clone().requires_grad_(true);
  at::Tensor y = layer->forward(input);
  Composition expected = compose(layer, x, aBits, wBits, product);
  at::Tensor gradient = at::randn_like(y);
  torch::autograd::backward({y}, {gradient});
  expected.backward(gradient.to(at::kDouble));
  expectClose(y, expected.y, tolerance, what + ": y");
  expectClose(input.grad(), expected.x.grad(), tolerance, what + ": gradient of x");
  expectClose(layer->biasA.grad(), expected.biasA.grad(), tolerance, what + ": gradient of biasA");
  expectClose(layer->weight.grad(), expected.weight.grad(), tolerance, what + ": gradient of the weight");
  if (aBits < 16)
    expectClose(layer->scaleA.grad(), expected.scaleA.grad(), tolerance, what + ": gradient of scaleA");
}

} // namespace

TEST(NBitLinear, GradientsAreThoseOfTheCompositionInDouble) {
  bq::test::OneThread oneThread;
  torch::manual_seed(1);
  for (int64_t aBits : {1, 2, 3, 4, 5, 8, 16})
    for (int64_t wBits : {1, 2, 4, 7, 8}) {
      NBitLinear layer(NBitLinearOptions(19, 7).a_bits(aBits).w_bits(wBits).dtype(torch::kDouble));
      // The same operations in another order.
      checkLayer(layer, at::randn({2, 5, 19}, at::kDouble), aBits, wBits, 1e-12,
                 [&](auto x, auto w, auto s) { return at::linear(fakeQuantized(x, s, aBits), w); });
    }
}

TEST(NBitLinear, GradientsInFloat) {
  torch::manual_seed(2);
  for (int64_t bits : {1, 3, 4, 8}) {
    NBitLinear layer(NBitLinearOptions(40, 24).a_bits(bits).w_bits(bits));
    checkLayer(layer, at::randn({33, 40}), bits, bits, floatTolerance,
               [&](auto x, auto w, auto s) { return at::linear(fakeQuantized(x, s, bits), w); });
  }
}

TEST(NBitLinear, PackedWeightGetsItsGradientIntoItsSlot) {
  torch::manual_seed(3);
  NBitLinear layer(NBitLinearOptions(40, 24).a_bits(4).w_bits(3).packed_weight(true));
  EXPECT_EQ(layer->weight.scalar_type(), at::kByte);
  checkLayer(layer, at::randn({33, 40}), 4, 3, floatTolerance,
             [&](auto x, auto w, auto s) { return at::linear(fakeQuantized(x, s, 4), w); });
}

TEST(BinaryLinear, GradientsAreThoseOfTheCompositionInDouble) {
  torch::manual_seed(4);
  BinaryLinear layer(BinaryLinearOptions(40, 24));
  checkLayer(layer, at::randn({33, 40}), 1, 1, floatTolerance,
             [&](auto x, auto w, auto s) { return at::linear(fakeQuantized(x, s, 1), w); });
}

TEST(NBitConv2d, GradientsAreThoseOfTheCompositionInDouble) {
  torch::manual_seed(5);
  for (int64_t bits : {2, 4, 8, 16})
    for (int64_t groups : {1, 3}) {
      NBitConv2d layer(NBitConv2dOptions(6, 9, {3, 2})
                           .stride({2, 1})
                           .padding({1, 2})
                           .dilation({1, 2})
                           .groups(groups)
                           .a_bits(bits)
                           .w_bits(std::min<int64_t>(bits, 8))
                           .dtype(torch::kDouble));
      checkLayer(layer, at::randn({2, 6, 7, 8}, at::kDouble), bits, std::min<int64_t>(bits, 8), 1e-11,
                 [&](auto x, auto w, auto s) {
                   return at::conv2d(fakeQuantized(x, s, bits), w, {}, {2, 1}, at::IntArrayRef({1, 2}), {1, 2}, groups);
                 });
    }
}

TEST(BinaryConv2d, PaddingIsMinusOneForwardAndBackward) {
  torch::manual_seed(6);
  BinaryConv2d layer(BinaryConv2dOptions(6, 8, 3).padding(1).stride(2));
  checkLayer(layer, at::randn({2, 6, 7, 8}), 1, 1, floatTolerance, [&](auto x, auto w, auto s) {
    return at::conv2d(fakeQuantized(at::constant_pad_nd(x, {1, 1, 1, 1}, -1), s, 1), w, {}, 2);
  });
}

TEST(NBitLayers, GradientOfTheScaleCountsClippedInputs) {
  // All inputs clipped: each counts with the greatest integer, times the gradient, over sqrt(n greatest).
  NBitLinear layer(NBitLinearOptions(4, 1).a_bits(4).w_bits(8));
  at::NoGradGuard noGrad;
  layer->scaleA.fill_(0.01);
  layer->setWeightData(at::full({1, 4}, 0.5));
  at::AutoGradMode enable(true);
  at::Tensor y = layer(at::full({3, 4}, 5.0));
  y.sum().backward();
  at::Tensor weight = layer->scaleW * (0.5 / layer->scaleW).round().clamp_max(127);
  double expected = 12 * 7 * weight.item<double>() / std::sqrt(12 * 7.0);
  EXPECT_NEAR(layer->scaleA.grad().item<double>(), expected, 1e-5 * expected);
}

TEST(NBitLayers, GradientByFiniteDifferencesWhereSmooth) {
  // In activations of 16 bits y is linear, so a difference quotient is exact but for rounding.
  torch::manual_seed(7);
  NBitLinear layer(NBitLinearOptions(6, 5).a_bits(16).w_bits(4).dtype(torch::kDouble));
  at::Tensor x = at::randn({3, 6}, at::kDouble).requires_grad_(true), direction = at::randn({3, 6}, at::kDouble);
  layer(x).square().sum().backward();
  at::NoGradGuard noGrad;
  auto loss = [&](double step) { return layer(x + step * direction).square().sum().item<double>(); };
  double slope = (loss(1e-4) - loss(-1e-4)) / 2e-4;
  EXPECT_NEAR((x.grad() * direction).sum().item<double>(), slope, 1e-7 * (1 + std::abs(slope)));
}

TEST(NBitLayers, GradientsOfSecondOrderAreRefused) {
  NBitLinear layer(NBitLinearOptions(6, 5));
  at::Tensor x = at::randn({3, 6}).requires_grad_(true);
  EXPECT_THAT(bq::test::messageOf(
                  [&] { torch::autograd::grad({layer(x).sum()}, {x}, {}, std::nullopt, /*create_graph=*/true); }),
              testing::HasSubstr("gradients of second order do not exist"));
}

TEST(NBitLayers, AskingForOneGradientLeavesTheSlotOfThePackedWeightAlone) {
  NBitLinear layer(NBitLinearOptions(6, 5).packed_weight(true));
  at::Tensor x = at::randn({3, 6}).requires_grad_(true);
  at::Tensor gradient = torch::autograd::grad({layer(x).sum()}, {x})[0];
  EXPECT_EQ(gradient.sizes(), x.sizes());
  EXPECT_FALSE(layer->weight.grad().defined());
}
