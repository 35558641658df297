// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the conformance suite does not see of the emulator's backend.
#include "runtime/emu/EmuBackend.h"

#include <gtest/gtest.h>

#include <thread>

using namespace bq;

namespace {

/// A layer whose sum over K is split in parts. Owns what it is made of.
struct Layer {
  Layer() {
    for (size_t i = 0; i < codes.size(); ++i)
      codes[i] = static_cast<uint8_t>(i * 37 + i / 7);
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<float>(i * 29 % 101) / 64 - 0.7f;
    weight.format = *Format::parse("int4:g32");
    weight.n = n;
    weight.k = k;
    weight.codes = codes.data();
    weight.scales = scales.data();
  }

  Expected<std::shared_ptr<const PrepackedWeight>> prepack(Backend &backend) {
    return backend.prepack(weight, &serialFor);
  }
  /// y for m = 3.
  std::vector<float> run(Backend &backend, const PrepackedWeight &packed) {
    std::vector<float> y(3 * n);
    LinearArgs args;
    args.x = x.data();
    args.m = 3;
    args.xStride = k;
    args.compute = Compute::BF16;
    args.y = y.data();
    args.yStride = n;
    const Status status = backend.linear(packed, args, &serialFor);
    EXPECT_TRUE(status) << status.error().message;
    return y;
  }

  static constexpr int64_t n = 20, k = 640;
  std::vector<uint8_t> codes = std::vector<uint8_t>(n * k / 2);
  std::vector<float> scales = std::vector<float>(n * k / 32, 0.125f), x = std::vector<float>(3 * k);
  CanonicalWeight weight;
};

} // namespace

TEST(EmuBackend, ResultsDoNotDependOnTheOrderOfThreads) {
  Backend &backend = **emuBackend();
  Layer layer;
  auto packed = layer.prepack(backend);
  ASSERT_TRUE(packed) << packed.error().message;
  const std::vector<float> first = layer.run(backend, **packed);
  for (int launch = 0; launch < 10; ++launch)
    ASSERT_EQ(layer.run(backend, **packed), first);
}

TEST(EmuBackend, ThreadsShareItsKernels) {
  Backend &backend = **emuBackend();
  Layer layer;
  auto packed = layer.prepack(backend);
  ASSERT_TRUE(packed) << packed.error().message;
  std::vector<std::vector<float>> results(4);
  std::vector<std::thread> threads;
  for (std::vector<float> &result : results)
    threads.emplace_back([&] { result = layer.run(backend, **packed); });
  for (std::thread &thread : threads)
    thread.join();
  for (const std::vector<float> &result : results)
    EXPECT_EQ(result, results[0]);
}

TEST(EmuBackend, WeightsOfOtherBackendsAreRefused) {
  Layer layer;
  auto packed = layer.prepack(referenceBackend());
  ASSERT_TRUE(packed) << packed.error().message;
  const Status status = (*emuBackend())->linear(**packed, {}, &serialFor);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::InvalidArgument);
  EXPECT_NE(status.error().message.find("emu backend"), std::string::npos) << status.error().message;
}
