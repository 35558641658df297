// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Linear layers from prepacking to result: compiled for the emulator, cached, loaded and launched by the fake driver.
#include "Support.h"

#include "runtime/cuda/CudaRows.h"
#include "runtime/cuda/CudaWeight.h"

#include <cmath>
#include <numeric>
#include <random>

using namespace bq;
using namespace bq::test;
using ::testing::HasSubstr;

namespace {

struct Case {
  const char *format;
  Compute compute;
  int64_t m, n, k;
  bool hasZeros = false, hasBias = false, isPermuted = false;
  Activation activation = Activation::None;
};

std::string name(const testing::TestParamInfo<Case> &info) {
  const Case &c = info.param;
  std::string text = std::string(c.format) + "_" + std::string(str(c.compute)) + "_m" + std::to_string(c.m);
  for (char &letter : text)
    letter = std::isalnum(static_cast<unsigned char>(letter)) ? letter : '_';
  return text + (c.isPermuted ? "_permuted" : "");
}

std::vector<float> randomFloats(std::mt19937 &random, int64_t count, float low, float high) {
  std::uniform_real_distribution<float> distribution(low, high);
  std::vector<float> values(count);
  for (float &value : values)
    value = distribution(random);
  return values;
}

/// A weight in canonical form with what it borrows.
struct Weight {
  explicit Weight(const Case &c, std::mt19937 &random) {
    canonical.format = *Format::parse(c.format);
    canonical.n = c.n;
    canonical.k = c.k;
    codes.resize(c.n * canonical.format.rowBytes(c.k));
    for (uint8_t &byte : codes)
      byte = static_cast<uint8_t>(random());
    const int64_t groups = canonical.format.groupCount(c.k);
    scales = randomFloats(random, canonical.format.hasColumnScale() ? c.n + c.k : c.n * groups, 0.5f, 1.5f);
    canonical.codes = codes.data();
    canonical.scales = scales.data();
    if (c.hasZeros) {
      zeros.resize(c.n * groups);
      for (uint8_t &zero : zeros)
        zero = static_cast<uint8_t>(random() % 16);
      canonical.zeros = zeros.data();
      canonical.zeroType = ZeroPointType::U8;
    }
    if (c.isPermuted) {
      for (int64_t column = 0; column < c.k; ++column)
        groupIndex.push_back(static_cast<int32_t>(column / canonical.format.groupSize(c.k)));
      std::shuffle(groupIndex.begin(), groupIndex.end(), random);
      canonical.groupIndex = groupIndex.data();
    }
  }

  /// From the memory of a device to `memory` there.
  void prepack(const CudaDevice &device, CudaKernels &kernels, const FragmentWeight &packed, uint8_t *memory) const {
    const std::vector<uint8_t> &constants = packed.constantBytes();
    std::copy(constants.begin(), constants.end(), memory + packed.constants.offset);
    DeviceArray<uint8_t> deviceCodes(codes), deviceZeros(zeros);
    DeviceArray<float> deviceScales(scales);
    CanonicalWeight onDevice = canonical;
    onDevice.codes = deviceCodes.data();
    onDevice.scales = deviceScales.data();
    onDevice.zeros = deviceZeros.data();
    const Status status = CudaRows(device, kernels).prepack(onDevice, packed, memory, nullptr);
    EXPECT_TRUE(status) << message(status);
  }

  CanonicalWeight canonical;
  std::vector<uint8_t> codes, zeros;
  std::vector<float> scales;
  std::vector<int32_t> groupIndex;
};

class CudaLinearTest : public CudaTest, public testing::WithParamInterface<Case> {};
using CudaLinearCallTest = CudaTest;

/// What the reference backend says.
std::vector<float> expected(const CanonicalWeight &weight, LinearArgs args) {
  std::vector<float> y(args.m * weight.n);
  auto packed = referenceBackend().prepack(weight, &serialFor);
  args.y = y.data();
  args.yStride = weight.n;
  if (!packed || !referenceBackend().linear(**packed, args, &serialFor))
    y.clear();
  return y;
}

float greatest(const std::vector<float> &values) {
  float most = 0;
  for (float value : values)
    most = std::max(most, std::abs(value));
  return most;
}

} // namespace

