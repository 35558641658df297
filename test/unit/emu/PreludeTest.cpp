// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The scalar functions that a kernel's text may call, against plain C++.
#include "test/unit/emu/Support.h"

#include "dialect/core/Half.h"

#include <cmath>
#include <cstring>
#include <limits>

using namespace bq;
using namespace bq::emu;

namespace {

/// Stores `expression` of the float `x` for each of `values`.
std::vector<float> map(const std::vector<float> &values, const std::string &expression) {
  TestKernel test(
      kernelText("const float *in, float *out", "int32_t i = bq_block_x();\nfloat x = bq_load<float>(in + i);\n"
                                                "bq_store(out + i, " +
                                                    expression + ");"),
      1);
  std::vector<float> out(values.size());
  test.grid.x = static_cast<int64_t>(values.size());
  const Status status = test.run({readable(values), writable(out)}, values.data(), out.data());
  EXPECT_TRUE(status.ok()) << status.error().message;
  return out;
}

constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
const std::vector<float> values = {0.0f,     -0.0f,     0.5f,       -0.5f,     1.5f,     2.5f,     -2.5f,
                                   1e-3f,    -7.3f,     11.0f,      88.0f,     -100,     65519,    65520,
                                   0x1p-24f, 0x1p-25f,  3e-8f,      1e-40f,    3e38f,    -3.4e38f, 1.01f,
                                   1.005f,   0x1.02p0f, 0x1.018p0f, 0x1.03p0f, infinity, -infinity};

TEST(Prelude, FunctionsOfFloatsAreThoseOfTheLibrary) {
  const std::pair<const char *, float (*)(float)> functions[] = {
      {"bq_exp(x)", [](float x) { return std::exp(x); }},
      {"bq_erf(x)", [](float x) { return std::erf(x); }},
      {"bq_tanh(x)", [](float x) { return std::tanh(x); }},
      {"bq_round_even(x)", [](float x) { return std::nearbyint(x); }},
      {"bq_floor(x)", [](float x) { return std::floor(x); }},
      {"bq_sqrt(x)", [](float x) { return std::sqrt(x); }},
      {"bq_abs(x)", [](float x) { return std::fabs(x); }},
      {"bq_fma(x, 3.0f, 0.1f)", [](float x) { return std::fma(x, 3.0f, 0.1f); }},
      {"bq_float(bq_bits(x))", [](float x) { return x; }},
      {"x * 3.0f + 0.1f",
       [](float x) {
         volatile float product = x * 3.0f;
         return product + 0.1f;
       }},
  };
  for (auto [expression, expected] : functions) {
    const std::vector<float> results = map(values, expression);
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(detail::bitsOf(results[i]), detail::bitsOf(expected(values[i]))) << expression << " of " << values[i];
  }
}

TEST(Prelude, MinimumAndMaximum) {
  struct Case {
    const char *expression;
    float ofOne, ofNaN; ///< For x = 1 and NaN.
  };
  for (auto [expression, ofOne, ofNaN] :
       {Case{"bq_minnum(x, 2.0f)", 1, 2}, Case{"bq_minnum(2.0f, x)", 1, 2}, Case{"bq_maxnum(x, 2.0f)", 2, 2},
        Case{"bq_maxnum(2.0f, x)", 2, 2}, Case{"bq_minimum(x, 2.0f)", 1, nan}, Case{"bq_minimum(2.0f, x)", 1, nan},
        Case{"bq_maximum(x, 2.0f)", 2, nan}, Case{"bq_maximum(2.0f, x)", 2, nan}}) {
    const std::vector<float> results = map({1.0f, nan}, expression);
    EXPECT_EQ(results[0], ofOne) << expression;
    EXPECT_TRUE(results[1] == ofNaN || (std::isnan(results[1]) && std::isnan(ofNaN))) << expression;
  }
  EXPECT_TRUE(std::signbit(map({-0.0f}, "bq_minimum(0.0f, x)")[0]));
  EXPECT_FALSE(std::signbit(map({0.0f}, "bq_maximum(-0.0f, x)")[0]));
}

TEST(Prelude, HalvesAreRoundedToEven) {
  const std::vector<float> f16 = map(values, "bq_f32_from_f16(bq_f16_from_f32(x) | 0x40000)"),
                           bf16 = map(values, "bq_f32_from_bf16(bq_bf16_from_f32(x) | 0x40000)"),
                           low = map(values, "bq_f32_from_bf16(bq_bf16x2_from_f32(x, 9.0f))"),
                           high = map(values, "bq_float(bq_bf16x2_from_f32(9.0f, x) & (int32_t)0xffff0000)");
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(f16[i], f16ToFloat(floatToF16(values[i]))) << values[i];
    for (const std::vector<float> *result : {&bf16, &low, &high})
      EXPECT_EQ((*result)[i], bf16ToFloat(floatToBF16(values[i]))) << values[i];
  }
  // As bits, in the lower half: NaN as the device writes it.
  EXPECT_EQ(map({nan, -1.0f}, "(float)bq_f16_from_f32(x)"), (std::vector<float>{0x7fff, 0xbc00}));
  EXPECT_EQ(map({nan, -1.0f}, "(float)bq_bf16_from_f32(x)"), (std::vector<float>{0x7fff, 0xbf80}));
}

