// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Bit orders of packed words: bytes written by hand, and back.
#include "quantizers/nbit/Packing.h"

#include "test/unit/MessageOf.h"

#include <gmock/gmock.h>

using namespace bq;
using bq::test::messageOf;
using testing::HasSubstr;

TEST(Packing, WordsHaveTheFirstFieldInTheLowBits) {
  // 1 + 2 << 4 + 3 << 8 + 4 << 12, then eight more in the next word.
  at::Tensor rows = at::tensor({1, 2, 3, 4, 0, 0, 0, 15, 9}, at::kInt).reshape({9, 1});
  at::Tensor expected = at::tensor({int64_t(0xf0004321), int64_t(9)}, at::kLong).to(at::kInt).reshape({2, 1});
  EXPECT_TRUE(packWords(rows, 4, 0).equal(expected));
  EXPECT_TRUE(packWords(rows.t(), 4, 1).equal(expected.t()));
}

TEST(Packing, ThreeBitsRunOnAcrossWords) {
  // As AutoGPTQ writes them: value 10 has two bits in word 0 and one in word 1, value 21 one in word 1 and two in
  // word 2.
  at::Tensor rows = at::zeros({32, 1}, at::kInt);
  rows[0][0] = 5;
  rows[10][0] = 6;
  rows[11][0] = 7;
  rows[21][0] = 3;
  rows[31][0] = 4;
  at::Tensor words = packWords(rows, 3, 0).to(at::kLong).bitwise_and(0xffffffffL);
  EXPECT_EQ(words[0][0].item<int64_t>(), 5 | 2L << 30);
  EXPECT_EQ(words[1][0].item<int64_t>(), 1 | 7 << 1 | 1L << 31);
  EXPECT_EQ(words[2][0].item<int64_t>(), 1 | 4L << 29);
}

TEST(Packing, EveryWidthComesBack) {
  for (int64_t bits = 1; bits <= 8; ++bits)
    for (int64_t count : {0, 1, 7, 32, 33, 100}) {
      at::Tensor rows = at::randint(0, 1 << bits, {count, 5}, at::kByte);
      EXPECT_TRUE(unpackWords(packWords(rows, bits, 0), bits, 0, count).equal(rows)) << bits << " " << count;
      EXPECT_TRUE(unpackWords(packWords(rows.t(), bits, 1), bits, 1, count).equal(rows.t())) << bits << " " << count;
      EXPECT_TRUE(unpackRows(packRows(rows.t(), bits), bits, count).equal(rows.t())) << bits << " " << count;
    }
}

TEST(Packing, CanonicalCodesAreTheBytesOfWords) {
  at::Tensor rows = at::randint(0, 8, {64, 3}, at::kByte);
  EXPECT_TRUE(packWords(rows, 3, 0).t().contiguous().view(at::kByte).equal(packRows(rows.t(), 3)));
}

TEST(Packing, NibblesHaveTheFirstOnTop) {
  at::Tensor integers = at::tensor({-2, -4, 7, -8, 3}, at::kInt);
  at::Tensor bytes = packNibbles(integers);
  EXPECT_TRUE(bytes.equal(at::tensor({0xec - 256, 0x78, 0x30}, at::kInt).to(at::kChar)));
  EXPECT_TRUE(unpackNibbles(bytes, 5).equal(integers.to(at::kChar)));
}

TEST(Packing, SignsStartAtTheLowBitAndZeroIsPositive) {
  at::Tensor values = at::tensor({0.0f, -0.0f, -1.0f, NAN, 2.0f, -2.0f, -3.0f, -4.0f, 1.0f});
  EXPECT_TRUE(packSigns(values).equal(at::tensor({0x13, 1}, at::kByte)));
  at::Tensor many = at::randn({5, 40});
  for (int64_t bits : {8, 16, 32, 64}) {
    at::Tensor words = packSigns(many, bits);
    EXPECT_EQ(words.numel(), (200 + bits - 1) / bits);
    EXPECT_TRUE(unpackSigns(words, 200).reshape({5, 40}).equal(at::where(many >= 0, 1, -1).to(at::kChar))) << bits;
  }
}

TEST(Packing, RefusesWhatDoesNotFit) {
  EXPECT_THAT(messageOf([] { packWords(at::tensor({0, 4}, at::kInt).reshape({2, 1}), 2, 0); }),
              HasSubstr("'integers' [2, 1] hold 4, outside of 0 to 3"));
  EXPECT_THAT(messageOf([] { packNibbles(at::tensor({8}, at::kInt)); }), HasSubstr("hold 8, outside of -8 to 7"));
  EXPECT_THAT(messageOf([] { packWords(at::zeros({2, 2}), 2, 0); }), HasSubstr("of an integer type, got Float"));
  EXPECT_THAT(messageOf([] { packWords(at::zeros({2, 2}, at::kInt), 9, 0); }), HasSubstr("9 bits are not supported"));
  EXPECT_THAT(messageOf([] { unpackWords(at::zeros({4, 2}, at::kInt), 4, 0, 48); }),
              HasSubstr("48 integers of 4 bits take 6 words along dimension 0, got 'words' [4, 2]"));
  EXPECT_THAT(messageOf([] { packSigns(at::zeros({4}), 12); }), HasSubstr("words of 12 bits are not supported"));
}