TEST_P(CudaLinearTest, GivesWhatTheReferenceGives) {
  const Case &c = GetParam();
  options.cudaTarget = *CudaTarget::parse("emu");
  open(fakePath, /*realCompiler=*/true);
  fake->behaviour.runsKernels = true;
  std::mt19937 random(7);
  const Weight weight(c, random);
  const std::vector<float> x = randomFloats(random, c.m * c.k, -1, 1), bias = randomFloats(random, c.n, -5, 5);
  LinearArgs args;
  args.x = x.data();
  args.m = c.m;
  args.xStride = c.k;
  args.bias = c.hasBias ? bias.data() : nullptr;
  args.compute = c.compute;
  args.activation = c.activation;
  const std::vector<float> reference = expected(weight.canonical, args);
  ASSERT_FALSE(reference.empty());

  const FragmentWeight packed(weight.canonical);
  DeviceArray<uint8_t> memory(packed.bytes(), 0xff);
  weight.prepack(device(1), *kernels, packed, memory.data());
  DeviceArray<float> deviceX(x), deviceBias(bias), y(c.m * (c.n + 3), -77.0f);
  CudaWeight onDevice(packed, device(1), memory.data(), *kernels);
  args.x = deviceX.data();
  args.bias = c.hasBias ? deviceBias.data() : nullptr;
  args.y = y.data();
  args.yStride = c.n + 3;
  Expected<const LoadedCudaKernel *> kernel = onDevice.kernel(args, nullptr);
  ASSERT_TRUE(kernel) << message(kernel);
  const LinearMemoryBytes bytes = onDevice.memoryBytes(**kernel, c.m);
  DeviceArray<uint8_t> panel(bytes.panel, 0xff), workspace(bytes.workspace, 0xff), counters(bytes.counters, 0);
  const LinearMemory scratch{panel.data(), workspace.data(), counters.data()};
  Status status = onDevice.linear(**kernel, args, scratch, nullptr);
  ASSERT_TRUE(status) << message(status) << ": " << fake->fault;

  const std::vector<float> result = y.values();
  // Of products rounded to the compute's type, as a part of the greatest result.
  const float tolerance = greatest(reference) * (c.compute == Compute::F32 ? 1e-5f : 0.02f);
  for (int64_t row = 0; row < c.m; ++row) {
    for (int64_t column = 0; column < c.n; ++column)
      ASSERT_NEAR(result[row * (c.n + 3) + column], reference[row * c.n + column], tolerance) << row << " " << column;
    for (int64_t column = c.n; column < c.n + 3; ++column)
      EXPECT_EQ(result[row * (c.n + 3) + column], -77.0f);
  }
  for (uint8_t counter : counters.values())
    ASSERT_EQ(counter, 0);
  // With the counters as they were left, and another order of threads.
  ASSERT_TRUE(onDevice.linear(**kernel, args, scratch, nullptr));
  EXPECT_EQ(y.values(), result);

  // As the next process finds it.
  CompilerLibrary absent("/nowhere/libbq_compiler.so");
  ArtifactCache nextArtifacts(options, absent);
  CudaKernels next(*driver, nextArtifacts);
  auto again = next.get(onDevice.spec(args), device(), nullptr);
  EXPECT_TRUE(again) << message(again);
}

INSTANTIATE_TEST_SUITE_P(
    Formats, CudaLinearTest,
    testing::Values(Case{"int4:g32", Compute::BF16, 1, 70, 2048, false, true},
                    Case{"uint4:g64", Compute::BF16, 3, 33, 200, true, false, false, Activation::GeluTanh},
                    Case{"int8:g128", Compute::BF16, 12, 40, 256}, Case{"nf4:g32", Compute::I8, 2, 48, 96, false, true},
                    Case{"int2:g32", Compute::I8, 20, 17, 160}, Case{"sign", Compute::BF16, 1, 64, 512},
                    Case{"int3:g64", Compute::F32, 5, 20, 192, false, true, false, Activation::Relu},
                    Case{"int4:g32", Compute::BF16, 2, 32, 128, false, false, true}),
    name);

