// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Operations of a warp against plain C++: matrices are laid out in fragments as PTX ISA 9.0, section 9.7.14.5 says.
#include "test/unit/emu/Support.h"

#include "dialect/core/Half.h"

#include <cstring>
#include <random>

using namespace bq;
using namespace bq::emu;

namespace {

constexpr int rows = 16, columns = 8;

/// What the lanes of a warp bring to an mma: a, b and the accumulator, four, two and four words of each lane.
struct Fragments {
  std::vector<int32_t> a = std::vector<int32_t>(128), b = std::vector<int32_t>(64), c = std::vector<int32_t>(128);

  /// Sets element [row, k] of a, of 32 / perWord bits.
  void setA(int row, int k, int perWord, uint32_t bits) {
    const int depth = 8 * perWord, lane = row % 8 * 4 + k % (depth / 2) / perWord;
    add(a[lane * 4 + row / 8 + k / (depth / 2) * 2], k % perWord, perWord, bits);
  }
  /// Sets element [k, column] of b.
  void setB(int k, int column, int perWord, uint32_t bits) {
    const int depth = 8 * perWord, lane = column * 4 + k % (depth / 2) / perWord;
    add(b[lane * 2 + k / (depth / 2)], k % perWord, perWord, bits);
  }
  int32_t &sum(int row, int column) { return c[(row % 8 * 4 + column / 2) * 4 + row / 8 * 2 + column % 2]; }

private:
  static void add(int32_t &word, int place, int perWord, uint32_t bits) {
    word = static_cast<int32_t>(static_cast<uint32_t>(word) | bits << place * 32 / perWord);
  }
};

/// c = mma(a, b, c).
void runMma(const std::string &name, const std::string &sumType, Fragments &f) {
  TestKernel test(kernelText("const int32_t *a, const int32_t *b, " + sumType + " *c",
                             "int32_t t = bq_thread();\n"
                             "bq_store(c + 4 * t, bq_mma_" +
                                 name +
                                 "(bq_load<bq_i32x4>(a + 4 * t), "
                                 "bq_load<bq_i32x2>(b + 2 * t), bq_load<" +
                                 (sumType == "float" ? "bq_f32x4" : "bq_i32x4") + ">(c + 4 * t)));"));
  const Status status = test.run({readable(f.a), readable(f.b), writable(f.c)}, f.a.data(), f.b.data(), f.c.data());
  ASSERT_TRUE(status.ok()) << status.error().message;
}

template <typename ToBits, typename ToFloat>
void checkFloat(const std::string &name, ToBits toBits, ToFloat toFloat) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  Fragments f;
  double a[rows][16], b[16][columns];
  float c[rows][columns];
  for (int k = 0; k < 16; ++k) {
    for (int i = 0; i < rows; ++i) {
      const uint16_t bits = toBits(normal(random));
      f.setA(i, k, 2, bits);
      a[i][k] = toFloat(bits);
    }
    for (int j = 0; j < columns; ++j) {
      const uint16_t bits = toBits(normal(random));
      f.setB(k, j, 2, bits);
      b[k][j] = toFloat(bits);
    }
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      c[i][j] = normal(random);
      std::memcpy(&f.sum(i, j), &c[i][j], 4);
    }
  runMma(name, "float", f);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      double sum = c[i][j];
      for (int k = 0; k < 16; ++k)
        sum += a[i][k] * b[k][j];
      float result;
      std::memcpy(&result, &f.sum(i, j), 4);
      EXPECT_FLOAT_EQ(result, static_cast<float>(sum)) << i << ", " << j;
    }
}

TEST(Mma, BF16) { checkFloat("bf16", floatToBF16, bf16ToFloat); }
TEST(Mma, F16) { checkFloat("f16", floatToF16, f16ToFloat); }

TEST(Mma, FloatSumsAreRoundedOnce) {
  // 1 is lost in a sum of f32 with 2^24, but not with the products that cancel it.
  Fragments f;
  const float one = 1;
  f.setA(3, 0, 2, floatToBF16(0x1p12f));
  f.setB(0, 5, 2, floatToBF16(0x1p12f));
  f.setA(3, 1, 2, floatToBF16(-0x1p12f));
  f.setB(1, 5, 2, floatToBF16(0x1p12f));
  std::memcpy(&f.sum(3, 5), &one, 4);
  runMma("bf16", "float", f);
  float result;
  std::memcpy(&result, &f.sum(3, 5), 4);
  EXPECT_EQ(result, 1.0f);
}