TEST(Prelude, PairsOfBF16AreAdded) {
  // Ties with 1 to even from both sides, and just above one.
  const std::vector<float> addends = {136.0f, -1.0f, 0x1p-8f, 0x1.02p-8f, 0x1.04p-7f, 0x1.82p0f, -0x1.02p0f};
  const std::vector<float> low = map(addends, "bq_f32_from_bf16(bq_add_bf16x2(bq_bf16x2_from_f32(x, 9.0f), "
                                              "bq_bf16x2_from_f32(1.0f, 7.0f)))"),
                           high = map(addends, "bq_float(bq_add_bf16x2(bq_bf16x2_from_f32(9.0f, x), "
                                               "bq_bf16x2_from_f32(7.0f, 1.0f)) & (int32_t)0xffff0000)");
  EXPECT_EQ(low, (std::vector<float>{137.0f, 0.0f, 1.0f, 0x1.02p0f, 0x1.02p0f, 0x1.4p1f, -0x1p-7f}));
  EXPECT_EQ(high, low);
  EXPECT_TRUE(std::isnan(map({nan}, "bq_f32_from_bf16(bq_add_bf16x2(bq_bf16_from_f32(x), 0x3f80))")[0]));
}

TEST(Prelude, Integers) {
  TestKernel test(kernelText("const int32_t *a, const int64_t *b, int32_t *c, int64_t *d", R"(
    int32_t x = bq_load<int32_t>(a), y = bq_load<int32_t>(a + 1);
    int64_t l = bq_load<int64_t>(b), m = bq_load<int64_t>(b + 1);
    bq_store(c + 0, bq_shift_left(x, 4));
    bq_store(c + 1, bq_shift_right_logical(x, 4));
    bq_store(c + 2, bq_shift_right_arithmetic(x, 4));
    bq_store(c + 3, bq_min_signed(x, y));
    bq_store(c + 4, bq_max_signed(x, y));
    bq_store(c + 5, bq_min_unsigned(x, y));
    bq_store(c + 6, bq_max_unsigned(x, y));
    bq_store(c + 7, bq_permute_bytes(x, y, 0x5140));
    bq_store(c + 8, bq_permute_bytes(x, y, 0x7632));
    bq_store(c + 9, bq_logic3<0xea>(x, y, 0x0f0f));
    bq_store(c + 10, bq_logic3<0x96>(x, y, 0x0f0f));
    bq_store(c + 11, bq_logic3<0x40>(x, y, 0x0f0f));
    bq_store(d + 0, bq_shift_left(l, (int64_t)4));
    bq_store(d + 1, bq_shift_right_logical(l, (int64_t)4));
    bq_store(d + 2, bq_shift_right_arithmetic(l, (int64_t)4));
    bq_store(d + 3, bq_min_signed(l, m));
    bq_store(d + 4, bq_max_signed(l, m));
    bq_store(d + 5, bq_min_unsigned(l, m));
    bq_store(d + 6, bq_max_unsigned(l, m));)"),
                  1);
  const uint32_t x = 0x87654321, y = 0x12345678;
  const uint64_t l = 0x8765432187654321, m = 0x1234567812345678;
  const std::vector<int32_t> a = {static_cast<int32_t>(x), static_cast<int32_t>(y)};
  const std::vector<int64_t> b = {static_cast<int64_t>(l), static_cast<int64_t>(m)};
  std::vector<int32_t> c(12);
  std::vector<int64_t> d(7);
  ASSERT_TRUE(
      test.run({readable(a), readable(b), writable(c), writable(d)}, a.data(), b.data(), c.data(), d.data()).ok());
  const uint32_t expected[] = {0x76543210,       0x08765432,     0xf8765432,      x, y, y, x, 0x56437821, 0x12348765,
                               (x & y) | 0x0f0f, x ^ y ^ 0x0f0f, x & y & ~0x0f0fu};
  const uint64_t expectedLong[] = {0x7654321876543210, 0x0876543218765432, 0xf876543218765432, l, m, m, l};
  for (size_t i = 0; i < c.size(); ++i)
    EXPECT_EQ(static_cast<uint32_t>(c[i]), expected[i]) << i;
  for (size_t i = 0; i < d.size(); ++i)
    EXPECT_EQ(static_cast<uint64_t>(d[i]), expectedLong[i]) << i;
}

} // namespace
