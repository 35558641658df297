// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The table of CPUs agrees with LLVM, which generates code by its own.
#include "dialect/core/CpuTarget.h"

#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Triple.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

using namespace bq;

namespace {

constexpr CpuTarget::Feature features[] = {CpuTarget::AVX2,       CpuTarget::FMA,        CpuTarget::F16C,
                                           CpuTarget::AVX512,     CpuTarget::AVX512VNNI, CpuTarget::AVX512BF16,
                                           CpuTarget::AVX512VBMI, CpuTarget::AVXVNNI};

/// The names of the table, as the error for an unknown one lists them.
std::vector<std::string> knownNames() {
  const std::string message = CpuTarget::parse("none such").error().message, before = "use one of host, ";
  std::vector<std::string> names;
  for (size_t begin = message.find(before) + before.size(); begin < message.size();) {
    size_t end = std::min(message.find(", ", begin), message.size());
    names.push_back(message.substr(begin, end - begin));
    begin = end + 2;
  }
  return names;
}

std::unique_ptr<llvm::MCSubtargetInfo> subtargetOf(const std::string &cpu) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86TargetMC();
  llvm::Triple triple("x86_64-unknown-linux-gnu");
  std::string error;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, error);
  return std::unique_ptr<llvm::MCSubtargetInfo>(target ? target->createMCSubtargetInfo(triple, cpu, "") : nullptr);
}

TEST(CpuTargetTable, NamesAreListed) {
  std::vector<std::string> names = knownNames();
  ASSERT_GE(names.size(), 10u);
  EXPECT_EQ(names.front(), "x86-64");
}

TEST(CpuTargetTable, LlvmKnowsEveryName) {
  for (const std::string &name : knownNames())
    EXPECT_TRUE(subtargetOf("x86-64")->isCPUStringValid(name)) << name;
}

TEST(CpuTargetTable, FeaturesAreThoseOfLlvm) {
  for (const std::string &name : knownNames()) {
    Expected<CpuTarget> target = CpuTarget::parse(name);
    ASSERT_TRUE(target.ok()) << name;
    std::unique_ptr<llvm::MCSubtargetInfo> subtarget = subtargetOf(name);
    for (CpuTarget::Feature feature : features) {
      const std::string spelled = CpuTarget{name, static_cast<uint32_t>(feature)}.featureString();
      EXPECT_EQ(target->has(feature), subtarget->checkFeatures(spelled)) << name << " " << spelled;
    }
  }
}

} // namespace
