// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// GPTQ weights: what they mean by the formula of each zero point convention, and the way to canonical tensors and back.
#include "quantizers/nbit/Gptq.h"

#include "quantizers/Quantize.h"
#include "quantizers/nbit/Packing.h"
#include "test/unit/MessageOf.h"

#include <gmock/gmock.h>

using namespace bq;
using bq::test::messageOf;
using testing::HasSubstr;

namespace {

constexpr ZeroConvention conventions[] = {ZeroConvention::StoredMinusOne, ZeroConvention::Stored,
                                          ZeroConvention::Scaled};

/// A weight [k, n] of random integers, and what it is made of.
struct RandomWeight {
  at::Tensor integers, zeros; ///< zeros [G, n], plain, as floats
  GptqWeight packed;

  RandomWeight(int64_t bits, int64_t k, int64_t n, int64_t groups, ZeroConvention convention) {
    const int64_t codes = int64_t(1) << bits, offset = convention == ZeroConvention::StoredMinusOne;
    integers = at::randint(0, codes, {k, n}, at::kByte);
    zeros = at::randint(offset, codes + offset, {groups, n}, at::kFloat);
    packed.bits = bits;
    packed.inFeatures = k;
    packed.zeroConvention = convention;
    packed.words = packWords(integers, bits, 0);
    // Powers of two, so that products are exact in any order.
    packed.scales = at::pow(2.0, at::randint(-6, 0, {groups, n}, at::kFloat));
    packed.zeros =
        convention == ZeroConvention::Scaled ? zeros * packed.scales : packGptqZeros(zeros, bits, convention);
  }

  /// The formula, by group of each packed row.
  at::Tensor matrix(const at::Tensor &group) const {
    return (integers.to(at::kFloat) - zeros.index_select(0, group)) * packed.scales.index_select(0, group);
  }
};

at::Tensor contiguousGroups(int64_t k, int64_t size) { return at::div(at::arange(k), size, "floor"); }

} // namespace

TEST(Gptq, UnpacksByTheFormula) {
  for (ZeroConvention convention : conventions)
    for (int64_t bits = 1; bits <= 8; ++bits) {
      RandomWeight weight(bits, 48, 20, 3, convention);
      EXPECT_TRUE(unpackGptq(weight.packed).equal(weight.matrix(contiguousGroups(48, 16)))) << bits;
      weight.packed.groupIndex = at::randint(0, 3, {48}, at::kInt);
      EXPECT_TRUE(unpackGptq(weight.packed).equal(weight.matrix(weight.packed.groupIndex))) << bits;
    }
}

TEST(Gptq, PacksWhatItUnpacked) {
  for (ZeroConvention convention : conventions)
    for (int64_t bits = 1; bits <= 8; ++bits) {
      RandomWeight weight(bits, 48, 20, 3, convention);
      weight.packed.rowOrder = at::randperm(48, at::kInt);
      EXPECT_TRUE(packGptq(unpackGptq(weight.packed), weight.packed).equal(weight.packed.words)) << bits;
    }
}

TEST(Gptq, RoundsToTheNearestAndClamps) {
  GptqWeight weight;
  weight.words = at::zeros({1, 5}, at::kInt);
  weight.scales = at::full({1, 5}, 0.5);
  weight.zeros = packGptqZeros(at::full({1, 5}, 2), 2);
  weight.bits = 2;
  weight.inFeatures = 1;
  at::Tensor matrix = at::tensor({-9.0, -0.24, 0.24, 0.26, 9.0}).to(at::kFloat).reshape({1, 5});
  at::Tensor integers = unpackWords(packGptq(matrix, weight), 2, 0, 1);
  EXPECT_TRUE(integers.equal(at::tensor({0, 2, 2, 3, 3}, at::kByte).reshape({1, 5})));
}

