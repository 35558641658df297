// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/DiffqNoise.h"

#include "test/unit/MessageOf.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/PhiloxRNGEngine.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace bq;
using at::Tensor;
using bq::test::messageOf;

namespace {

constexpr uint64_t seed = 0x123456789ABCDEF;

/// The noise itself, of zeros: a 1 behind them makes their range 1, and one bit makes that a step.
Tensor noiseOf(int64_t count, NoiseKind kind, uint64_t offset, int64_t rounds = 7) {
  Tensor weight = at::zeros({count + 1});
  weight[count] = 1;
  return diffqNoise(weight, at::ones({1}), 0, kind, seed, offset, rounds).slice(0, 0, count);
}

double correlation(const Tensor &left, const Tensor &right) {
  const Tensor l = left - left.mean(), r = right - right.mean();
  return ((l * r).mean() / (l.square().mean() * r.square().mean()).sqrt()).item<double>();
}

/// The same in operators of LibTorch, on the noise that `of` has.
Tensor composition(const Tensor &weight, const Tensor &bits, int64_t groupSize, const Tensor &noise) {
  const int64_t size = groupSize ? groupSize : weight.numel();
  Tensor unit = (1 / (bits.exp2() - 1)).repeat_interleave(size).slice(0, 0, weight.numel());
  return weight + (weight.max() - weight.min()) * (unit * noise.flatten()).view(weight.sizes());
}

} // namespace

// Element e has word e % 64 / 16 of block e / 64 * 16 + e % 16 of the subsequence that the offset names.
TEST(DiffqNoise, HasTheIntegersOfLibTorch) {
  constexpr int64_t count = 1 << 12;
  for (uint64_t offset : {uint64_t{0}, uint64_t{7} << 33 | 5}) {
    Tensor noise = noiseOf(count, NoiseKind::Uniform, offset, /*rounds=*/10);
    for (int64_t e = 0; e < count; ++e) {
      at::Philox4_32 engine(seed, /*subsequence=*/offset, /*offset=*/static_cast<uint64_t>(e / 64 * 16 + e % 16));
      uint32_t word = 0;
      for (int64_t i = 0; i <= e % 64 / 16; ++i)
        word = engine();
      ASSERT_EQ(noise[e].item<float>(), static_cast<float>((word >> 8) * 0x1p-24 - 0.5)) << e;
    }
  }
}

// Each bound is five standard deviations of what is measured, for 2^20 independent samples: 1 in 1.7 million fails. The
// variance of a squared sample is 2 v^2 for normal numbers of variance v, and 4/5 v^2 for uniform ones; a correlation
// has 1 / count.
TEST(DiffqNoise, IsDistributedAsItsNameSays) {
  constexpr int64_t count = 1 << 20;
  const double root = std::sqrt(static_cast<double>(count));
  for (NoiseKind kind : {NoiseKind::Gaussian, NoiseKind::Uniform}) {
    const bool isGaussian = kind == NoiseKind::Gaussian;
    const double variance = isGaussian ? 1.0 / 4 : 1.0 / 12;
    const Tensor noise = noiseOf(count, kind, 3).to(at::kDouble);
    EXPECT_LE(std::fabs(noise.mean().item<double>()), 5 * std::sqrt(variance) / root);
    EXPECT_LE(std::fabs(noise.square().mean().item<double>() - variance),
              5 * variance * std::sqrt(isGaussian ? 2 : 0.8) / root);
    for (int64_t lag : {1, 2, 4, 16, 17, 32, 64, 1024})
      EXPECT_LE(std::fabs(correlation(noise.slice(0, 0, count - lag), noise.slice(0, lag))),
                5 / std::sqrt(static_cast<double>(count - lag)))
          << "elements " << lag << " apart";
    // What is symmetric in one of a pair may still show in the squares.
    EXPECT_LE(std::fabs(correlation(noise.slice(0, 0, count - 16).square(), noise.slice(0, 16).square())), 5 / root);
    for (uint64_t offset : {uint64_t{4}, uint64_t{3} << 32})
      EXPECT_LE(std::fabs(correlation(noise, noiseOf(count, kind, offset).to(at::kDouble))), 5 / root)
          << "streams 3 and " << offset;
    // Of normal noise 4.55 in 100 are more than two standard deviations off, of uniform none.
    const double far = (noise.abs() > 2 * std::sqrt(variance)).to(at::kDouble).mean().item<double>();
    EXPECT_NEAR(far, isGaussian ? 0.0455003 : 0, isGaussian ? 5 * std::sqrt(0.0455 * 0.9545) / root : 0);
  }
}

