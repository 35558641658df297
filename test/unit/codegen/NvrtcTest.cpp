// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What NVRTC makes of small programs; skipped where there is none.
#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/Resources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace bq;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

namespace {

const char *const copySource = R"(#line 7 "kernel.mlir"
extern "C" __global__ void __launch_bounds__(128) copy(float *y, const float *x) {
  __shared__ float s[128];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[127 - threadIdx.x];
}
)";

/// Sixty-four values live at once in threads that have thirty-two registers.
const char *const spillingSource = R"(
extern "C" __global__ void __launch_bounds__(1024, 2) spill(float *y, const float *x, int n) {
  float v[64];
#pragma unroll
  for (int i = 0; i < 64; ++i)
    v[i] = x[i * n + threadIdx.x];
  for (int k = 0; k < n; ++k)
#pragma unroll
    for (int i = 0; i < 64; ++i)
      v[i] = v[i] * v[(i * 7 + 1) % 64] + 1.0f;
#pragma unroll
  for (int i = 0; i < 64; ++i)
    y[i * n + threadIdx.x] = v[i];
}
)";

class Nvrtc : public ::testing::Test {
protected:
  void SetUp() override {
    Expected<const NvrtcLibrary *> opened = NvrtcLibrary::get();
    if (!opened)
      GTEST_SKIP() << opened.error().message;
    library = *opened;
  }

  Expected<CudaCode> compile(const std::string &source, const char *arch) {
    return compileCuda(*library, source, "test.cu", *CudaTarget::parse(arch));
  }

  const NvrtcLibrary *library = nullptr;
};

bool isElf(const std::vector<uint8_t> &code) { return code.size() > 64 && code[0] == 0x7f && code[1] == 'E'; }

} // namespace

TEST_F(Nvrtc, MakesACubinForEachArchitecture) {
  for (const char *arch : {"sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"}) {
    CudaTarget target = *CudaTarget::parse(arch);
    if (target.sm() > library->architectures.back())
      continue;
    Expected<CudaCode> code = compile(copySource, arch);
    ASSERT_TRUE(code) << code.error().message;
    EXPECT_FALSE(code->isPtx);
    EXPECT_TRUE(isElf(code->code));
    EXPECT_THAT(code->ptx, HasSubstr(".target " + target.str() + "\n"));
    EXPECT_GT(code->milliseconds, 0);
  }
}

/// Wherever the loader looks, a machine may have another version's, or none.
TEST_F(Nvrtc, TheLibraryThatItOpensIsTheOneBesideIt) {
  ASSERT_TRUE(compile(copySource, "sm_80"));
  std::ifstream maps("/proc/self/maps");
  const std::string text{std::istreambuf_iterator<char>(maps), {}};
  const auto folder = std::filesystem::canonical(library->file.path).parent_path();
  EXPECT_THAT(text, HasSubstr((folder / "libnvrtc-builtins").string()));
}

TEST_F(Nvrtc, TellsWhatAKernelTakes) {
  Expected<std::vector<KernelResources>> copy = parseResources(compile(copySource, "sm_90a")->log);
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_EQ((*copy)[0].entry, "copy");
  EXPECT_GT((*copy)[0].registers, 0);
  EXPECT_EQ((*copy)[0].spillBytes, 0);
  EXPECT_EQ((*copy)[0].stackBytes, 0);

  Expected<std::vector<KernelResources>> spill = parseResources(compile(spillingSource, "sm_90a")->log);
  ASSERT_TRUE(spill) << spill.error().message;
  EXPECT_EQ((*spill)[0].registers, 32);
  EXPECT_GT((*spill)[0].spillBytes, 0);
  EXPECT_GT((*spill)[0].stackBytes, 0);
}