TEST(Gptq, RowsAreWhereTheOrderPutsThem) {
  RandomWeight weight(4, 32, 8, 2, ZeroConvention::Scaled);
  at::Tensor plain = unpackGptq(weight.packed), order = at::randperm(32, at::kInt);
  weight.packed.rowOrder = order;
  EXPECT_TRUE(unpackGptq(weight.packed).index_select(0, order).equal(plain));
  // What upstream's layers start with, and its kernels take for the identity.
  weight.packed.rowOrder = at::zeros({32}, at::kInt);
  EXPECT_TRUE(unpackGptq(weight.packed).equal(plain));
}

TEST(Gptq, SixteenBitOrdersHaveNoSign) {
  const int64_t rows = 40000;
  RandomWeight weight(8, rows, 1, 1, ZeroConvention::Scaled);
  at::Tensor plain = unpackGptq(weight.packed), order = at::randperm(rows, at::kInt);
  weight.packed.rowOrder = order.to(at::kShort);
  EXPECT_TRUE(unpackGptq(weight.packed).index_select(0, order).equal(plain));
}

TEST(Gptq, CanonicalTensorsMeanTheSameWeight) {
  for (ZeroConvention convention : conventions)
    for (int64_t bits : {1, 2, 3, 4, 8})
      for (bool isShuffled : {false, true}) {
        RandomWeight weight(bits, 48, 20, 3, convention);
        if (isShuffled) {
          weight.packed.groupIndex = at::randint(0, 3, {48}, at::kInt);
          weight.packed.rowOrder = at::randperm(48, at::kInt);
        }
        const Format format = canonicalFormat(weight.packed);
        WeightTensors canonical = toCanonical(weight.packed);
        EXPECT_EQ(format.str(), "uint" + std::to_string(bits) + ":g16");
        EXPECT_EQ(canonical.groupIndex.has_value(), isShuffled);
        at::Tensor matrix = unpackGptq(weight.packed);
        at::Tensor rows = unpackRows(canonical.codes, bits, 48).to(at::kFloat);
        at::Tensor group = isShuffled ? *canonical.groupIndex : contiguousGroups(48, 16);
        EXPECT_TRUE(((rows - canonical.zeros->index_select(1, group)) * canonical.scales.index_select(1, group))
                        .equal(matrix.t()));
        if (!isShuffled) {
          EXPECT_TRUE(
              dequantize(canonical.codes, canonical.scales, canonical.zeros, format, {20, 48}).equal(matrix.t()));
        }

        GptqWeight back = fromCanonical(canonical, format, 48, convention);
        EXPECT_TRUE(unpackGptq(back).equal(matrix));
        EXPECT_TRUE(back.zeros.equal(weight.packed.zeros));
        EXPECT_TRUE(back.scales.equal(weight.packed.scales));
        if (!isShuffled) {
          EXPECT_TRUE(back.words.equal(weight.packed.words));
        }
      }
}

TEST(Gptq, ShapesThatWordsDoNotFillArePadded) {
  // 48 inputs of 4 bits are 6 words, and 20 zero points of 3 bits are 2.
  RandomWeight weight(4, 45, 20, 3, ZeroConvention::StoredMinusOne);
  EXPECT_EQ(weight.packed.words.size(0), 6);
  EXPECT_TRUE(unpackGptq(weight.packed).equal(weight.matrix(contiguousGroups(45, 15))));
}

