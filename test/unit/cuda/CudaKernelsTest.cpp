// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels for GPUs from request to function, with artifacts that no kernel is in.
#include "Support.h"

#include "codegen/cuda/NvrtcFile.h"
#include "dialect/core/CudaAbi.h"

#include <fstream>
#include <sstream>
#include <thread>

using namespace bq;
using namespace bq::test;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

namespace {

using CudaKernelsTest = CudaTest;

/// Which compilers are mapped into this process.
std::vector<std::string> compilersInMemory() {
  std::ifstream file("/proc/self/maps");
  std::stringstream text;
  text << file.rdbuf();
  std::vector<std::string> found;
  for (const char *name : {"libbq_compiler", "libLLVM", "libMLIR", "libnvrtc"})
    if (text.str().find(name) != std::string::npos)
      found.push_back(name);
  return found;
}

GpuKernel &gpuKernel() { return compilerState.artifact.gpuKernels.back(); }

} // namespace

TEST_F(CudaKernelsTest, AKernelIsCompiledOnceAndLoadedOnEachDevice) {
  open();
  auto first = kernels->get(linearSpec(), device(0), nullptr), second = kernels->get(linearSpec(), device(0), nullptr),
       other = kernels->get(linearSpec(), device(1), nullptr);
  ASSERT_TRUE(first && second && other);
  EXPECT_EQ(*first, *second);
  EXPECT_NE(*first, *other);
  EXPECT_EQ(&(*first)->kernel(), &(*other)->kernel());
  EXPECT_EQ(&(*other)->device(), &device(1));
  EXPECT_EQ((*first)->kernel().spec(), linearSpec());
  EXPECT_TRUE((*first)->kernel().artifact().object.empty());
  EXPECT_EQ(compilerState.compiles, 1);
  EXPECT_EQ(fake->loads, 1);
  EXPECT_EQ(fake->image, "code of " + linearSpec().name());
}

TEST_F(CudaKernelsTest, AnOldDriverLoadsTheCodeOnEachDevice) {
  open(oldFakePath);
  auto first = kernels->get(linearSpec(), device(0), nullptr), other = kernels->get(linearSpec(), device(1), nullptr);
  ASSERT_TRUE(first) << message(first);
  ASSERT_TRUE(other) << message(other);
  EXPECT_EQ(compilerState.compiles, 1);
  EXPECT_EQ(fake->loads, 2);
  EXPECT_TRUE(
      (*other)->launch<cuda::DequantizeFn>(0, 1, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, 1));
}

TEST_F(CudaKernelsTest, ManyThreadsCompileOnce) {
  open();
  std::vector<std::thread> threads;
  std::vector<const LoadedCudaKernel *> found(16);
  for (size_t i = 0; i < found.size(); ++i)
    threads.emplace_back([&, i] {
      auto kernel = kernels->get(linearSpec(), device(), nullptr);
      found[i] = kernel ? *kernel : nullptr;
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(compilerState.compiles, 1);
  for (const LoadedCudaKernel *kernel : found)
    EXPECT_TRUE(kernel && kernel == found[0]);
}

TEST_F(CudaKernelsTest, TheNextProcessNeedsNeitherLlvmNorNvrtc) {
  const std::vector<std::string> before = compilersInMemory();
  open();
  ASSERT_TRUE(kernels->get(linearSpec(), device(), nullptr));
  CompilerLibrary absent("/nowhere/libbq_compiler.so");
  ArtifactCache nextArtifacts(options, absent);
  CudaKernels next(*driver, nextArtifacts);
  auto kernel = next.get(linearSpec(), device(), nullptr);
  ASSERT_TRUE(kernel) << message(kernel);
  EXPECT_EQ((*kernel)->kernel().artifact().schedule, "fake");
  EXPECT_EQ(nextArtifacts.stats().diskHits, 1);
  EXPECT_EQ(nextArtifacts.stats().compiles, 0);
  EXPECT_EQ(compilersInMemory(), before);
}

TEST_F(CudaKernelsTest, TheKeyHoldsTheArchitecture) {
  open();
  EXPECT_EQ(kernels->target(device())->str(), "sm_90a");
  options.cudaTarget = *CudaTarget::parse("sm_80");
  open();
  EXPECT_EQ(kernels->target(device())->str(), "sm_80");
  ASSERT_TRUE(kernels->get(linearSpec(), device(), nullptr));
  options.cudaTarget.reset();
  open();
  ASSERT_TRUE(kernels->get(linearSpec(), device(), nullptr));
  EXPECT_EQ(compilerState.compiles, 2);
  EXPECT_EQ(artifacts->disk().totals()->files, 2);
}

TEST_F(CudaKernelsTest, ADeviceThatIsTooOldIsRefused) {
  fakeAt(fakePath).behaviour.capability = 75;
  open();
  auto kernel = kernels->get(linearSpec(), device(), nullptr);
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code, ErrorCode::Unsupported);
  EXPECT_EQ(kernel.error().message, "device 0 (Fake GPU) has compute capability 7.5: kernels need 8.0 or newer");
}

TEST_F(CudaKernelsTest, ADeviceGetsACubinAndOneThatIsTooNewGetsPtx) {
  if (Expected<NvrtcFile> nvrtc = NvrtcFile::find(); !nvrtc)
    GTEST_SKIP() << message(nvrtc);
  open(fakePath, /*realCompiler=*/true);
  auto kernel = kernels->get(dequantizeSpec(), device(), nullptr);
  ASSERT_TRUE(kernel) << message(kernel);
  EXPECT_THAT(fake->image, StartsWith("\x7f"
                                      "ELF"));
  EXPECT_GT((*kernel)->kernel().artifact().gpuKernels[0].registers, 0);
  fake->behaviour.capability = 130;
  open(fakePath, /*realCompiler=*/true);
  kernel = kernels->get(dequantizeSpec(), device(), nullptr);
  ASSERT_TRUE(kernel) << message(kernel);
  EXPECT_THAT(fake->image, AllOf(HasSubstr(".version "), HasSubstr(".visible .entry " + dequantizeSpec().name())));
}

TEST_F(CudaKernelsTest, PtxThatTheDriverIsTooOldForSaysSo) {
  fakeAt(fakePath).behaviour.capability = 130;
  open();
  EXPECT_EQ(kernels->target(device())->str(), "sm_130a");
  fake->behaviour.loadResult = cuda::unsupportedPtxVersion;
  auto kernel = kernels->get(linearSpec(), device(), nullptr);
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code, ErrorCode::Unsupported);
  EXPECT_EQ(kernel.error().message, "kernel " + linearSpec().name() +
                                        ": loading its code: CUDA_ERROR_UNSUPPORTED_PTX_VERSION, says the driver for "
                                        "CUDA 13.0");
  EXPECT_EQ(artifacts->disk().totals()->files, 0);
}

