// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sums over K in sixteen parts, as a GPU has them for few rows of a weight: the last block of threads to come adds the
// parts up, in order, whichever it is.
#include "Support.h"

#include "runtime/cuda/CudaRows.h"
#include "runtime/cuda/CudaWeight.h"

#include <cmath>
#include <random>

using namespace bq;
using namespace bq::test;

namespace {

constexpr int64_t m = 3, n = 20, k = 2048, group = 32, groups = k / group, parts = 16;
constexpr float untouched = -77;

class SplitSumTest : public CudaTest, public testing::WithParamInterface<Compute> {};

/// Scales by group. All codes are 1, and x is zero but for the first column of each part: the part's sum is the scale
/// of its first group times x. Of so different sizes that another order of the parts gives another float.
std::vector<float> partScales() {
  std::mt19937 random(5);
  std::vector<float> scales(n * groups, 1.0f);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t part = 0; part < parts; ++part) {
      const float value = std::ldexp(1.0f + static_cast<float>(random() % 8388608) / 8388608, random() % 20);
      scales[row * groups + part * groups / parts] = part % 2 ? -value : value;
    }
  return scales;
}

float sumOf(const std::vector<float> &scales, int64_t row, float x, bool isForward) {
  float sum = 0;
  for (int64_t i = 0; i < parts; ++i) {
    const int64_t part = isForward ? i : parts - 1 - i;
    sum += scales[row * groups + part * groups / parts] * x;
  }
  return sum;
}

} // namespace

TEST_P(SplitSumTest, SixteenPartsAreAddedInOrder) {
  options.cudaTarget = *CudaTarget::parse("emu:64");
  open(fakePath, /*realCompiler=*/true);
  fake->behaviour.runsKernels = true;
  const std::vector<float> scales = partScales();
  std::vector<float> x(m * k, 0.0f);
  for (int64_t row = 0; row < m; ++row)
    for (int64_t part = 0; part < parts; ++part)
      x[row * k + part * k / parts] = static_cast<float>(row + 1);

  DeviceArray<uint8_t> deviceCodes(n * k / 2, 0x11);
  DeviceArray<float> deviceScales(scales), deviceX(x), y(m * n, untouched);
  CanonicalWeight weight;
  weight.format = *Format::parse("int4:g32");
  weight.n = n;
  weight.k = k;
  weight.codes = deviceCodes.data();
  weight.scales = deviceScales.data();
  const FragmentWeight packed(weight);
  DeviceArray<uint8_t> memory(packed.bytes());
  Status status = CudaRows(device(), *kernels).prepack(weight, packed, memory.data(), nullptr);
  ASSERT_TRUE(status) << message(status) << ": " << fake->fault;

  CudaWeight onDevice(packed, device(), memory.data(), *kernels);
  LinearArgs args;
  args.compute = GetParam();
  args.x = deviceX.data();
  args.m = m;
  args.xStride = k;
  args.y = y.data();
  args.yStride = n;
  Expected<const LoadedCudaKernel *> kernel = onDevice.kernel(args, nullptr);
  ASSERT_TRUE(kernel) << message(kernel);
  ASSERT_EQ((*kernel)->kernel().artifact().splits, parts);
  const LinearMemoryBytes bytes = onDevice.memoryBytes(**kernel, m);
  ASSERT_GT(bytes.counters, 0);
  DeviceArray<uint8_t> panel(bytes.panel, 0xff), workspace(bytes.workspace, 0xff), counters(bytes.counters, 0);

  int64_t orderMatters = 0;
  // Each launch has another order of blocks, and the counters as the one before it left them.
  for (int launch = 0; launch < 5; ++launch) {
    std::fill_n(y.data(), m * n, untouched);
    status = onDevice.linear(**kernel, args, {panel.data(), workspace.data(), counters.data()}, nullptr);
    ASSERT_TRUE(status) << message(status) << ": " << fake->fault;
    const std::vector<float> result = y.values();
    for (int64_t row = 0; row < m; ++row)
      for (int64_t column = 0; column < n; ++column) {
        const float factor = static_cast<float>(row + 1), expected = sumOf(scales, column, factor, true);
        orderMatters += expected != sumOf(scales, column, factor, false);
        ASSERT_EQ(result[row * n + column], expected) << "launch " << launch << ", y[" << row << ", " << column << "]";
      }
    for (uint8_t counter : counters.values())
      ASSERT_EQ(counter, 0);
  }
  EXPECT_GT(orderMatters, 0);
}

INSTANTIATE_TEST_SUITE_P(Computes, SplitSumTest, testing::Values(Compute::F32, Compute::BF16),
                         [](const auto &info) { return std::string(str(info.param)); });
