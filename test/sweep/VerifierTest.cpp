// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels are compiled without MLIR's verifier, for time. Here it looks at them after every pass, for CPUs with vectors
// of each length and for GPUs: what is not valid may still become machine code, of another meaning.
#include "runtime/CompilerLibrary.h"
#include "test/sweep/SweepCases.h"

#include <gtest/gtest.h>

#include <string>

using namespace bq;
using namespace bq::sweep;

namespace {

constexpr const char *targets[] = {"cpu:znver4", "cpu:skylake-avx512", "cpu:haswell", "cpu:x86-64", "cuda:sm_90a"};

/// What the runtime itself does on CPUs.
bool isForGpusAlone(const KernelSpec &spec) {
  const bool isProduct = spec.op == KernelSpec::Op::Linear || spec.op == KernelSpec::Op::Conv2d;
  return spec.op == KernelSpec::Op::Prepack || spec.op == KernelSpec::Op::LinearInputGradient ||
         (spec.format.isMixed() && !isProduct);
}

class Verifier : public ::testing::TestWithParam<size_t> {};

} // namespace

TEST_P(Verifier, AcceptsWhatEveryPassLeaves) {
  CompilerLibrary library{""};
  Expected<const CompilerApi *> compiler = library.get();
  ASSERT_TRUE(compiler) << compiler.error().message;
  const Expected<Target> target = parseTarget(targets[GetParam()]);
  ASSERT_TRUE(target) << target.error().message;
  const bool isCpu = std::holds_alternative<CpuTarget>(*target);
  const std::vector<KernelSpec> all = allCases();
  for (size_t i = GetParam(); i < all.size(); i += std::size(targets)) {
    const KernelSpec &spec = all[i];
    if (isCpu && isForGpusAlone(spec))
      continue;
    const Expected<std::string> text = (*compiler)->explain({spec, *target, ""}, isCpu ? Stage::Llvm : Stage::Cuda);
    EXPECT_TRUE(text) << spec.str() << ": " << text.error().message;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Verifier, ::testing::Range(size_t{0}, std::size(targets)), [](const auto &info) {
  std::string name = targets[info.param];
  for (char &c : name)
    c = c == ':' || c == '-' ? '_' : c;
  return name;
});
