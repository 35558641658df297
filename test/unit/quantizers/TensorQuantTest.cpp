// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Quantizers with one scale: what they give by default, where bitorch-engine's own numbers differ, and its other forms
// of scales (GBA).
#include "quantizers/nbit/TensorQuant.h"

#include "quantizers/nbit/Gba.h"
#include "test/unit/MessageOf.h"

#include <gmock/gmock.h>

using namespace bq;
using bq::test::messageOf;
using testing::HasSubstr;

namespace {

TensorQuantOptions upstream() {
  TensorQuantOptions options;
  options.upstreamCompatible = true;
  return options;
}

at::Tensor floats(std::vector<float> values) { return at::tensor(values); }

} // namespace

TEST(TensorQuant, TakesTheGreatestMagnitude) {
  at::Tensor x = floats({-4, -2, 1, 0.5});
  auto [integers, scale] = tensorQuant(x);
  EXPECT_TRUE(integers.equal(floats({-127, -64, 32, 16})));
  EXPECT_EQ(scale.item<float>(), 127.0f / 4);
  EXPECT_TRUE(tensorQuant(x, std::nullopt, upstream()).first.equal(floats({-127, -127, 127, 64})));
}

TEST(TensorQuant, NegativeValuesAndZeros) {
  at::Tensor negative = floats({-1, -2}), zero = at::zeros({3});
  EXPECT_TRUE(tensorQuant(negative).first.equal(floats({-64, -127})));
  EXPECT_THAT(messageOf([&] { tensorQuant(negative, std::nullopt, upstream()); }),
              HasSubstr("the maximum of 'x' is -1"));
  auto [integers, scale] = tensorQuant(zero);
  EXPECT_TRUE(integers.equal(zero));
  EXPECT_EQ(scale.item<float>(), 1);
  EXPECT_TRUE(tensorQuant(zero, std::nullopt, upstream()).first.isnan().all().item<bool>());
  // The least denormal, whose reciprocal overflows.
  EXPECT_TRUE(tensorQuant(floats({0, 1e-45f})).first.isfinite().all().item<bool>());
}

TEST(TensorQuant, RangesAndRows) {
  at::Tensor x = at::randn({3, 50}), maximum = x.abs().amax(1, true) / 2;
  TensorQuantOptions options;
  for (int64_t bits : {2, 3, 4, 8, 16}) {
    options.bits = bits;
    const double bound = (1 << (bits - 1)) - 1;
    options.narrowRange = true;
    auto [narrow, scale] = tensorQuant(x, maximum, options);
    EXPECT_EQ(narrow.min().item<double>(), -bound);
    EXPECT_EQ(narrow.max().item<double>(), bound);
    EXPECT_EQ(scale.sizes(), maximum.sizes());
    options.narrowRange = false;
    EXPECT_EQ(tensorQuant(x, maximum, options).first.min().item<double>(), -bound - 1);
    options.isUnsigned = true;
    at::Tensor codes = tensorQuant(x.abs(), maximum, options).first;
    EXPECT_EQ(codes.max().item<double>(), 2 * bound + 1);
    EXPECT_GE(codes.min().item<double>(), 0);
    options.isUnsigned = false;
  }
}

TEST(TensorQuant, HalfTypesAreComputedInFloat) {
  for (at::ScalarType type : {at::kHalf, at::kBFloat16}) {
    at::Tensor x = at::randn({64}).to(type);
    auto [integers, scale] = tensorQuant(x);
    EXPECT_EQ(integers.scalar_type(), type);
    EXPECT_TRUE(integers.to(at::kFloat).equal(tensorQuant(x.to(at::kFloat)).first));
  }
}

TEST(TensorQuant, Refuses) {
  at::Tensor x = at::randn({4, 5});
  EXPECT_THAT(messageOf([&] { tensorQuant(x, at::ones({5})); }), HasSubstr("'maximum' [5] does not broadcast"));
  EXPECT_THAT(messageOf([&] { tensorQuant(x, -at::ones({4, 1})); }),
              HasSubstr("'maximum' holds -1: use numbers from 0"));
  EXPECT_THAT(messageOf([&] { tensorQuant(x, at::full({4, 1}, NAN)); }), HasSubstr("'maximum' holds NaN"));
  EXPECT_THAT(messageOf([&] { tensorQuant(at::zeros({0})); }), HasSubstr("is empty, so 'maximum' must be given"));
  TensorQuantOptions options;
  options.isUnsigned = true;
  EXPECT_THAT(messageOf([&] { tensorQuant(floats({-1, 2}), std::nullopt, options); }),
              HasSubstr("'x' [2] holds -1, which has no unsigned code"));
  options.bits = 17;
  EXPECT_THAT(messageOf([&] { tensorQuant(x, std::nullopt, options); }), HasSubstr("17 bits are not supported"));
}

