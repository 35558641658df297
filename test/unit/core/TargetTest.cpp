// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Target.h"

#include <gtest/gtest.h>

using namespace bq;

namespace {

/// The text of the error, or "accepted".
std::string errorOf(const char *name) {
  Expected<CudaTarget> target = CudaTarget::parse(name);
  return target ? "accepted" : target.error().message;
}

} // namespace

TEST(CudaTarget, NamesAreReadAndPrinted) {
  for (const char *name :
       {"sm_80", "sm_86", "sm_87", "sm_89", "sm_90a", "sm_100a", "sm_103a", "sm_120a", "sm_121a", "emu", "emu:132"})
    EXPECT_EQ(CudaTarget::parse(name)->str(), name);
  EXPECT_EQ(CudaTarget::parse("sm_86")->major, 8);
  EXPECT_EQ(CudaTarget::parse("sm_86")->minor, 6);
  EXPECT_EQ(CudaTarget::parse("sm_120a")->sm(), 120);
  EXPECT_TRUE(CudaTarget::parse("emu")->isEmulator);
  EXPECT_EQ(CudaTarget::parse("emu")->sm(), 90);
  EXPECT_EQ(CudaTarget::parse("emu:132")->multiprocessors, 132);
}

TEST(CudaTarget, TheSuffixIsImpliedWhereThereIsOne) {
  EXPECT_EQ(*CudaTarget::parse("sm_90"), *CudaTarget::parse("sm_90a"));
  EXPECT_EQ(CudaTarget::parse("sm_120")->str(), "sm_120a");
  EXPECT_EQ(*CudaTarget::parse("cuda:sm_80"), *CudaTarget::parse("sm_80"));
  EXPECT_NE(errorOf("sm_80a").find("is not known"), std::string::npos);
}

TEST(CudaTarget, ADeviceMayBeNewerThanTheProgram) { EXPECT_EQ(CudaTarget::parse("sm_130")->str(), "sm_130a"); }

TEST(CudaTarget, RefusalsListTheNames) {
  for (const char *name : {"", "sm_", "sm_x", "sm_90b", "sm_-90", "sm_91", "sm_900", "sm_99999999999", "90a", "hopper"})
    EXPECT_EQ(errorOf(name), "GPU architecture '" + std::string(name) +
                                 "' is not known: use one of sm_80, sm_86, sm_89, sm_90a, sm_100a, sm_120a or emu");
  for (const char *name : {"emu:", "emu:0", "emu:-1", "emu:1025", "emu:8x", "emulator", "emu8"})
    EXPECT_EQ(errorOf(name), "GPU architecture '" + std::string(name) +
                                 "' is not known, the emulator has 1 to 1024 multiprocessors, as in emu:132: use one "
                                 "of sm_80, sm_86, sm_89, sm_90a, sm_100a, sm_120a or emu");
  EXPECT_EQ(
      errorOf("sm_75"),
      "GPU architecture 'sm_75' is too old, kernels use bf16 mma and cp.async, which begin with sm_80: use one of "
      "sm_80, sm_86, sm_89, sm_90a, sm_100a, sm_120a or emu");
}

TEST(Target, EveryKindIsReadAndPrinted) {
  EXPECT_EQ(std::get<CpuTarget>(*parseTarget("cpu:haswell")).name, "haswell");
  EXPECT_EQ(str(*parseTarget("cpu:x86-64")), "x86-64");
  EXPECT_EQ(std::get<CudaTarget>(*parseTarget("cuda:sm_90")).sm(), 90);
  EXPECT_EQ(str(*parseTarget("cuda:sm_90")), "cuda:sm_90a");
  EXPECT_EQ(str(*parseTarget("cuda:emu")), "cuda:emu");
}

TEST(Target, EachHasItsNumbersOfRows) {
  const Target cpu = *parseTarget("cpu:haswell"), gpu = *parseTarget("cuda:sm_90");
  const std::pair<int64_t, std::pair<int, int>> rows[] = {
      {0, {0, 0}}, {1, {1, 1}}, {8, {8, 8}}, {9, {0, 16}}, {16, {0, 16}}, {17, {0, 0}}, {int64_t{1} << 40, {0, 0}}};
  for (auto [m, expected] : rows) {
    EXPECT_EQ(kernelRows(cpu, m), expected.first) << m;
    EXPECT_EQ(kernelRows(gpu, m), expected.second) << m;
  }
}

TEST(Target, RefusalsNameWhatIsAccepted) {
  EXPECT_EQ(parseTarget("gpu").error().message,
            "unknown target 'gpu', expected cpu, cpu:NAME such as cpu:haswell, or cuda:ARCH such as cuda:sm_90a");
  EXPECT_NE(parseTarget("cpu:z80").error().message.find("cpu 'z80' is not known"), std::string::npos);
  EXPECT_NE(parseTarget("cuda:z80").error().message.find("GPU architecture 'cuda:z80' is not known"),
            std::string::npos);
  EXPECT_NE(parseTarget("cuda").error().message.find("unknown target 'cuda'"), std::string::npos);
}
