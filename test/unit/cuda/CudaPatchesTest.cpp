// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Convolutions on a device: rows are patches, prepared panel by panel.
#include "Support.h"

#include "runtime/Conv2dShape.h"
#include "runtime/cuda/CudaRows.h"
#include "runtime/cuda/CudaWeight.h"

#include <cmath>
#include <random>

using namespace bq;
using namespace bq::test;
using ::testing::HasSubstr;

namespace {

/// A weight of four bits, its scales and codes.
struct Weight {
  Weight(int64_t n, int64_t k) : codes(n * (k + 1) / 2), scales(n * ((k + 7) / 8)) {
    std::mt19937 random(3);
    for (uint8_t &byte : codes)
      byte = static_cast<uint8_t>(random());
    for (float &scale : scales)
      scale = 0.5f + static_cast<float>(random() % 100) / 100;
    canonical.format = *Format::parse("int4:g8");
    canonical.n = n;
    canonical.k = k;
    canonical.codes = codes.data();
    canonical.scales = scales.data();
  }

  CanonicalWeight canonical;
  std::vector<uint8_t> codes;
  std::vector<float> scales;
};

class CudaPatchesTest : public CudaTest, public testing::WithParamInterface<std::pair<Compute, int>> {};

} // namespace

// In f32 the kernel gathers patches itself; for the others they are prepared, with and without a scale that is given.
TEST_P(CudaPatchesTest, GiveWhatTheReferenceGives) {
  const auto [compute, activationBits] = GetParam();
  options.cudaTarget = *CudaTarget::parse("emu");
  open(fakePath, /*realCompiler=*/true);
  fake->behaviour.runsKernels = true;
  Conv2dShape shape;
  shape.batch = 2;
  shape.channels = 8;
  shape.height = 5;
  shape.width = 6;
  shape.outChannels = 20;
  shape.kernel = {3, 3};
  shape.stride = {2, 1};
  shape.padding = {1, 1};
  const bq::abi::Conv2dGeometry geometry = shape.forward();
  const Weight weight(shape.outChannels, shape.k());
  std::mt19937 random(4);
  std::vector<float> x(shape.batch * shape.height * shape.width * shape.channels);
  for (float &value : x)
    value = static_cast<float>(random() % 2001) / 1000 - 1;
  const float scale = 0.25f;
  LinearArgs args;
  args.x = x.data();
  args.m = geometry.pixels();
  args.geometry = &geometry;
  args.compute = compute;
  args.activationBits = activationBits;
  args.activationScale = activationBits ? &scale : nullptr;
  std::vector<float> reference(args.m * shape.outChannels);
  args.y = reference.data();
  args.yStride = shape.outChannels;
  auto plain = referenceBackend().prepack(weight.canonical, &serialFor);
  ASSERT_TRUE(plain && referenceBackend().linear(**plain, args, &serialFor));

  const FragmentWeight packed(weight.canonical);
  DeviceArray<uint8_t> memory(packed.bytes(), 0xff), codes(weight.codes);
  DeviceArray<float> scales(weight.scales), deviceX(x), deviceScale(1, scale), y(reference.size(), -77.0f);
  CanonicalWeight there = weight.canonical;
  there.codes = codes.data();
  there.scales = scales.data();
  ASSERT_TRUE(CudaRows(device(), *kernels).prepack(there, packed, memory.data(), nullptr));
  const CudaWeight onDevice(packed, device(), memory.data(), *kernels);
  args.x = deviceX.data();
  args.activationScale = activationBits ? deviceScale.data() : nullptr;
  args.y = y.data();
  auto kernel = onDevice.kernel(args, nullptr);
  ASSERT_TRUE(kernel) << message(kernel);
  DeviceArray<uint8_t> panel(onDevice.memoryBytes(**kernel, args.m).panel, 0xff);
  const Status status = onDevice.linear(**kernel, args, {panel.data(), nullptr, nullptr}, nullptr);
  ASSERT_TRUE(status) << message(status) << ": " << fake->fault;
  // Of activations rounded to eight bits, half a step of 1 / 127 each: 72 of them with weights of up to 8 * 1.5. With a
  // scale of their own they are the reference's.
  const float tolerance = compute == Compute::I8 && !activationBits ? 72 * 12 * 0.5f / 127 : 72 * 12 * 0x1p-9f;
  const std::vector<float> result = y.values();
  for (size_t i = 0; i < result.size(); ++i)
    ASSERT_NEAR(result[i], reference[i], activationBits ? 1e-3f : tolerance) << i;
}