// The gradients are those that autograd gives the composition, in double; sums of at most 300 terms in float take 320
// roundings, and noise is within 1e-6.
TEST(DiffqNoise, HasTheGradientsOfItsComposition) {
  at::manual_seed(2);
  for (int64_t groupSize : {0, 1, 4, 8, 20, 150})
    for (NoiseKind kind : {NoiseKind::Gaussian, NoiseKind::Uniform}) {
      Tensor weight = at::randn({20, 15});
      const int64_t groups = groupSize ? (weight.numel() + groupSize - 1) / groupSize : 1;
      Tensor bits = at::rand({groups}) * 6 + 2, outer = at::randn_like(weight);
      const Tensor noise = noiseOf(weight.numel(), kind, 11).to(at::kDouble);
      Tensor w = weight.to(at::kDouble).requires_grad_(), b = bits.to(at::kDouble).requires_grad_();
      Tensor want = composition(w, b, groupSize, noise);
      want.backward(outer.to(at::kDouble));

      weight.requires_grad_(), bits.requires_grad_();
      Tensor got = diffqNoise(weight, bits, groupSize, kind, seed, 11);
      got.backward(outer);
      EXPECT_LE((got - want).abs().max().item<double>(), 1e-5);
      auto expectNear = [&](const char *what, const Tensor &left, const Tensor &right) {
        EXPECT_LE((left - right).abs().max().item<double>(), 4e-5 * (1 + right.abs().max().item<double>()))
            << what << ", groups of " << groupSize;
      };
      expectNear("weight", weight.grad(), w.grad());
      expectNear("bits", bits.grad(), b.grad());
    }
}

// The gradient that a layer hands down becomes the weight's; one that somebody else still holds does not change.
TEST(DiffqNoise, CopiesNoGradientThatIsItsOwn) {
  Tensor weight = at::rand({1 << 16}).requires_grad_(), bits = at::full({1 << 13}, 4.0f).requires_grad_();
  const void *handed = nullptr;
  Tensor noisy = diffqNoise(weight, bits, 8, NoiseKind::Gaussian, seed, 0);
  noisy.register_hook([&](const Tensor &gradient) { handed = gradient.const_data_ptr(); });
  (noisy * at::rand({1 << 16})).sum().backward();
  EXPECT_EQ(weight.grad().const_data_ptr(), handed);

  Tensor outer = at::ones({1 << 16}), kept = outer.clone();
  diffqNoise(weight, bits, 8, NoiseKind::Gaussian, seed, 0).backward(outer);
  EXPECT_TRUE(at::equal(outer, kept));
}

TEST(DiffqNoise, IsTheSameForAnyNumberOfThreads) {
  Tensor weight = at::randn({300, 1001}), bits = at::rand({(300 * 1001 + 7) / 8}) * 8 + 2;
  const int threads = at::get_num_threads();
  auto run = [&](int count) {
    at::set_num_threads(count);
    Tensor b = bits.clone().requires_grad_(), w = weight.clone().requires_grad_();
    Tensor noisy = diffqNoise(w, b, 8, NoiseKind::Gaussian, seed, 1);
    noisy.square().sum().backward();
    return std::vector<Tensor>{noisy.detach(), b.grad(), w.grad()};
  };
  const std::vector<Tensor> one = run(1), two = run(2);
  at::set_num_threads(threads);
  for (size_t i = 0; i < one.size(); ++i)
    EXPECT_TRUE(at::equal(one[i], two[i])) << i;
}

TEST(DiffqNoise, KeepsTheTypeOfTheWeight) {
  for (at::ScalarType type : {at::kHalf, at::kBFloat16}) {
    Tensor weight = at::randn({64}).to(type);
    Tensor noisy = diffqNoise(weight, at::full({8}, 3.0f), 8, NoiseKind::Uniform, seed, 0);
    EXPECT_EQ(noisy.scalar_type(), type);
    EXPECT_FALSE(at::equal(noisy, weight));
  }
}

TEST(DiffqNoise, RefusesWhatDoesNotFit) {
  Tensor weight = at::randn({4, 8}), bits = at::full({4}, 4.0f);
  auto noise = [&](const Tensor &w, const Tensor &b, int64_t group, int64_t rounds = 7) {
    return [=] { diffqNoise(w, b, group, NoiseKind::Gaussian, seed, 0, rounds); };
  };
  EXPECT_THAT(messageOf(noise(weight, bits, 4)),
              testing::HasSubstr("expected 'bits' of 8 floats, one for each group of 4 of 32 elements, got Float [4]"));
  EXPECT_THAT(messageOf(noise(weight, bits, -1)), testing::HasSubstr("'group_size' is -1"));
  EXPECT_THAT(messageOf(noise(weight, bits, 8, 8)), testing::HasSubstr("'rounds' is 8: use 7 or 10"));
  EXPECT_THAT(messageOf(noise(weight.t(), bits, 8)), testing::HasSubstr("is not contiguous"));
  EXPECT_THAT(messageOf(noise(weight, bits - 4, 8)), testing::HasSubstr("each must be above 0"));
  EXPECT_THAT(messageOf(noise(weight.to(at::kInt), bits, 8)), testing::HasSubstr("weight"));
  weight[1][3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(messageOf(noise(weight, bits, 8)), testing::HasSubstr("element 11 is NaN or infinite"));
}

TEST(WeightRange, IsTheLeastAndTheGreatestAndWhereTheyFirstAre) {
  Tensor weight = at::zeros({5000});
  weight[1500] = 2, weight[1600] = 2, weight[4999] = -3;
  const WeightRange range = weightRange(weight);
  EXPECT_EQ(range.low, -3);
  EXPECT_EQ(range.high, 2);
  EXPECT_EQ(range.lowAt, 4999);
  EXPECT_EQ(range.highAt, 1500);
  EXPECT_THAT(messageOf([] { weightRange(at::empty({0})); }), testing::HasSubstr("only a weight of 1 element or more"));
}