TEST_F(CudaKernelsTest, ADeviceWithoutMemoryIsNoReasonToCompileAnew) {
  open();
  ASSERT_TRUE(kernels->get(linearSpec(), device(), nullptr));
  open();
  fake->behaviour.loadResult = cuda::outOfMemory;
  auto kernel = kernels->get(linearSpec(), device(), nullptr);
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code, ErrorCode::Io);
  EXPECT_THAT(kernel.error().message, HasSubstr("CUDA_ERROR_OUT_OF_MEMORY (out of memory)"));
  EXPECT_FALSE(fallsBack(linearSpec(), kernel.error()));
  EXPECT_EQ(compilerState.compiles, 1);
  fake->behaviour.loadResult = 0;
  EXPECT_TRUE(kernels->get(linearSpec(), device(), nullptr));
  EXPECT_EQ(compilerState.compiles, 1);
}

TEST_F(CudaKernelsTest, CodeThatCannotBeLoadedIsNotKept) {
  open();
  fake->behaviour.loadResult = cuda::invalidImage;
  auto kernel = kernels->get(linearSpec(), device(), nullptr);
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code, ErrorCode::Internal);
  EXPECT_EQ(artifacts->disk().totals()->files, 0);
}

TEST_F(CudaKernelsTest, AMissDuringCaptureNamesWhatToPrepare) {
  open();
  fake->behaviour.isCapturing = true;
  auto three = kernels->get(linearSpec(3), device(1), nullptr);
  ASSERT_FALSE(three);
  EXPECT_EQ(three.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(three.error().message, "kernel " + linearSpec(3).name() +
                                       " is not loaded on device 1, and cannot be while the stream is captured into a "
                                       "graph: call bq::prepare(layer, {3}) before the capture");
  EXPECT_THAT(message(kernels->get(linearSpec(0), device(), nullptr)),
              HasSubstr("call bq::prepare(layer, {17}), which is for any number of rows above 16, before the capture"));
  EXPECT_THAT(message(kernels->get(dequantizeSpec(), device(), nullptr)), HasSubstr("call bq::prepare(layer) before"));
  EXPECT_FALSE(fallsBack(linearSpec(3), three.error()));
  EXPECT_EQ(fake->loads, 0);
  EXPECT_EQ(compilerState.compiles, 0);
}

TEST_F(CudaKernelsTest, WhatIsPreparedIsFoundDuringCapture) {
  open();
  ASSERT_TRUE(kernels->prepare({linearSpec(1), linearSpec(3), linearSpec(0), dequantizeSpec()}, device()));
  EXPECT_EQ(compilerState.compiles, 4);
  EXPECT_EQ(fake->loads, 4);
  fake->behaviour.isCapturing = true;
  for (const KernelSpec &spec : {linearSpec(1), linearSpec(3), linearSpec(0), dequantizeSpec()})
    EXPECT_TRUE(kernels->get(spec, device(), nullptr));
  EXPECT_FALSE(kernels->get(linearSpec(3), device(1), nullptr));
}

TEST_F(CudaKernelsTest, SeveralAreCompiledAtOnce) {
  if (std::thread::hardware_concurrency() < 2)
    GTEST_SKIP() << "there is one core";
  open();
  compilerState.waitsForTwo = true;
  EXPECT_TRUE(kernels->prepare({linearSpec(1), linearSpec(2), linearSpec(3)}, device()));
  EXPECT_GE(compilerState.mostRunning, 2);
}

TEST_F(CudaKernelsTest, AnotherThreadsCaptureIsNotDisturbed) {
  open();
  fake->behaviour.isCapturedElsewhere = true;
  auto kernel = kernels->get(linearSpec(), device(), nullptr);
  EXPECT_TRUE(kernel) << message(kernel);
  EXPECT_TRUE(kernels->prepare({linearSpec(2)}, device()));
  // The thread is then as careful as it was.
  int mode = 0;
  driver->api().exchangeCaptureMode(&mode);
  EXPECT_EQ(mode, 0);
}

TEST_F(CudaKernelsTest, PrepareTriesAllAndNamesTheFirstThatFailed) {
  open();
  KernelSpec wrong = linearSpec(99);
  Status status = kernels->prepare({linearSpec(1), wrong, linearSpec(2)}, device());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(compilerState.compiles, 2);
}

TEST_F(CudaKernelsTest, AGridThatIsTooLargeSaysWhatFits) {
  open();
  gpuKernel().gridY = 70000;
  KernelSpec large = linearSpec();
  large.n = 70000 * 64;
  auto kernel = kernels->get(large, device(), nullptr);
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code, ErrorCode::Unsupported);
  EXPECT_THAT(kernel.error().message, HasSubstr("its grid has 70000 blocks in y, a GPU takes at most 65535: use a "
                                                "weight of at most 4194240 rows"));
  gpuKernel().gridY = 1;
  auto small = kernels->get(linearSpec(), device(), nullptr);
  ASSERT_TRUE(small);
  Status status = (*small)->launch<cuda::DequantizeFn>(0, int64_t{1} << 31, nullptr, nullptr, nullptr, nullptr, nullptr,
                                                       nullptr, nullptr, 1);
  EXPECT_THAT(message(status), HasSubstr("2147483648 rows are 2147483648 blocks in x, must be 1 to 2147483647: use 1 "
                                         "to 2147483647 rows at a time"));
}