TEST(QuantizeByMean, IntegersAndScales) {
  at::Tensor x = floats({-3, -1, 0.5f, 1.5f});
  auto [integers, scale] = quantizeByMean(x, 4);
  EXPECT_NEAR(scale.item<double>(), 2 * 1.5 / 5.6345, 1e-6);
  EXPECT_TRUE(integers.equal(at::tensor({-6, -2, 1, 3}, at::kInt).to(at::kChar)));
  EXPECT_NEAR(meanScale(x, 8).item<double>(), 2 * 1.5 / 11.269, 1e-6);
  // Ties go to the even number; both ends are clamped.
  EXPECT_TRUE(quantizeByMean(x, 4, at::full({}, 0.2)).first.equal(at::tensor({-8, -5, 2, 7}, at::kInt).to(at::kChar)));
  EXPECT_TRUE(quantizeByMean(at::zeros({2}), 8).first.equal(at::zeros({2}, at::kChar)));
  EXPECT_EQ(meanScale(at::zeros({2}), 8).item<float>(), 1e-5f);
  EXPECT_THAT(messageOf([&] { quantizeByMean(x, 5); }), HasSubstr("5 bits are not supported: use 4 or 8"));
}

TEST(InitBinaryWeight, HasASignEverywhere) {
  at::Tensor weight = floats({-3, 1, 1, 5});
  auto [integers, scale] = initBinaryWeight(weight);
  EXPECT_TRUE(integers.equal(at::tensor({-127, 1, 1, 127}, at::kInt).to(at::kChar)));
  EXPECT_EQ(scale.item<float>(), 2.5f);
  EXPECT_TRUE(initBinaryWeight(weight, true).first.equal(at::tensor({-127, 0, 0, 127}, at::kInt).to(at::kChar)));
}

TEST(DecodeGba, BothModesAndBothKinds) {
  GbaStatistics statistics;
  statistics.statistic = at::tensor({0x21, 0x43, 0x65, 0x87}, at::kByte).reshape({1, 2, 2});
  statistics.scaleZeros = floats({1, 2}).reshape({1, 2, 1});
  statistics.scaleScales = floats({0.5, 2}).reshape({1, 2, 1});
  statistics.zeroZeros = floats({0, 1}).reshape({1, 2, 1});
  statistics.zeroScales = floats({1, 10}).reshape({1, 2, 1});
  auto [scales, zeros] = decodeGba(statistics);
  EXPECT_TRUE(scales.equal(floats({0.5, 1.5, 8, 12}).reshape({1, 4})));
  EXPECT_TRUE(zeros.equal(floats({1, 3, 40, 60}).reshape({1, 4})));

  // Mode 1: constants for each output.
  for (at::Tensor *constant :
       {&statistics.scaleZeros, &statistics.scaleScales, &statistics.zeroZeros, &statistics.zeroScales})
    *constant = constant->repeat_interleave(2, 1);
  EXPECT_TRUE(decodeGba(statistics).first.equal(scales));
  EXPECT_TRUE(decodeGba(statistics).second.equal(zeros));

  statistics.scales = at::tensor({200, 4, 6, 8}, at::kByte).reshape({1, 2, 2});
  EXPECT_THAT(messageOf([&] { decodeGba(statistics); }), HasSubstr("got both"));
  statistics.statistic.reset();
  auto [wide, none] = decodeGba(statistics);
  EXPECT_TRUE(wide.equal(floats({99.5, 1.5, 8, 12}).reshape({1, 4})));
  EXPECT_FALSE(none.defined());
  statistics.scaleZeros = at::zeros({1, 3, 1});
  EXPECT_THAT(messageOf([&] { decodeGba(statistics); }), HasSubstr("[1, 3, 1] do not fit codes [1, 2, 2]"));
}
