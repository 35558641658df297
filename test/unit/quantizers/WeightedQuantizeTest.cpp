// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/WeightedQuantize.h"
#include "test/unit/MessageOf.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <torch/utils.h>

using namespace bq;
using bq::test::messageOf;
using testing::HasSubstr;

using at::Tensor;

namespace {

Format format(const char *text) { return *Format::parse(text); }

Tensor squares(const Tensor &weight, const PackedWeight &packed, const Tensor &importance) {
  return importance * (packed.dequantize(at::kFloat) - weight.to(at::kFloat)).square();
}

} // namespace

TEST(WeightedQuantize, LosesNoMoreThanQuantizeInAnyGroup) {
  torch::manual_seed(0);
  // 40 columns: two groups of 16 and a short one.
  for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kBFloat16})
    for (const char *text : {"int2:g16", "int3:g16", "int4:g16", "int8:g16", "uint1:g16", "uint3:g16", "uint8:g16"}) {
      const Tensor weight = at::randn({12, 40}).to(type), importance = at::rand({12, 40});
      const auto packed = quantizeWeighted(weight, importance, format(text));
      EXPECT_EQ(packed->scales().scalar_type(), type);
      const Tensor mine = squares(weight, *packed, importance);
      const Tensor plain = squares(weight, *PackedWeight::quantize(weight, format(text)), importance);
      for (int64_t begin = 0; begin < 40; begin += 16) {
        const int64_t size = std::min<int64_t>(16, 40 - begin);
        const Tensor ours = mine.narrow(1, begin, size).sum(1), theirs = plain.narrow(1, begin, size).sum(1);
        // A scale of 8 bits (bfloat16) moves codes up to 2^7 by up to half a step after the choice.
        const double slack = type == at::kFloat ? 1e-4 : type == at::kHalf ? 0.1 : 1;
        EXPECT_TRUE(ours.le(theirs * (1 + slack)).all().item<bool>()) << text << " " << type;
      }
      if (format(text).bits < 5)
        EXPECT_LT(mine.sum().item<double>(), 0.9 * plain.sum().item<double>()) << text << " " << type;
    }
}

TEST(WeightedQuantize, FollowsWhatCounts) {
  // One weight rules the range; where it does not count, it is clipped for the others' sake.
  const Tensor weight = at::linspace(-1, 1, 16).unsqueeze(0);
  weight[0][15] = 1.8;
  Tensor importance = at::ones({1, 16});
  const auto errors = [&] {
    return (quantizeWeighted(weight, importance, format("int3"))->dequantize() - weight).abs();
  };
  const Tensor alike = errors();
  importance[0][15] = 0;
  const Tensor without = errors();
  EXPECT_GT(without[0][15].item<double>(), alike[0][15].item<double>());
  EXPECT_LT(without.narrow(1, 0, 15).square().sum().item<double>(),
            alike.narrow(1, 0, 15).square().sum().item<double>());
}

TEST(WeightedQuantize, RoundsAsQuantizeWhereNothingCounts) {
  const Tensor weight = at::randn({5, 3, 2, 2});
  for (const char *text : {"int4:g5", "uint4:g5"}) {
    const auto plain = PackedWeight::quantize(weight, format(text));
    const auto packed = quantizeWeighted(weight, at::zeros_like(weight), format(text));
    EXPECT_TRUE(packed->codes().equal(plain->codes())) << text;
    EXPECT_TRUE(packed->scales().equal(plain->scales())) << text;
  }
  const auto zeros = quantizeWeighted(at::zeros({3, 8}), at::ones({3, 8}), format("uint4:g4"));
  EXPECT_TRUE(zeros->dequantize().eq(0).all().item<bool>());
}

TEST(WeightedQuantize, GivesTheSameForAnyNumberOfThreads) {
  const Tensor weight = at::randn({64, 96}), importance = at::rand({64, 96});
  const int threads = at::get_num_threads();
  std::vector<Tensor> codes;
  for (const int count : {1, 3}) {
    at::set_num_threads(count);
    codes.push_back(quantizeWeighted(weight, importance, format("uint3:g32"))->codes());
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(codes[0].equal(codes[1]));
}

TEST(WeightedQuantize, RefusesWhatDoesNotFit) {
  const Tensor weight = at::randn({2, 8}), ones = at::ones({2, 8});
  const auto refusal = [](const Tensor &weight, const Tensor &importance, const char *text) {
    return messageOf([&] { quantizeWeighted(weight, importance, format(text)); });
  };
  EXPECT_THAT(refusal(weight, ones, "nf4:g8"), HasSubstr("nf4:g8 is not supported, expected int or uint"));
  EXPECT_THAT(refusal(weight, at::ones({8, 2}), "int4"),
              HasSubstr("expected 'importance' Float [2, 8], got Float [8, 2]"));
  EXPECT_THAT(refusal(weight, -ones, "int4"), HasSubstr("'importance' holds a value that is negative or not finite"));
  EXPECT_THAT(refusal(weight / 0, ones, "int4"), HasSubstr("'weight' [2, 8] holds NaN or infinity"));
}
