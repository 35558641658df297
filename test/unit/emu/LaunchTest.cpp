// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How threads and blocks run, come together and fail to.
#include "test/unit/emu/Support.h"

#include <algorithm>
#include <numeric>
#include <thread>

using namespace bq;
using namespace bq::emu;

namespace {

TEST(Launch, EveryThreadOfEveryBlockRunsOnce) {
  TestKernel test(kernelText("int32_t *out, int32_t x, int32_t y", R"(
    int32_t block = (bq_block_z() * y + bq_block_y()) * x + bq_block_x();
    bq_store(out + block * 48 + bq_thread(), block * 1000 + bq_thread());)"),
                  48);
  test.grid = {3, 4, 5};
  std::vector<int32_t> out(3 * 4 * 5 * 48, -1);
  ASSERT_TRUE(test.run({writable(out)}, out.data(), 3, 4).ok());
  for (int block = 0; block < 60; ++block)
    for (int thread = 0; thread < 48; ++thread)
      EXPECT_EQ(out[block * 48 + thread], block * 1000 + thread);
}

TEST(Launch, OrderOfThreadsAndBlocksIsPickedBySeed) {
  TestKernel test(kernelText("int32_t *out, int32_t *count", R"(
    bq_store(out + bq_atomic_add(count, 1), bq_block_x() * 64 + bq_thread());)"),
                  64);
  test.grid = {8};
  auto order = [&](uint64_t seed) {
    test.seed = seed;
    std::vector<int32_t> out(8 * 64), count(1);
    EXPECT_TRUE(test.run({writable(out), writable(count)}, out.data(), count.data()).ok());
    return out;
  };
  const std::vector<int32_t> first = order(1), second = order(2);
  std::vector<int32_t> inOrder(8 * 64), blocks, threads;
  std::iota(inOrder.begin(), inOrder.end(), 0);
  for (int i = 0; i < 8; ++i)
    blocks.push_back(first[i * 64] / 64);
  for (int i = 0; i < 64; ++i)
    threads.push_back(first[i] % 64);
  EXPECT_FALSE(std::is_sorted(blocks.begin(), blocks.end()));
  EXPECT_FALSE(std::is_sorted(threads.begin(), threads.end()));
  EXPECT_NE(first, second);
  EXPECT_EQ(first, order(1));
  EXPECT_TRUE(std::is_permutation(first.begin(), first.end(), inOrder.begin()));
}

TEST(Launch, WhatWasWrittenBeforeABarrierIsSeenAfterIt) {
  TestKernel test(kernelText("int32_t *out", R"(
    int32_t *s = bq_shared<int32_t>(0);
    for (int32_t i = 0; i < 10; ++i) {
      bq_store_shared(s + bq_thread(), bq_thread() * 10 + i);
      bq_barrier();
      bq_store(out + i * 256 + bq_thread(), bq_load_shared<int32_t>(s + (bq_thread() + 77) % 256));
      bq_barrier();
    })"),
                  256, 1024);
  for (test.seed = 0; test.seed < 5; ++test.seed) {
    std::vector<int32_t> out(2560);
    const Status status = test.run({writable(out)}, out.data());
    ASSERT_TRUE(status.ok()) << status.error().message;
    for (int i = 0; i < 10; ++i)
      for (int thread = 0; thread < 256; ++thread)
        ASSERT_EQ(out[i * 256 + thread], (thread + 77) % 256 * 10 + i);
  }
}

TEST(Launch, ABarrierThatAThreadPassesByIsFound) {
  TestKernel test(kernelText("", "if (bq_thread() != 17) bq_barrier();"), 64);
  test.grid = {1, 3};
  expectFault(test.run({}), "kernel.mlir:1: waits for thread 17, but that has ended");
}

TEST(Launch, ThreadsAtTwoBarriersAreFound) {
  TestKernel test(kernelText("", "if (bq_thread() < 32)\n bq_barrier();\nelse\n bq_barrier();"), 64);
  expectFault(test.run({}), "waits at the barrier of kernel.mlir:");
}

TEST(Launch, ALaneThatDoesNotComeToItsWarpsOperationIsFound) {
  const char *body = "int32_t v = bq_thread();\nif (bq_thread() != 40) v = bq_shuffle_xor(v, 1);\nbq_barrier();";
  TestKernel test(kernelText("", body), 64);
  expectFault(test.run({}), "kernel.mlir:2: waits for thread 40, but that waits at the barrier of kernel.mlir:3");
}

TEST(Launch, LanesAtTwoOperationsAreFound) {
  TestKernel test(kernelText("", R"(int32_t v = 1;
    if (bq_thread() < 16)
      v = bq_shuffle_xor(v, 1);
    else
      v = bq_shuffle_xor(v, 2);)"));
  expectFault(test.run({}), "waits at the shuffle of kernel.mlir:");
}

TEST(Launch, AWarpThatIsNotWholeCannotShuffle) {
  TestKernel test(kernelText("", "bq_shuffle_xor(1, 1);"), 40);
  expectFault(test.run({}), "waits for a warp of 32 lanes, but this one has 8");
}

TEST(Launch, AFaultNamesKernelBlockAndThread) {
  TestKernel test(kernelText("int32_t *out", R"(
    if (bq_block_x() == 2 && bq_block_y() == 1 && bq_thread() == 7)
      bq_store(out + 8, 0);)"));
  test.grid = {3, 2};
  std::vector<int32_t> out(8);
  const Status status = test.run({writable(out)}, out.data());
  expectFault(status, "test, block (2, 1, 0), thread 7, kernel.mlir:3: stores 4 bytes at 0x");
  expectFault(status, "outside of the launch's buffers; byte 32 of buffer 0, which has 32");
  EXPECT_EQ(status.error().code, ErrorCode::Internal);
}

TEST(Launch, AfterAFaultTheNextLaunchIsAsTheFirst) {
  TestKernel faulty(kernelText("", "if (bq_thread()) bq_barrier();"), 128);
  TestKernel test(kernelText("int32_t *out", "bq_barrier(); bq_atomic_add(out, 1);"), 128);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(faulty.run({}).ok());
    std::vector<int32_t> out(1);
    EXPECT_TRUE(test.run({writable(out)}, out.data()).ok());
    EXPECT_EQ(out[0], 128);
  }
}

TEST(Launch, LaunchesOfSeveralThreadsDoNotMeet) {
  const TestKernel test(kernelText("int32_t *out, int32_t value", R"(
    int32_t *s = bq_shared<int32_t>(0);
    for (int32_t i = 0; i < 50; ++i) {
      bq_store_shared(s + bq_thread(), value + bq_shuffle_xor(i, 1));
      bq_barrier();
      bq_atomic_add(out, bq_load_shared<int32_t>(s + 63 - bq_thread()) - i);
      bq_barrier();
    })"),
                        64, 256);
  std::vector<std::thread> threads;
  std::vector<int32_t> sums(4);
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int again = 0; again < 10; ++again) {
        std::vector<int32_t> out(1);
        if (test.run({writable(out)}, out.data(), i).ok())
          sums[i] += out[0];
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(sums[i], 10 * 50 * 64 * i);
}

TEST(Launch, WhatNoDeviceCanRunIsRefused) {
  TestKernel test(kernelText("", ""));
  test.kernel.threads = 1025;
  expectFault(test.run({}), "test: threads of a block is 1025, must be 1 to 1024");
  test.kernel.threads = 32;
  test.kernel.sharedBytes = 232449;
  expectFault(test.run({}), "test: bytes of shared memory is 232449, must be 0 to 232448");
  test.kernel.sharedBytes = 0;
  test.grid = {1, 65536};
  expectFault(test.run({}), "test: blocks in y is 65536, must be 1 to 65535");
  test.grid = {0};
  EXPECT_EQ(test.run({}).error().code, ErrorCode::InvalidArgument);
}

} // namespace
