// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Quantize, dequantize and embedding on the emulator, through the fake driver.
#include "Support.h"

#include "runtime/RowSpec.h"
#include "runtime/cuda/CudaRows.h"

#include <random>

using namespace bq;
using namespace bq::test;
using ::testing::HasSubstr;

namespace {

struct CudaRowsTest : CudaTest, testing::WithParamInterface<const char *> {
  void SetUp() override {
    options.cudaTarget = *CudaTarget::parse("emu");
    open(fakePath, /*realCompiler=*/true);
    fake->behaviour.runsKernels = true;
  }
};

using CudaRowsCallTest = CudaTest;

constexpr int64_t n = 5, k = 96;

} // namespace

TEST_P(CudaRowsTest, GiveWhatTheReferenceGives) {
  const Format format = *Format::parse(GetParam());
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> values(n * k);
  for (float &value : values)
    value = normal(random);
  const int64_t groups = n * format.groupCount(k);
  std::vector<uint8_t> codes(n * format.rowBytes(k)), zeros(format.hasZeroPoints() ? groups : 0);
  std::vector<float> scales(groups);
  QuantizeArgs args;
  args.format = format;
  args.n = n;
  args.k = k;
  args.stride = k;
  args.weight = values.data();
  args.codes = codes.data();
  args.scales = scales.data();
  args.zeros = zeros.empty() ? nullptr : zeros.data();
  ASSERT_TRUE(referenceBackend().quantize(args, &serialFor));

  CudaRows rows(device(), *kernels);
  DeviceArray<float> deviceValues(values), deviceScales(groups, -1.0f);
  DeviceArray<uint8_t> deviceCodes(codes.size(), 0xff), deviceZeros(zeros.size(), 0xff);
  args.weight = deviceValues.data();
  args.codes = deviceCodes.data();
  args.scales = deviceScales.data();
  args.zeros = deviceZeros.data();
  Status status = rows.quantize(args, nullptr);
  ASSERT_TRUE(status) << message(status) << ": " << fake->fault;
  EXPECT_EQ(deviceCodes.values(), codes);
  EXPECT_EQ(deviceScales.values(), scales);
  EXPECT_EQ(deviceZeros.values(), zeros);

  CanonicalWeight weight;
  weight.format = format;
  weight.n = n;
  weight.k = k;
  weight.codes = codes.data();
  weight.scales = scales.data();
  weight.zeros = zeros.empty() ? nullptr : zeros.data();
  weight.zeroType = zeros.empty() ? ZeroPointType::None : ZeroPointType::U8;
  std::vector<float> whole(n * k), chosen(3 * k);
  const std::vector<int64_t> indices = {4, 0, 4};
  ASSERT_TRUE(referenceBackend().dequantize(weight, whole.data(), &serialFor));
  ASSERT_TRUE(referenceBackend().embedding(weight, indices.data(), 3, chosen.data(), &serialFor));

  DeviceArray<float> y(n * k, -1.0f), z(3 * k, -1.0f);
  DeviceArray<int64_t> deviceIndices(indices);
  CudaRowWeight onDevice;
  onDevice.format = format;
  onDevice.n = n;
  onDevice.k = k;
  onDevice.codes = deviceCodes.data();
  onDevice.scales = deviceScales.data();
  onDevice.zeros = deviceZeros.data();
  onDevice.zeroType = weight.zeroType;
  status = rows.dequantize(onDevice, y.data(), nullptr);
  ASSERT_TRUE(status) << message(status) << ": " << fake->fault;
  EXPECT_EQ(y.values(), whole);
  status = rows.embedding(onDevice, deviceIndices.data(), 3, z.data(), nullptr);
  ASSERT_TRUE(status) << message(status) << ": " << fake->fault;
  EXPECT_EQ(z.values(), chosen);
  EXPECT_EQ(artifacts->stats().compiles, 3);
  ASSERT_TRUE(rows.embedding(onDevice, deviceIndices.data(), 3, z.data(), nullptr));
  EXPECT_EQ(artifacts->stats().memoryHits, 0);
}

INSTANTIATE_TEST_SUITE_P(Formats, CudaRowsTest, testing::Values("int4:g32", "uint3:g64"), [](const auto &info) {
  return std::string(info.param).substr(0, 5) == "uint3" ? "uint3" : "int4";
});

TEST_F(CudaRowsTest, NothingToDoAsksForNoKernel) {
  CudaRows rows(device(), *kernels);
  CudaRowWeight weight;
  weight.format = *Format::parse("int4:g32");
  weight.k = 64;
  EXPECT_TRUE(rows.embedding(weight, nullptr, 0, nullptr, nullptr));
  EXPECT_TRUE(rows.dequantize(weight, nullptr, nullptr));
  EXPECT_EQ(artifacts->stats().compiles, 0);
}

TEST_F(CudaRowsCallTest, AKernelThatCannotBeCompiledIsNotTriedAgain) {
  open();
  compilerState.error = internalError("it cannot be");
  CudaRows rows(device(), *kernels);
  const KernelSpec spec = dequantizeSpec();
  EXPECT_THAT(message(rows.kernel(spec, nullptr)), HasSubstr("it cannot be"));
  auto again = rows.kernel(spec, nullptr);
  EXPECT_THAT(message(again), HasSubstr("it cannot be"));
  EXPECT_EQ(compilerState.compiles, 1);
  EXPECT_TRUE(fallsBack(spec, again.error()));
  EXPECT_FALSE(rows.kernel(dequantizeSpec(128), nullptr));
  EXPECT_EQ(compilerState.compiles, 2);
}

TEST_F(CudaRowsCallTest, WhatMayPassIsTriedAgain) {
  open();
  compilerState.error = ioError("no memory");
  CudaRows rows(device(), *kernels);
  EXPECT_EQ(message(rows.kernel(dequantizeSpec(), nullptr)), "no memory");
  compilerState.error.reset();
  EXPECT_TRUE(rows.kernel(dequantizeSpec(), nullptr));
}

TEST_F(CudaRowsCallTest, ALaunchThatFailsIsReportedAndTheKernelStays) {
  open();
  CudaRows rows(device(), *kernels);
  CudaRowWeight weight;
  weight.format = *Format::parse("int4:g32");
  weight.n = 1;
  weight.k = 64;
  const KernelSpec spec = rowSpec(KernelSpec::Op::Dequantize, weight);
  ASSERT_TRUE(rows.kernel(spec, nullptr));
  fake->behaviour.launchResult = 719;
  float y[64];
  const Status status = rows.dequantize(weight, y, nullptr);
  EXPECT_EQ(message(status).substr(0, 10), "launching ");
  EXPECT_TRUE(rows.kernel(spec, nullptr));
  EXPECT_EQ(compilerState.compiles, 1);
}