TEST(Mma, U8S8) {
  std::mt19937 random(1);
  Fragments f;
  int a[rows][32], b[32][columns];
  uint32_t c[rows][columns];
  for (int k = 0; k < 32; ++k) {
    for (int i = 0; i < rows; ++i)
      f.setA(i, k, 4, a[i][k] = random() % 256);
    for (int j = 0; j < columns; ++j) {
      b[k][j] = static_cast<int>(random() % 256) - 128;
      f.setB(k, j, 4, static_cast<uint8_t>(b[k][j]));
    }
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j)
      f.sum(i, j) = static_cast<int32_t>(c[i][j] = random());
  runMma("u8s8", "int32_t", f);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      uint32_t sum = c[i][j];
      for (int k = 0; k < 32; ++k)
        sum += static_cast<uint32_t>(a[i][k] * b[k][j]);
      EXPECT_EQ(static_cast<uint32_t>(f.sum(i, j)), sum) << i << ", " << j;
    }
}

TEST(Ldmatrix, EachLaneGetsAPairOfEachMatrix) {
  TestKernel test(kernelText("const int32_t *rows, int32_t *out", R"(
    int32_t t = bq_thread();
    int16_t *s = bq_shared<int16_t>(0);
    for (int32_t i = t; i < 512; i += 32)
      bq_store_shared(s + i, i);
    bq_barrier();
    bq_store(out + 4 * t, bq_ldmatrix(s + bq_load<int32_t>(rows + t) * 8));)"),
                  32, 1024);
  std::mt19937 random(1);
  std::vector<int32_t> rowOfLane(32), out(128);
  for (int32_t &row : rowOfLane)
    row = random() % 64;
  const Status status = test.run({readable(rowOfLane), writable(out)}, rowOfLane.data(), out.data());
  ASSERT_TRUE(status.ok()) << status.error().message;
  for (int lane = 0; lane < 32; ++lane)
    for (int matrix = 0; matrix < 4; ++matrix) {
      const int first = rowOfLane[matrix * 8 + lane / 4] * 8 + lane % 4 * 2;
      EXPECT_EQ(out[lane * 4 + matrix], first | (first + 1) << 16);
    }
}

TEST(Transpose, EachLaneGetsAPairOfAColumn) {
  TestKernel test(kernelText("int32_t *out", R"(
    int32_t t = bq_thread();
    int32_t first = t / 4 * 8 + t % 4 * 2;
    bq_store(out + t, bq_transpose(first | (first + 1) << 16));)"),
                  32);
  std::vector<int32_t> out(32);
  const Status status = test.run({writable(out)}, out.data());
  ASSERT_TRUE(status.ok()) << status.error().message;
  for (int lane = 0; lane < 32; ++lane) {
    const int column = lane / 4, row = lane % 4 * 2;
    EXPECT_EQ(out[lane], (row * 8 + column) | ((row + 1) * 8 + column) << 16);
  }
}

TEST(Shuffle, GivesTheValueOfTheOtherLane) {
  TestKernel test(kernelText("int32_t *out, float *floats", R"(
    int32_t t = bq_thread();
    bq_store(out + t, bq_shuffle_xor(t, 5));
    float sum = t;
    for (int32_t mask = 16; mask; mask >>= 1)
      sum += bq_shuffle_xor(sum, mask);
    bq_store(floats + t, sum);)"),
                  96);
  std::vector<int32_t> out(96);
  std::vector<float> sums(96);
  for (test.seed = 0; test.seed < 5; ++test.seed) {
    const Status status = test.run({writable(out), writable(sums)}, out.data(), sums.data());
    ASSERT_TRUE(status.ok()) << status.error().message;
    for (int t = 0; t < 96; ++t) {
      EXPECT_EQ(out[t], t ^ 5);
      EXPECT_EQ(sums[t], 496 + t / 32 * 1024);
    }
  }
}

} // namespace
