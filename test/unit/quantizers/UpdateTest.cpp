// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Update.h"
#include "quantizers/Quantize.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

using namespace bq;

namespace {

void expectError(const std::function<void()> &call, const std::string &text) {
  try {
    call();
    FAIL() << "no error, expected: " << text;
  } catch (const c10::Error &error) {
    EXPECT_THAT(std::string(error.what_without_backtrace()), testing::HasSubstr(text));
  }
}

PackedParameter packed(const at::Tensor &weight, const char *format) {
  PackedParameter result;
  result.format = *Format::parse(format);
  std::tie(result.codes, result.scales, result.zeros) = quantize(weight, result.format);
  if (!result.format.hasZeroPoints())
    result.zeros = at::Tensor();
  result.residual = at::zeros(weight.sizes(), at::kChar);
  return result;
}

} // namespace

// With the epsilon and the rate that the README gives, AdamW of LibTorch. Each of 20 steps rounds ten times or so, by
// 2^-24 of numbers below 1.
TEST(Update, IsAdamWOfLibTorch) {
  at::manual_seed(1);
  at::Tensor weight = at::randn({37, 53}), theirs = weight.clone(), m = at::zeros_like(weight),
             v = at::zeros_like(weight);
  const double lr = 1e-2, decay = 0.1, beta1 = 0.9, beta2 = 0.99, epsilon = 1e-6, keep = 1 - lr * decay;
  const Moments moments = Moments::zeros(MomentType::F32, UpdateRule::Adam, weight.sizes(), false, at::kCPU);
  bq::UpdateOptions options;
  options.lr = lr / keep;
  options.weightDecay = decay * keep;
  options.beta1 = beta1, options.beta2 = beta2;
  options.biasCorrection = true;
  for (int64_t step = 1; step <= 20; ++step) {
    at::Tensor gradient = at::randn_like(weight);
    options.epsilon = epsilon * std::sqrt(1 - std::pow(beta2, static_cast<double>(step)));
    update(weight, gradient, moments, step, options);
    at::_fused_adamw_({theirs}, {gradient}, {m}, {v}, {}, {at::full({}, step, at::kFloat)}, lr, beta1, beta2, decay,
                      epsilon, false, false);
  }
  EXPECT_LT((weight - theirs).abs().max().item<double>(), 20 * 10 * 4 * std::ldexp(1, -24));
}

// The same problem with moments of every type: 8 bits and 16 bits come as near to the minimum as f32 does, within the
// length of the last steps.
TEST(Update, MomentsOfFewBitsFollowThoseOfF32) {
  const at::Tensor target = [] {
    at::manual_seed(2);
    return at::randn({64, 300});
  }();
  // Curvatures from 1e-3 to 1: gradients of very different sizes in one block.
  const at::Tensor curvature = at::pow(10, at::rand({64, 300}) * 3 - 3);
  auto train = [&](MomentType type) {
    at::Tensor weight = at::zeros_like(target);
    const Moments moments = Moments::zeros(type, UpdateRule::Adam, weight.sizes(), false, at::kCPU);
    bq::UpdateOptions options;
    options.beta1 = 0.9, options.beta2 = 0.999, options.biasCorrection = true;
    for (int64_t step = 1; step <= 600; ++step) {
      // All steps together are 6 long, farther than any target is away.
      options.lr = 2e-2 * (1 - static_cast<double>(step - 1) / 600);
      update(weight, curvature * (weight - target), moments, step, options);
    }
    return (curvature * (weight - target).square()).mean().item<double>();
  };
  const double start = (curvature * target.square()).mean().item<double>(), f32 = train(MomentType::F32);
  EXPECT_LT(f32, 1e-3 * start);
  for (MomentType type : {MomentType::F16, MomentType::BF16, MomentType::Block8})
    EXPECT_LT(train(type), f32 + 1e-3 * start) << str(type);
}

