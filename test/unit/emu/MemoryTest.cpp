// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Loads, stores, copies and atomics, and what the emulator finds wrong with them.
#include "test/unit/emu/Support.h"

#include <cmath>
#include <cstring>

using namespace bq;
using namespace bq::emu;

namespace {

TEST(GlobalMemory, SmallElementsAreExtendedWithoutSignAndStoredTruncated) {
  TestKernel test(kernelText("const int8_t *a, const int16_t *b, int8_t *c, int16_t *d, int32_t *e", R"(
    int32_t t = bq_thread();
    bq_store(e + t, bq_load<int32_t>(a + t) + bq_load_streamed<int32_t>(b + t) + bq_load_fresh<int32_t>(a + t));
    bq_store(c + t, 0x12345680 + t);
    bq_store(d + t, 0x1234fff0 + t);)"));
  std::vector<int8_t> a(32, -2), c(32);
  std::vector<int16_t> b(32, -3), d(32);
  std::vector<int32_t> e(32);
  ASSERT_TRUE(test.run({readable(a), readable(b), writable(c), writable(d), writable(e)}, a.data(), b.data(), c.data(),
                       d.data(), e.data())
                  .ok());
  for (int t = 0; t < 32; ++t) {
    EXPECT_EQ(e[t], 2 * 254 + 65533);
    EXPECT_EQ(c[t], static_cast<int8_t>(0x80 + t));
    EXPECT_EQ(d[t], static_cast<int16_t>(0xfff0 + t));
  }
}

TEST(GlobalMemory, FragmentsMoveWhole) {
  TestKernel test(kernelText("const int32_t *a, const float *b, int32_t *c, float *d, int64_t *e", R"(
    int32_t t = bq_thread();
    bq_i32x4 v = bq_load_streamed<bq_i32x4>(a + 4 * t);
    bq_f32x2 w = bq_load<bq_f32x2>(b + 2 * t);
    bq_store(c + 4 * t, bq_pack_i32x4(v.w, bq_element<2>(v), v.y, v.x));
    bq_store(d + 2 * t, bq_pack_f32x2(bq_element<1>(w), w.x));
    bq_store(e + t, bq_load<int64_t>(e + t) * 2);)"));
  std::vector<int32_t> a(128), c(128);
  std::vector<float> b(64), d(64);
  std::vector<int64_t> e(32, int64_t{3} << 40);
  for (int i = 0; i < 128; ++i)
    a[i] = b[i / 2] = i;
  ASSERT_TRUE(test.run({readable(a), readable(b), writable(c), writable(d), writable(e)}, a.data(), b.data(), c.data(),
                       d.data(), e.data())
                  .ok());
  for (int i = 0; i < 128; ++i) {
    EXPECT_EQ(c[i], a[i ^ 3]);
    EXPECT_EQ(d[i / 2], b[i / 2 ^ 1]);
    EXPECT_EQ(e[i / 4], int64_t{6} << 40);
  }
}

TEST(GlobalMemory, AtomicsAddAndGiveWhatWasThere) {
  TestKernel test(kernelText("int32_t *sum, int32_t *old", R"(
    int32_t t = bq_block_x() * 32 + bq_thread();
    bq_store(old + t, bq_atomic_add(sum, 1 << t % 4));)"));
  test.grid = {16};
  std::vector<int32_t> sum = {INT32_MAX - 100}, old(512);
  ASSERT_TRUE(test.run({writable(sum), writable(old)}, sum.data(), old.data()).ok());
  EXPECT_EQ(static_cast<uint32_t>(sum[0]), uint32_t{INT32_MAX} - 100 + 128 * 15);
  EXPECT_NE(old[0], old[1]);
}

TEST(GlobalMemory, AccessesThatBreakARuleAreFound) {
  struct Case {
    const char *body, *fault;
  };
  const Case cases[] = {
      {"bq_load<float>(a + 64);", "loads 4 bytes at 0x"},
      {"bq_load<float>(a - 1);", "byte -4 of buffer 0, which has 256"},
      {"bq_load<bq_f32x4>(a + 64 - 2);", "loads 16 bytes at 0x"},
      {"bq_load<bq_f32x4>(a + 2);", "loads 16 bytes at byte 8 of buffer 0, which is not aligned to 16"},
      {"bq_load<bq_f32x2>(a + 1);", "loads 8 bytes at byte 4 of buffer 0, which is not aligned to 8"},
      {"bq_load_streamed<float>(a + 100);", "loads (streamed) 4 bytes at 0x"},
      {"bq_load_fresh<float>(a + 100);", "loads 4 bytes at 0x"},
      {"bq_load_streamed<int32_t>(b);", "byte 0 of buffer 1, which is writable, so no streamed load may read it"},
      {"bq_store((float *)a, 1.0f);", "stores 4 bytes at byte 0 of buffer 0, which is read-only"},
      {"bq_store(b + 64, 1);", "stores 4 bytes at 0x"},
      {"bq_atomic_add(b + 64, 1);", "adds to 4 bytes at 0x"},
      {"bq_load<float>((const float *)0);", "loads 4 bytes at null, outside of the launch's buffers"},
      {"bq_load<float>(bq_shared<float>(0));", "outside of the launch's buffers"},
      {"bq_load_shared<float>(a);", "of shared memory, which has 1024"},
      {"bq_load_shared<float>(bq_shared<float>(1024));", "loads 4 bytes at byte 1024 of shared memory, which has 1024"},
      {"bq_store_shared(bq_shared<float>(0) - 1, 1.0f);", "stores 4 bytes at byte -4 of shared memory, which has 1024"},
      {"bq_load_shared<bq_f32x4>(bq_shared<float>(0) + 2);", "byte 8 of shared memory, which is not aligned to 16"},
      {"bq_ldmatrix(bq_shared<float>(16) + 2);", "byte 24 of shared memory, which is not aligned to 16"},
      {"bq_copy_async(bq_shared<float>(0), a + 60, 17);", "copies 16 bytes of which 17 are valid"},
      {"bq_copy_async(bq_shared<float>(0), a + 2, 16);", "from an address that is not aligned to 16"},
      {"bq_copy_async(bq_shared<float>(0), a + 64, 1);", "loads 1 byte at 0x"},
      {"bq_copy_async(bq_shared<float>(0) + 2, a, 16);", "byte 8 of shared memory, which is not aligned to 16"},
      {"bq_copy_async(bq_shared<float>(1024), a, 16);", "byte 1024 of shared memory, which has 1024"},
  };
  std::string text;
  for (size_t i = 0; i < std::size(cases); ++i)
    text += "extern \"C\" __global__ void case" + std::to_string(i) + "(const float *a, int32_t *b) { " +
            cases[i].body + " }\n";
  TestKernel test(text, 32, 1024);
  // Apart from each other, so that what is beyond one is not in the other.
  alignas(16) float a[256] = {};
  alignas(16) int32_t b[256] = {};
  for (size_t i = 0; i < std::size(cases); ++i) {
    SCOPED_TRACE(cases[i].body);
    test.kernel.entry = "case" + std::to_string(i);
    expectFault(test.run({{a + 96, 256, false}, {b + 96, 256, true}}, static_cast<const float *>(a + 96), b + 96),
                cases[i].fault);
  }
}

TEST(SharedMemory, IsNaNUntilItIsWritten) {
  TestKernel test(kernelText("float *out, int32_t *halves", R"(
    bq_store(out + bq_thread(), bq_load_shared<float>(bq_shared<float>(0) + bq_thread()));
    bq_store(halves + bq_thread(), bq_load_shared<int32_t>(bq_shared<int16_t>(0) + bq_thread()));
    bq_barrier();
    bq_store_shared(bq_shared<float>(0) + bq_thread(), 1.0f);)"),
                  32, 128);
  test.grid = {2}; // the second block must not see what the first has written
  std::vector<float> out(32);
  std::vector<int32_t> halves(32);
  ASSERT_TRUE(test.run({writable(out), writable(halves)}, out.data(), halves.data()).ok());
  for (int i = 0; i < 32; ++i) {
    EXPECT_TRUE(std::isnan(out[i]));
    EXPECT_GT(halves[i] & 0x7fff, 0x7f80) << "not a NaN as bf16, of which those of f16 are some";
  }
}

TEST(SharedMemory, AccessesWithoutABarrierBetweenAreFoundWithAnySeed) {
  struct Case {
    const char *body, *fault;
  };
  const Case cases[] = {
      {"bq_store_shared(s + t, t); bq_load_shared<int32_t>(s + (t ^ 1));", "without a barrier since"},
      {"bq_load_shared<int32_t>(s + (t ^ 1)); bq_store_shared(s + t, t);", "without a barrier since"},
      {"bq_store_shared(s, t);", "stores 4 bytes at byte 0 of shared memory, which thread "},
      {"bq_load_shared<int32_t>(s); bq_barrier(); bq_load_shared<int32_t>(s); bq_store_shared(s + t, t);",
       "have read without a barrier since"},
      {"bq_store_shared((int8_t *)s + t, t); bq_load_shared<bq_i32x2>(s + t / 8 * 2);", "without a barrier since"},
  };
  std::string text;
  for (size_t i = 0; i < std::size(cases); ++i)
    text += "extern \"C\" __global__ void case" + std::to_string(i) +
            "() { int32_t t = bq_thread(); int32_t *s = bq_shared<int32_t>(0); " + cases[i].body + " }\n";
  // Neighbours in one word are no race.
  text += kernelText("", "bq_store_shared(bq_shared<int8_t>(0) + bq_thread(), 1);");
  TestKernel test(text, 64, 256);
  for (test.seed = 0; test.seed < 10; ++test.seed) {
    for (size_t i = 0; i < std::size(cases); ++i) {
      SCOPED_TRACE(cases[i].body);
      test.kernel.entry = "case" + std::to_string(i);
      expectFault(test.run({}), cases[i].fault);
    }
    test.kernel.entry = "test";
    EXPECT_TRUE(test.run({}).ok());
  }
}

TEST(Copies, BringTheValidBytesAndZeros) {
  TestKernel test(kernelText("const int8_t *a, int8_t *out", R"(
    int32_t t = bq_thread();
    int8_t *s = bq_shared<int8_t>(0);
    bq_copy_async(s + 16 * t, a + 16 * t, t < 17 ? t : 16);
    bq_commit_copies();
    bq_wait_copies<0>();
    for (int32_t i = 0; i < 16; ++i)
      bq_store(out + 16 * t + i, bq_load_shared<int32_t>(s + 16 * t + i));)"),
                  32, 512);
  std::vector<int8_t> out(512, -1);
  alignas(16) int8_t a[512];
  std::memset(a, 9, sizeof(a));
  ASSERT_TRUE(test.run({{a, sizeof(a)}, writable(out)}, static_cast<const int8_t *>(a), out.data()).ok());
  for (int t = 0; t < 32; ++t)
    for (int i = 0; i < 16; ++i)
      EXPECT_EQ(out[16 * t + i], i < t ? 9 : 0);
}

// Three groups, of which `wait` lets the latest be under way.
std::string threeGroups(const std::string &wait, int group) {
  return kernelText("const int32_t *a, int32_t *out", R"(
    int32_t *s = bq_shared<int32_t>(0);
    for (int32_t i = 0; i < 3; ++i) {
      bq_copy_async(s + 4 * i, a + 4 * i, 16);
      bq_commit_copies();
    }
    )" + wait + "\nbq_store(out, bq_load_shared<int32_t>(s + " +
                                                          std::to_string(4 * group) + "));");
}

TEST(Copies, ArriveAtTheWaitThatCoversThem) {
  alignas(16) int32_t a[12];
  for (int i = 0; i < 12; ++i)
    a[i] = i;
  for (int pending = 0; pending <= 3; ++pending)
    for (int group = 0; group < 3; ++group) {
      TestKernel test(threeGroups("bq_wait_copies<" + std::to_string(pending) + ">();", group), 1, 48);
      std::vector<int32_t> out(1);
      const Status status = test.run({{a, sizeof(a)}, writable(out)}, static_cast<const int32_t *>(a), out.data());
      if (group < 3 - pending) {
        EXPECT_TRUE(status.ok());
        EXPECT_EQ(out[0], 4 * group);
      } else {
        expectFault(status, "where a copy of thread 0 has not been waited for");
      }
    }
}

TEST(Copies, OfOtherThreadsNeedABarrierToo) {
  const std::string begin = "int32_t *s = bq_shared<int32_t>(0); int32_t t = bq_thread();\n"
                            "bq_copy_async(s + 4 * t, a + 4 * t, 16); bq_commit_copies(); bq_wait_copies<0>();\n";
  const std::string end = "bq_store(out + t, bq_load_shared<int32_t>(s + 4 * (31 - t)));\n";
  const std::string parameters = "const int32_t *a, int32_t *out";
  alignas(16) int32_t a[128];
  for (int i = 0; i < 128; ++i)
    a[i] = i;
  std::vector<int32_t> out(32);
  auto run = [&](const std::string &body) {
    return TestKernel(kernelText(parameters, body), 32, 512)
        .run({{a, sizeof(a)}, writable(out)}, static_cast<const int32_t *>(a), out.data());
  };
  ASSERT_TRUE(run(begin + "bq_barrier();\n" + end).ok());
  for (int t = 0; t < 32; ++t)
    EXPECT_EQ(out[t], 4 * (31 - t));
  expectFault(run(begin + end), "without a barrier since");
}

} // namespace
