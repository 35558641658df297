// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/CpuTarget.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

using namespace bq;

namespace {

constexpr uint32_t v3 = CpuTarget::AVX2 | CpuTarget::FMA | CpuTarget::F16C;

/// Sets BQ_CPU while it lives, and puts back what was there.
class ScopedCpu {
public:
  explicit ScopedCpu(const char *value) {
    if (const char *old = std::getenv("BQ_CPU"))
      before = old;
    set(value);
  }
  ~ScopedCpu() { set(before ? before->c_str() : nullptr); }

private:
  static void set(const char *value) { value ? setenv("BQ_CPU", value, 1) : unsetenv("BQ_CPU"); }
  std::optional<std::string> before;
};

} // namespace

TEST(CpuTarget, KnownNamesHaveTheirLevel) {
  EXPECT_EQ(CpuTarget::parse("x86-64")->features, 0u);
  EXPECT_EQ(CpuTarget::parse("haswell")->features, v3);
  EXPECT_EQ(CpuTarget::parse("x86-64-v4")->features, v3 | CpuTarget::AVX512);
  EXPECT_TRUE(CpuTarget::parse("cascadelake")->has(CpuTarget::AVX512VNNI));
  EXPECT_FALSE(CpuTarget::parse("cascadelake")->has(CpuTarget::AVX512BF16));
  EXPECT_TRUE(CpuTarget::parse("znver4")->has(CpuTarget::AVX512BF16));
  EXPECT_TRUE(CpuTarget::parse("alderlake")->has(CpuTarget::AVXVNNI));
  EXPECT_FALSE(CpuTarget::parse("alderlake")->has(CpuTarget::AVX512));
  EXPECT_EQ(CpuTarget::parse("znver4")->name, "znver4");
  EXPECT_EQ(CpuTarget::parse("host")->str(), CpuTarget::host().str());
}

TEST(CpuTarget, UnknownNamesAreRefusedWithTheTable) {
  for (const char *name : {"", "Haswell", "haswell ", "pentium", "native"}) {
    Expected<CpuTarget> target = CpuTarget::parse(name);
    ASSERT_FALSE(target) << name;
    EXPECT_EQ(target.error().message.rfind("cpu '" + std::string(name) + "' is not known: use one of host, x86-64", 0),
              0u)
        << target.error().message;
    EXPECT_NE(target.error().message.find("znver4"), std::string::npos);
  }
}

TEST(CpuTarget, LanesFollowTheWidestVector) {
  EXPECT_EQ(CpuTarget::parse("x86-64")->lanes(), 4);
  EXPECT_EQ(CpuTarget::parse("haswell")->lanes(), 8);
  EXPECT_EQ(CpuTarget::parse("x86-64-v4")->lanes(), 16);
}

TEST(CpuTarget, ATargetRunsWhereItsFeaturesAre) {
  const CpuTarget generic, haswell = *CpuTarget::parse("haswell"), znver4 = *CpuTarget::parse("znver4");
  EXPECT_TRUE(generic.runsOn(generic));
  EXPECT_TRUE(generic.runsOn(znver4));
  EXPECT_TRUE(haswell.runsOn(znver4));
  EXPECT_FALSE(haswell.runsOn(generic));
  EXPECT_FALSE(znver4.runsOn(haswell));
  EXPECT_TRUE(CpuTarget::host().runsOn(CpuTarget::host()));
}

TEST(CpuTarget, FeatureStringIsWhatLLVMReads) {
  EXPECT_EQ(CpuTarget().featureString(), "");
  EXPECT_EQ(CpuTarget().str(), "x86-64");
  EXPECT_EQ(CpuTarget::parse("haswell")->featureString(), "+avx2,+fma,+f16c");
  EXPECT_EQ(CpuTarget::parse("znver4")->str(),
            "znver4:+avx2,+fma,+f16c,+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512vnni,+avx512bf16,+avx512vbmi,"
            "+avx512vbmi2,+popcnt");
}

TEST(CpuTarget, TheEnvironmentChooses) {
  {
    ScopedCpu unset(nullptr);
    EXPECT_EQ(CpuTarget::fromEnvironment()->str(), CpuTarget::host().str());
  }
  {
    ScopedCpu empty("");
    EXPECT_EQ(CpuTarget::fromEnvironment()->str(), CpuTarget::host().str());
  }
  {
    ScopedCpu generic("x86-64");
    EXPECT_EQ(CpuTarget::fromEnvironment()->str(), "x86-64");
  }
  {
    ScopedCpu unknown("pentium");
    Expected<CpuTarget> target = CpuTarget::fromEnvironment();
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().code, ErrorCode::InvalidArgument);
    EXPECT_EQ(target.error().message.rfind("BQ_CPU: cpu 'pentium' is not known", 0), 0u) << target.error().message;
  }
}

TEST(CpuTarget, TheEnvironmentCannotAskForMoreThanTheMachineHas) {
  // Which targets this machine lacks is not known beforehand.
  for (const char *name : {"sapphirerapids", "znver5", "icelake-server", "x86-64-v4", "alderlake", "haswell"}) {
    if (CpuTarget::parse(name)->runsOn(CpuTarget::host()))
      continue;
    ScopedCpu more(name);
    Expected<CpuTarget> target = CpuTarget::fromEnvironment();
    ASSERT_FALSE(target);
    EXPECT_NE(target.error().message.find("BQ_CPU '" + std::string(name) + "' needs +avx2"), std::string::npos);
    EXPECT_NE(target.error().message.find("this machine has only " + CpuTarget::host().featureString()),
              std::string::npos);
    return;
  }
  GTEST_SKIP() << "this machine runs every known target";
}