TEST(Update, AGradientThatTheCallerHasLookedAtGivesTheSameStep) {
  at::manual_seed(7);
  const at::Tensor start = at::randn({5, 70}), gradient = at::randn({5, 70});
  auto step = [&](bool isKnown) {
    at::Tensor weight = start.clone();
    const Moments moments = Moments::zeros(MomentType::F32, UpdateRule::Adam, weight.sizes(), false, at::kCPU);
    bq::UpdateOptions options;
    options.gradientIsFinite = isKnown;
    update(weight, gradient, moments, 1, options);
    return weight;
  };
  EXPECT_TRUE(at::equal(step(true), step(false)));
  EXPECT_FALSE(at::equal(step(true), start));
}

TEST(Update, APackedWeightStartsFromItsValueAndStaysWithoutGradient) {
  at::manual_seed(3);
  const at::Tensor weight = at::randn({8, 96});
  for (const char *format : {"int4:g32", "uint3", "int8:g20"}) {
    PackedParameter parameter = packed(weight, format);
    const at::Tensor before = value(parameter), codes = parameter.codes.clone();
    const auto version = parameter.codes._version();
    bq::UpdateOptions options;
    options.rule = UpdateRule::Direction;
    update(parameter, at::zeros_like(weight), {}, 1, options);
    EXPECT_TRUE(at::equal(parameter.codes, codes)) << format;
    EXPECT_TRUE(at::equal(value(parameter), before)) << format;
    EXPECT_GT(parameter.codes._version(), version);
    // One step on the weight itself, within the residual's unit of the greatest scale.
    options.lr = 0.1;
    const at::Tensor gradient = at::randn_like(weight);
    update(parameter, gradient, {}, 2, options);
    const double unit = parameter.scales.max().item<double>() / 256;
    EXPECT_LT((value(parameter) - (before - 0.1 * gradient)).abs().max().item<double>(), 1.001 * unit) << format;
  }
}

TEST(Update, ErrorsNameTheWeightAndChangeNothing) {
  at::Tensor weight = at::ones({4, 32}), gradient = at::ones({4, 32});
  const Moments moments = Moments::zeros(MomentType::F32, UpdateRule::Adam, weight.sizes(), false, at::kCPU);
  auto step = [&](const at::Tensor &g, const Moments &m) { update(weight, g, m, 1, {}, "fc.weight"); };
  expectError([&] { step({}, moments); }, "the gradient of 'fc.weight' is missing");
  expectError([&] { step(at::ones({4, 31}), moments); },
              "expected the gradient of 'fc.weight' of shape [4, 32], got [4, 31]");
  expectError([&] { step(gradient.to(at::kLong), moments); }, "gradient");
  expectError([&] { step(gradient, Moments::zeros(MomentType::F32, UpdateRule::Adam, {3, 32}, false, at::kCPU)); },
              "expected m of 'fc.weight' of shape [4, 32], got [3, 32]");
  expectError([&] { step(gradient, {}); }, "rule adam has moments");
  at::Tensor bad = gradient.clone();
  bad[2][5] = NAN;
  expectError([&] { step(bad, moments); }, "'fc.weight': gradient[69] is NaN or infinite: nothing was changed");
  expectError([&] { update(weight.t(), gradient.t(), moments, 1, {}, "fc.weight"); }, "must be contiguous");
  EXPECT_TRUE(at::equal(weight, at::ones({4, 32})));
  EXPECT_TRUE(at::equal(moments.m, at::zeros({4, 32})));

  PackedParameter parameter = packed(weight, "int4");
  parameter.residual = at::Tensor();
  expectError([&] { update(parameter, gradient, moments, 1, {}, "fc.weight"); }, "residual of 'fc.weight' is missing");
  // Nothing to do is no error.
  at::Tensor empty = at::empty({0, 5});
  update(empty, empty, Moments::zeros(MomentType::F32, UpdateRule::Adam, empty.sizes(), false, at::kCPU), 1, {});
}