TEST_F(Nvrtc, ErrorsCarryLineOptionsLogAndSource) {
  std::string source = "#line 7 \"kernel.mlir\"\nextern \"C\" __global__ void f(int *y) { *y = nothing; }\n";
  Expected<CudaCode> code = compile(source, "sm_80");
  ASSERT_FALSE(code);
  std::string message = code.error().message, first = message.substr(0, message.find('\n'));
  EXPECT_THAT(first,
              AllOf(HasSubstr("test.cu"), HasSubstr("kernel.mlir(7): error: identifier \"nothing\" is undefined"),
                    HasSubstr("--gpu-architecture=sm_80"), HasSubstr("--fmad=false"), HasSubstr(library->file.path)));
  EXPECT_THAT(message, HasSubstr("1 error detected"));
  EXPECT_THAT(message, HasSubstr(source));
}

TEST_F(Nvrtc, ErrorsOfTheAssemblerAreNamedToo) {
  Expected<CudaCode> code = compile("extern \"C\" __global__ void f() { asm(\"no.such;\"); }\n", "sm_90a");
  ASSERT_FALSE(code);
  EXPECT_THAT(code.error().message, HasSubstr("Unknown modifier '.such'"));
}

TEST_F(Nvrtc, ANewerDeviceGetsPtxForTheNewestKnown) {
  Expected<CudaCode> code = compile(copySource, "sm_199");
  ASSERT_TRUE(code) << code.error().message;
  EXPECT_TRUE(code->isPtx);
  std::string text(code->code.begin(), code->code.end());
  EXPECT_THAT(text, HasSubstr(".target sm_" + std::to_string(library->architectures.back()) + "\n"));
}

TEST_F(Nvrtc, AnArchitectureLeftOutIsRefused) {
  NvrtcLibrary old = *library;
  old.architectures = {80, 90, 120};
  Expected<std::vector<std::string>> options = nvrtcOptions(old, *CudaTarget::parse("sm_100"), Effort::Full);
  ASSERT_FALSE(options);
  EXPECT_THAT(options.error().message, HasSubstr("makes no code for sm_100a: a newer one is needed"));
}

TEST_F(Nvrtc, ItsOwnCacheIsOffWhereItHasOne) {
  NvrtcLibrary old = *library;
  old.major = 12, old.minor = 8;
  EXPECT_THAT(*nvrtcOptions(old, *CudaTarget::parse("sm_80"), Effort::Full), Not(Contains("--no-cache")));
  old.minor = 9;
  EXPECT_THAT(*nvrtcOptions(old, *CudaTarget::parse("sm_80"), Effort::Full), Contains("--no-cache"));
}

TEST_F(Nvrtc, LowEffortIsForThoseThatHaveIt) {
  NvrtcLibrary some = *library;
  some.major = 12, some.minor = 9;
  const CudaTarget target = *CudaTarget::parse("sm_80");
  EXPECT_THAT(*nvrtcOptions(some, target, Effort::Full), Not(Contains("--Ofast-compile=min")));
  EXPECT_THAT(*nvrtcOptions(some, target, Effort::Low), Contains("--Ofast-compile=min"));
  some.minor = 8;
  EXPECT_THAT(*nvrtcOptions(some, target, Effort::Low), Not(Contains("--Ofast-compile=min")));
}

TEST_F(Nvrtc, CompilesInSeveralThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::vector<std::string> errors(4);
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      Expected<CudaCode> code = compile(copySource, i % 2 ? "sm_80" : "sm_90a");
      errors[i] = !code ? code.error().message : isElf(code->code) ? "" : "no cubin";
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_THAT(errors, ::testing::Each(""));
}

TEST_F(Nvrtc, CompilesInAForkedChild) {
  ASSERT_TRUE(compile(copySource, "sm_80"));
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    Expected<CudaCode> code = compile(copySource, "sm_80");
    _exit(code && isElf(code->code) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(NvrtcLibrary, WhatIsNoNvrtcIsRefused) {
  EXPECT_THAT(NvrtcLibrary::open({"/nowhere/libnvrtc.so.13", ""}).error().message,
              HasSubstr("NVRTC cannot be opened: /nowhere/libnvrtc.so.13"));
  EXPECT_THAT(NvrtcLibrary::open({"libm.so.6", ""}).error().message,
              HasSubstr("libm.so.6 is no NVRTC that bq can use"));
}
