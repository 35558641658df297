// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/SignBits.h"

#include <gmock/gmock.h>

using namespace bq::onebit;

using at::Tensor;

TEST(SignBits, AreOneStreamMostSignificantFirst) {
  // 10 signs: + - - + + + - + | - - and six ones to fill up.
  Tensor matrix = at::tensor({0.0f, -1.0f, -2.0f, 3.0f, -0.0f, 1.0f, -1.0f, 5.0f, -1.0f, -1.0f}).view({2, 5});
  Tensor packed = packSigns(matrix);
  EXPECT_TRUE(at::equal(packed, at::tensor({0b10011101, 0b00111111}, at::kByte))) << packed;
}

TEST(SignBits, ComeBack) {
  at::manual_seed(6);
  for (int64_t columns : {1, 7, 8, 13}) {
    Tensor matrix = at::randn({5, columns});
    Tensor signs = unpackSigns(packSigns(matrix), 5, columns);
    EXPECT_TRUE(at::equal(signs, matrix.ge(0).to(at::kChar) * 2 - 1));
  }
}

TEST(SignBits, RefusesAnotherNumberOfBytes) {
  try {
    unpackSigns(at::zeros({3}, at::kByte), 2, 5);
    FAIL() << "accepted";
  } catch (const c10::Error &error) {
    EXPECT_THAT(error.what_without_backtrace(), testing::HasSubstr("2 x 5 signs are uint8 [2], got Byte [3]"));
  }
}
