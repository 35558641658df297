// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Codes to bytes and back, by LibTorch's operators as by the CPU's loops.
#include "quantizers/CodeRows.h"

#include <gtest/gtest.h>

using namespace bq;

TEST(CodeRows, ByLibTorchAreThose) {
  at::manual_seed(1);
  for (int bits = 1; bits <= 8; ++bits)
    for (int64_t k : {1, 7, 8, 33}) {
      const at::Tensor codes = at::randint(0, 1 << bits, {5, k}, at::kByte), packed = packedByTorch(codes, bits);
      EXPECT_TRUE(packed.equal(packedCodes(codes, bits))) << bits << " " << k;
      EXPECT_TRUE(unpackedByTorch(packed, bits, k).equal(codes)) << bits << " " << k;
      EXPECT_TRUE(unpackedCodes(packed, bits, k).equal(codes)) << bits << " " << k;
    }
}