TEST(Gptq, ZeroPointsAreNotTruncated) {
  at::Tensor zeros = at::tensor({1.9, 2.4, 3.6}).to(at::kFloat).reshape({1, 3});
  auto back = [](const at::Tensor &words) { return unpackWords(words, 4, 1, 3) + 1; };
  EXPECT_TRUE(back(packGptqZeros(zeros, 4)).equal(at::tensor({2, 2, 4}, at::kByte).reshape({1, 3})));
  EXPECT_TRUE(back(packGptqZeros(zeros, 4, ZeroConvention::StoredMinusOne, true))
                  .equal(at::tensor({1, 2, 3}, at::kByte).reshape({1, 3})));
  // 0 has no stored form: upstream reads it back as 16.
  at::Tensor zero = at::zeros({1, 3});
  EXPECT_THAT(messageOf([&] { packGptqZeros(zero, 4); }),
              HasSubstr("zero point 0 cannot be stored in 4 bits minus one: use 1 to 16"));
  EXPECT_TRUE(
      back(packGptqZeros(zero, 4, ZeroConvention::StoredMinusOne, true)).equal(at::full({1, 3}, 16, at::kByte)));
  EXPECT_TRUE(packGptqZeros(zero, 4, ZeroConvention::Stored).equal(at::zeros({1, 1}, at::kInt)));
}

TEST(Gptq, RefusesWhatDoesNotFit) {
  auto message = [](void (*change)(GptqWeight &)) {
    RandomWeight weight(4, 48, 20, 3, ZeroConvention::StoredMinusOne);
    change(weight.packed);
    return messageOf([&] { unpackGptq(weight.packed); });
  };
  EXPECT_EQ(message([](GptqWeight &) {}), "accepted");
  EXPECT_THAT(message([](GptqWeight &weight) { weight.inFeatures = 64; }),
              HasSubstr("64 inputs of 4 bits take 8 rows of words, got 'words' [6, 20]"));
  EXPECT_THAT(message([](GptqWeight &weight) { weight.scales = at::ones({3, 19}); }),
              HasSubstr("expected floating 'scales' [G, 20], got [3, 19]"));
  EXPECT_THAT(message([](GptqWeight &weight) { weight.zeros = at::ones({3, 20}); }),
              HasSubstr("expected 'zeros' of type Int, packed, got Float"));
  EXPECT_THAT(message([](GptqWeight &weight) { weight.zeros = at::zeros({3, 4}, at::kInt); }),
              HasSubstr("expected 'zeros' [3, 3], got [3, 4]"));
  EXPECT_THAT(message([](GptqWeight &weight) { weight.groupIndex = at::full({48}, 3, at::kInt); }),
              HasSubstr("'groupIndex' holds 3, but there are 3 groups"));
  EXPECT_THAT(message([](GptqWeight &weight) { weight.rowOrder = at::ones({48}, at::kInt); }),
              HasSubstr("'rowOrder' is not a permutation of 0 to 47"));
  EXPECT_THAT(message([](GptqWeight &weight) {
                weight.scales = at::ones({5, 20});
                weight.zeros = at::zeros({5, 3}, at::kInt);
              }),
              HasSubstr("48 inputs do not make 5 equal groups: 'groupIndex' must be given"));

  RandomWeight weight(4, 48, 20, 3, ZeroConvention::Scaled);
  at::Tensor matrix = unpackGptq(weight.packed);
  matrix[0][0] = NAN;
  EXPECT_THAT(messageOf([&] { packGptq(matrix, weight.packed); }), HasSubstr("holds NaN"));
  WeightTensors canonical = toCanonical(weight.packed);
  canonical.zeros->add_(0.25);
  EXPECT_THAT(messageOf([&] { fromCanonical(canonical, canonicalFormat(weight.packed), 48, ZeroConvention::Stored); }),
              HasSubstr("is not a whole number: use the convention Scaled"));
}

TEST(Gptq, GroupMapCountsDownInEachGroup) {
  at::Tensor map = makeGroupMap(at::tensor({8, 0, 4, 1}, at::kShort), 2);
  EXPECT_TRUE(map.reshape({-1, 2}).select(1, 0).equal(at::tensor({0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1}, at::kInt)));
  EXPECT_TRUE(map.reshape({-1, 2}).select(1, 1).equal(at::tensor({4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1}, at::kInt)));
  EXPECT_THAT(messageOf([] { makeGroupMap(at::tensor({8, 3}, at::kShort), 2); }),
              HasSubstr("rows must ascend up to 2"));
}
