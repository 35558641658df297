// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a call of a known kernel costs, with a driver that does nothing.
#include "Support.h"

#include "runtime/cuda/CudaWeight.h"

#include <chrono>
#include <cstdio>

using namespace bq;
using namespace bq::test;

namespace {

using DispatchTest = CudaTest;

} // namespace

TEST_F(DispatchTest, AKnownKernelIsFoundAndLaunchedWithoutASearch) {
  open();
  compilerState.artifact.gpuKernels.resize(2, compilerState.artifact.gpuKernels[0]);
  compilerState.artifact.rowMajorColumns = 64;
  std::vector<uint8_t> codes(48 * 32);
  std::vector<float> scales(48 * 2, 1.0f), x(8 * 64), y(8 * 48);
  CanonicalWeight weight;
  weight.format = *Format::parse("int4:g32");
  weight.n = 48;
  weight.k = 64;
  weight.codes = codes.data();
  weight.scales = scales.data();
  const FragmentWeight packed(weight);
  CudaWeight onDevice(packed, device(), codes.data(), *kernels);
  LinearArgs args;
  args.compute = Compute::BF16;
  args.x = x.data();
  args.y = y.data();
  args.xStride = 64;
  args.yStride = 48;
  const LinearMemory memory{x.data(), nullptr, nullptr};
  CurrentContext context(device());
  auto call = [&](int64_t m) {
    args.m = m;
    auto kernel = onDevice.kernel(args, nullptr);
    return kernel && onDevice.memoryBytes(**kernel, m).panel == m * 128 &&
           onDevice.linear(**kernel, args, memory, nullptr);
  };
  for (int64_t m = 1; m <= 8; ++m)
    ASSERT_TRUE(call(m));
  constexpr int calls = 200000;
  fake->launches = fake->pushes = 0;
  bool isGood = true;
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i)
    isGood &= call(i % 8 + 1);
  const double ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / calls;
  EXPECT_TRUE(isGood);
  EXPECT_EQ(fake->launches, 2 * calls);
  EXPECT_EQ(fake->pushes, 0);
  EXPECT_EQ(artifacts->stats().memoryHits, 0);
  EXPECT_EQ(artifacts->stats().compiles, 8);
  std::printf("a call of two kernels takes %.0f ns without the driver's own work\n", ns);
}