INSTANTIATE_TEST_SUITE_P(Computes, CudaPatchesTest,
                         testing::Values(std::pair(Compute::F32, 0), std::pair(Compute::BF16, 0),
                                         std::pair(Compute::I8, 0), std::pair(Compute::I8, 4)),
                         [](const auto &info) {
                           return std::string(str(info.param.first)) + "_" + std::to_string(info.param.second);
                         });

// 16 MiB of patches at a time: of rows of 2^19 columns in bf16 no more than the 32 that a kernel takes at once.
TEST_F(CudaPatchesTest, ArePreparedPanelByPanel) {
  open();
  compilerState.artifact.gpuKernels.resize(2, compilerState.artifact.gpuKernels[0]);
  const int64_t k = int64_t{1} << 19;
  compilerState.artifact.rowMajorColumns = k;
  const Weight weight(2, k);
  const FragmentWeight packed(weight.canonical);
  compilerState.artifact.layout = packed.layout().str();
  const CudaWeight onDevice(packed, device(), weight.codes.data(), *kernels);
  bq::abi::Conv2dGeometry geometry;
  geometry.batch = 1;
  geometry.height = geometry.width = geometry.outHeight = geometry.outWidth = 6;
  geometry.kernelWidth = 2;
  float x = 0, y = 0;
  LinearArgs args;
  args.x = &x;
  args.y = &y;
  args.yStride = 2;
  args.m = geometry.pixels();
  args.geometry = &geometry;
  args.compute = Compute::BF16;
  auto kernel = onDevice.kernel(args, nullptr);
  ASSERT_TRUE(kernel) << message(kernel);
  EXPECT_EQ(onDevice.memoryBytes(**kernel, args.m).panel, 32 * k * 2);
  fake->launches = 0;
  ASSERT_TRUE(onDevice.linear(**kernel, args, {&x, nullptr, nullptr}, nullptr));
  EXPECT_EQ(fake->launches, 4) << "36 patches are 32 and 4";

  geometry.multiply[1] = int64_t{1} << 29;
  EXPECT_THAT(message(onDevice.linear(**kernel, args, {&x, nullptr, nullptr}, nullptr)),
              HasSubstr("has coordinates up to 3221225474 in axis 1: kernels for GPUs have them up to 2147483647"));
}

// A convolution of single pixels is a linear layer on them, with kernels for few rows.
TEST_F(CudaPatchesTest, PixelsAreRows) {
  open();
  const Weight weight(2, 8);
  const FragmentWeight packed(weight.canonical);
  const CudaWeight onDevice(packed, device(), weight.codes.data(), *kernels);
  bq::abi::Conv2dGeometry geometry;
  geometry.batch = 1;
  geometry.height = geometry.outHeight = 1;
  geometry.width = geometry.outWidth = 3;
  geometry.columnStride = 8;
  geometry.rowStride = geometry.batchStride = 24;
  LinearArgs args;
  args.m = 3;
  args.geometry = &geometry;
  const KernelSpec spec = onDevice.spec(args);
  EXPECT_EQ(spec.op, KernelSpec::Op::Linear);
  EXPECT_EQ(spec.rows, 3);
}

// Height and width may each be as large as K, and tell kernels apart in all of their bits.
TEST_F(CudaPatchesTest, AreToldApartByTheirSize) {
  open();
  CanonicalWeight weight;
  weight.format = *Format::parse("int4");
  weight.n = 1;
  weight.k = (int64_t{1} << 30) + 1;
  const FragmentWeight packed(weight);
  compilerState.artifact.layout = packed.layout().str();
  float memory = 0;
  const CudaWeight onDevice(packed, device(), &memory, *kernels);
  bq::abi::Conv2dGeometry geometry;
  geometry.multiply[0] = 2;
  LinearArgs args;
  args.m = 1;
  args.geometry = &geometry;
  for (auto [height, width] : {std::pair(weight.k, int64_t{1}), {1, weight.k}, {1, 1}}) {
    geometry.kernelHeight = height;
    geometry.kernelWidth = width;
    auto kernel = onDevice.kernel(args, nullptr);
    ASSERT_TRUE(kernel) << message(kernel);
    const KernelSpec &spec = (*kernel)->kernel().spec();
    EXPECT_EQ(std::pair(spec.kernelHeight, spec.kernelWidth), std::pair(height, width));
  }
}