TEST_F(CudaLinearCallTest, ArgumentsAndMemoryAreChecked) {
  open();
  compilerState.artifact.gpuKernels.resize(2, compilerState.artifact.gpuKernels[0]);
  compilerState.artifact.rowMajorColumns = 64;
  compilerState.artifact.rowMajorBytes = 1;
  compilerState.artifact.splits = 2;
  compilerState.artifact.gpuKernels[1].gridY = 3;
  compilerState.artifact.gpuKernels[1].rowsPerBlock = 8;
  std::mt19937 random(7);
  const Weight weight({"int4:g32", Compute::I8, 1, 48, 64}, random);
  const FragmentWeight packed(weight.canonical);
  CudaWeight onDevice(packed, device(), weight.codes.data(), *kernels);
  float x[64] = {}, y[48];
  LinearArgs args;
  args.compute = Compute::I8;
  args.x = x;
  args.y = y;
  args.m = 1;
  args.xStride = 64;
  args.yStride = 48;
  auto kernel = onDevice.kernel(args, nullptr);
  ASSERT_TRUE(kernel) << message(kernel);
  const LinearMemoryBytes one = onDevice.memoryBytes(**kernel, 1), nine = onDevice.memoryBytes(**kernel, 9);
  EXPECT_EQ(one.panel, 64 + 4);
  EXPECT_EQ(one.workspace, 2 * 48 * 4);
  EXPECT_EQ(one.counters, 3 * 4);
  EXPECT_EQ(nine.panel, 9 * (64 + 4));
  EXPECT_EQ(nine.counters, 2 * 3 * 4);
  EXPECT_THAT(message(onDevice.linear(**kernel, args, {}, nullptr)),
              HasSubstr("needs 68 bytes of panel, 384 of workspace and 12 of counters, and one of them is null"));
  const LinearMemory memory{x, y, y};
  EXPECT_TRUE(onDevice.linear(**kernel, args, memory, nullptr));
  EXPECT_EQ(fake->launches, 2);

  LinearArgs two = args;
  two.m = 2;
  EXPECT_THAT(message(onDevice.linear(**kernel, two, memory, nullptr)),
              HasSubstr("is not the one for this call with 2 rows"));
  two.x = nullptr;
  EXPECT_FALSE(onDevice.linear(**kernel, two, memory, nullptr));
  two.m = int64_t{1} << 31;
  EXPECT_EQ(message(onDevice.kernel(two, nullptr)), "x has 2147483648 rows, must be 0 to 2147483647");
}

TEST_F(CudaLinearCallTest, AKernelThatCannotBeCompiledIsNotTriedAgain) {
  open();
  compilerState.error = internalError("it cannot be");
  std::mt19937 random(7);
  const Weight weight({"int4:g32", Compute::BF16, 1, 48, 64}, random);
  const FragmentWeight packed(weight.canonical);
  CudaWeight onDevice(packed, device(), weight.codes.data(), *kernels);
  LinearArgs args;
  args.m = 1;
  EXPECT_EQ(message(onDevice.kernel(args, nullptr)), "it cannot be");
  EXPECT_EQ(message(onDevice.kernel(args, nullptr)), "it cannot be");
  EXPECT_EQ(compilerState.compiles, 1);
  args.m = 2;
  EXPECT_FALSE(onDevice.kernel(args, nullptr));
  EXPECT_EQ(compilerState.compiles, 2);
}

TEST_F(CudaLinearCallTest, WhatIsPreparedServesCallsDuringCapture) {
  open();
  std::mt19937 random(7);
  const Weight weight({"int4:g32", Compute::BF16, 1, 48, 64}, random);
  const FragmentWeight packed(weight.canonical);
  CudaWeight onDevice(packed, device(), weight.codes.data(), *kernels);
  LinearArgs args;
  Status status = onDevice.prepare(args, {1, 3, 9, 14, 17, 100});
  ASSERT_TRUE(status) << message(status);
  EXPECT_EQ(compilerState.compiles, 4);
  EXPECT_EQ(message(onDevice.prepare(args, {0})), "x has 0 rows, must be 1 to 2147483647");
  fake->behaviour.isCapturing = true;
  const int64_t searches = artifacts->stats().memoryHits;
  for (int64_t m : {1, 3, 16, 500}) {
    args.m = m;
    EXPECT_TRUE(onDevice.kernel(args, nullptr));
  }
  EXPECT_EQ(artifacts->stats().memoryHits, searches);
  args.m = 2;
  EXPECT_THAT(message(onDevice.kernel(args, nullptr)), HasSubstr("call bq::prepare(layer, {2}) before the capture"));
  // Another weight of this shape has the same kernels.
  CudaWeight another(packed, device(), weight.codes.data(), *kernels);
  args.m = 3;
  EXPECT_TRUE(another.kernel(args, nullptr));
}
