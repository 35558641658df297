// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A pipelined matrix product as kernels have it, and the faults that such kernels can have: each is found.
#include "test/unit/emu/ProductKernel.h"
#include "test/unit/emu/Support.h"

#include "dialect/core/Half.h"

#include <cstring>
#include <random>

using namespace bq;
using namespace bq::emu;

namespace {

constexpr int m = 70, n = 40, k = 392;
// Elements behind each buffer, so that what is beyond one is not in the next.
constexpr int beyond = 1 << 15;

struct Product {
  Product() : a(m * k + beyond), b(n * k + beyond), expected(m * n) {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (std::vector<int16_t> *values : {&a, &b})
      for (int16_t &value : *values)
        value = static_cast<int16_t>(floatToBF16(uniform(random)));
    for (int i = 0; i < m; ++i)
      for (int j = 0; j < n; ++j)
        for (int l = 0; l < k; ++l)
          expected[i * n + j] += static_cast<double>(bf16ToFloat(a[i * k + l])) * bf16ToFloat(b[j * k + l]);
  }

  Status run(TestKernel &test, std::vector<float> &c) const {
    test.grid = {(m + 63) / 64, (n + 15) / 16};
    c.assign(m * n + beyond, 0.0f);
    return test.run({{a.data(), 2 * m * k}, {b.data(), 2 * n * k}, {c.data(), 4 * m * n, true}}, a.data(), b.data(),
                    c.data(), m, n, k);
  }
  /// Within what f32 rounds away. NaN is not.
  bool isRight(const std::vector<float> &c) const {
    for (int i = 0; i < m * n; ++i)
      if (!(std::abs(c[i] - expected[i]) < 1e-4))
        return false;
    return true;
  }

  std::vector<int16_t> a, b;
  std::vector<double> expected;
};

TestKernel kernelOf(const std::string &text) { return TestKernel(text, 128, 4 * (8192 + 2048)); }

/// productKernel with `to` in place of `from`, which it has once.
TestKernel changed(const std::string &from, const std::string &to) {
  std::string text = productKernel;
  const size_t place = text.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  EXPECT_EQ(text.find(from, place + 1), std::string::npos) << from;
  return kernelOf(text.replace(place, from.size(), to));
}

/// Fails unless every seed gives an error with `part`.
void expectFaultOfEverySeed(TestKernel test, const std::string &part) {
  Product product;
  for (test.seed = 0; test.seed < 5; ++test.seed) {
    std::vector<float> c;
    expectFault(product.run(test, c), part);
  }
}

TEST(Pipeline, IsRightAndTheSameWithAnySeed) {
  Product product;
  TestKernel test = kernelOf(productKernel);
  std::vector<float> first;
  ASSERT_TRUE(product.run(test, first).ok());
  EXPECT_TRUE(product.isRight(first));
  for (test.seed = 2; test.seed < 10; ++test.seed) {
    std::vector<float> c;
    const Status status = product.run(test, c);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(std::memcmp(c.data(), first.data(), c.size() * sizeof(float)), 0);
  }
}

TEST(Pipeline, MissingBarrierIsFound) { expectFaultOfEverySeed(changed("bq_barrier();", ""), "of shared memory, "); }

TEST(Pipeline, WrongStageReadIsFound) {
  expectFaultOfEverySeed(changed("int32_t stage = part % 4;", "int32_t stage = (part + 1) % 4;"),
                         "has not been waited for");
}

TEST(Pipeline, WrongStageWrittenIsFound) {
  expectFaultOfEverySeed(changed("fetch(part + 3, (part + 3) % 4);", "fetch(part + 3, part % 4);"),
                         "of shared memory, ");
}

TEST(Pipeline, TooFewStagesAreFound) {
  expectFaultOfEverySeed(changed("fetch(part + 3, (part + 3) % 4);", "fetch(part + 3, (part + 3) % 3);"),
                         "of shared memory, ");
}

TEST(Pipeline, WrongWaitIsFound) {
  expectFaultOfEverySeed(changed("bq_wait_copies<2>();", "bq_wait_copies<3>();"), "has not been waited for");
}

TEST(Pipeline, MissingCommitIsFound) {
  expectFaultOfEverySeed(changed("    fetch(part, part);\n    bq_commit_copies();", "    fetch(part, part);"),
                         "has not been waited for");
}

TEST(Pipeline, DivergentBarrierIsFound) {
  // The warps whose rows are all beyond m need nothing of each other; before the first part nothing else goes wrong.
  expectFaultOfEverySeed(changed("  for (int32_t part = 0; part < parts; ++part) {", R"(
  if (row + warp * 16 < m)
    bq_barrier();
  for (int32_t part = 0; part < parts; ++part) {)"),
                         "waits at the barrier of ");
}

TEST(Pipeline, LoadOutOfBoundsIsFound) {
  expectFaultOfEverySeed(changed("isA ? row + line < m : column + line < n", "isA || column + line < n"),
                         "outside of the launch's buffers");
}

TEST(Pipeline, StoreOutOfBoundsIsFound) {
  expectFaultOfEverySeed(changed("line < m && first < n", "first < n"), "stores 8 bytes at 0x");
}

TEST(Pipeline, MisalignedAccessIsFound) {
  expectFaultOfEverySeed(changed("(isA ? a : b) + source", "(isA ? a : b) + source + 1"), "not aligned to 16");
  expectFaultOfEverySeed(
      changed("bq_store(c + (int64_t)line * n + first,", "bq_store(c + (int64_t)line * n + (first ^ 1),"),
      "which is not aligned to 8");
}

// Not against any rule, so it shows in the result alone.
TEST(Pipeline, WrongSwizzleGivesAWrongResult) {
  Product product;
  TestKernel test = changed("aShared + stage * 4096 + line * 64 + (piece ^ line % 8) * 8",
                            "aShared + stage * 4096 + line * 64 + piece * 8");
  for (test.seed = 0; test.seed < 5; ++test.seed) {
    std::vector<float> c;
    ASSERT_TRUE(product.run(test, c).ok());
    EXPECT_FALSE(product.isRight(c));
  }
}

TEST(Pipeline, ALaneThatLeavesItsWarpIsFound) {
  expectFaultOfEverySeed(
      changed("int32_t parts = (k + 63) / 64;", "int32_t parts = (k + 63) / 64;\nif (thread == 77) return;"),
      "waits for thread 77, but that has ended");
}

} // namespace