TEST_F(CudaKernelsTest, SharedMemoryIsAskedForAndHasALimit) {
  open();
  gpuKernel().sharedBytes = 100 << 10;
  auto kernel = kernels->get(linearSpec(), device(), nullptr);
  ASSERT_TRUE(kernel) << message(kernel);
  EXPECT_TRUE(
      (*kernel)->launch<cuda::DequantizeFn>(0, 1, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, 1));
  gpuKernel().sharedBytes = 300 << 10;
  EXPECT_EQ(message(kernels->get(linearSpec(2), device(), nullptr)),
            linearSpec(2).name() + " needs 307200 bytes of shared memory for a block, and device 0 (Fake GPU) has "
                                   "232448");
}

TEST_F(CudaKernelsTest, MetadataThatCannotBeIsRefused) {
  open();
  compilerState.artifact.rowMajorColumns = 64;
  EXPECT_THAT(message(kernels->get(linearSpec(), device(), nullptr)), HasSubstr("has 1 functions, needs 2"));
  compilerState.artifact.rowMajorColumns = 0;
  gpuKernel().threads = 2048;
  EXPECT_THAT(message(kernels->get(linearSpec(), device(), nullptr)), HasSubstr("has a size out of range"));
}

TEST_F(CudaKernelsTest, AFailedLaunchIsTheDriversError) {
  open();
  auto kernel = kernels->get(linearSpec(), device(), nullptr);
  ASSERT_TRUE(kernel);
  fake->behaviour.launchResult = 719;
  Status status =
      (*kernel)->launch<cuda::DequantizeFn>(0, 1, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, 1);
  EXPECT_EQ(message(status),
            "launching " + linearSpec().name() + ": CUDA_ERROR_LAUNCH_FAILED, says the driver for CUDA 13.0");
}

TEST_F(CudaKernelsTest, WhatCannotBeCompiledIsReportedWholeAndWarnedOfOnce) {
  open();
  compilerState.error = internalError("NVRTC refuses it: bad (options -x)\nthe log\nthe source");
  auto kernel = kernels->get(linearSpec(), device(), nullptr);
  ASSERT_FALSE(kernel);
  EXPECT_THAT(kernel.error().message, AllOf(HasSubstr("NVRTC refuses it: bad (options -x)"), HasSubstr(".log")));
  const KernelSpec other = linearSpec(2);
  testing::internal::CaptureStderr();
  EXPECT_TRUE(fallsBack(linearSpec(), kernel.error()));
  EXPECT_TRUE(fallsBack(linearSpec(), kernel.error()));
  EXPECT_TRUE(fallsBack(other, unsupported("not for GPUs")));
  const std::string output = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 2) << output;
  EXPECT_THAT(output, HasSubstr("bq: warning: kernel " + linearSpec().name() +
                                " is replaced by dequantizing the weight and multiplying: NVRTC refuses it: bad"));
}
