// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels compiled for every architecture: what they take of a GPU, and which instructions they are made of. Skipped
// where there is no NVRTC.
#include "codegen/cuda/NvrtcLibrary.h"
#include "runtime/CompilerLibrary.h"
#include "test/sweep/MachineCode.h"
#include "test/sweep/SweepCases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

using namespace bq;
using namespace bq::sweep;

namespace {

constexpr const char *architectures[] = {"sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"};

/// Dynamic shared memory that a block may have on every GPU from sm_80 on (sm_86, sm_89 and sm_120 have the least).
constexpr int64_t sharedBytesEverywhere = 99 << 10;

/// Of the instructions that an architecture lacks, NVRTC makes many others; and what a kernel never wants.
std::string forbidden(const KernelSpec &spec, const Instruction &instruction) {
  const std::string &opcode = instruction.opcode;
  if (opcode == "LDL" || opcode == "STL")
    return "local memory";
  if (opcode == "DADD" || opcode == "DMUL" || opcode == "DFMA")
    return "arithmetic in double precision";
  if (opcode == "MOVM" && spec.op != KernelSpec::Op::LinearInputGradient)
    return "an emulated tensor instruction on bits";
  if (opcode == "F2FP" && (instruction.modifiers.find(".E4M3") != std::string::npos ||
                           instruction.modifiers.find(".E5M2") != std::string::npos))
    return "an emulated tensor instruction on 8-bit floats";
  return "";
}

/// What kernels take to compile, in milliseconds of this process's processors.
class CompileTimes {
public:
  /// What `compile` returns, its time noted under `name`.
  template <typename Compile>
  auto measure(const std::string &name, Compile compile) {
    const std::clock_t start = std::clock();
    auto result = compile();
    times.emplace_back(1e3 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, name);
    return result;
  }
  /// The median and the slowest three.
  void print(const char *architecture) {
    std::sort(times.rbegin(), times.rend());
    std::printf("%s: %zu kernels, median %.0f ms of CPU time to compile; slowest", architecture, times.size(),
                times[times.size() / 2].first);
    for (size_t i = 0; i < std::min<size_t>(3, times.size()); ++i)
      std::printf(" %.0f (%s)", times[i].first, times[i].second.c_str());
    std::printf("\n");
  }

private:
  std::vector<std::pair<double, std::string>> times;
};

class Sweep : public ::testing::TestWithParam<size_t> {
protected:
  void SetUp() override {
    Expected<const NvrtcLibrary *> nvrtc = NvrtcLibrary::get();
    if (!nvrtc)
      GTEST_SKIP() << nvrtc.error().message;
    if (!std::binary_search((*nvrtc)->architectures.begin(), (*nvrtc)->architectures.end(), target.sm()))
      GTEST_SKIP() << "NVRTC " << (*nvrtc)->version() << " makes no code for " << target.str();
    Expected<const CompilerApi *> opened = library.get();
    ASSERT_TRUE(opened) << opened.error().message;
    compiler = *opened;
  }

  void checkResources(const Artifact &artifact) {
    ASSERT_FALSE(artifact.gpuKernels.empty());
    EXPECT_EQ(artifact.gpuKernels.back().entry, artifact.name);
    for (const GpuKernel &kernel : artifact.gpuKernels) {
      SCOPED_TRACE(kernel.entry);
      EXPECT_GT(kernel.registers, 0);
      EXPECT_EQ(kernel.spillBytes, 0);
      EXPECT_EQ(kernel.stackBytes, 0);
      EXPECT_LE(kernel.sharedBytes, sharedBytesEverywhere);
    }
  }

  void checkInstructions(const KernelSpec &spec, const Artifact &artifact) {
    if (!hasDisassembler())
      return;
    Expected<std::vector<Function>> functions = disassemble(artifact.object);
    ASSERT_TRUE(functions) << functions.error().message;
    // Beside the kernels there may be what they call for rare cases of divisions and square roots.
    const auto kernels = std::count_if(functions->begin(), functions->end(), [](const Function &function) {
      return function.name.rfind("__cuda_sm", 0) != 0;
    });
    EXPECT_EQ(static_cast<size_t>(kernels), artifact.gpuKernels.size());
    for (const Function &function : *functions) {
      for (const Instruction &instruction : function.instructions)
        if (std::string what = forbidden(spec, instruction); !what.empty()) {
          ADD_FAILURE() << function.name << " has " << instruction.opcode << instruction.modifiers << ": " << what;
          break;
        }
      if (function.name != artifact.name)
        continue;
      // Mixed weights that are streamed are multiplied in f32, whatever activations are rounded to, and these are read
      // where they are; from panels both are bf16.
      const bool isStreamed = artifact.schedule.find("stream") != std::string::npos;
      const bool isProduct = (spec.op == KernelSpec::Op::Linear || spec.op == KernelSpec::Op::Conv2d) && !isStreamed;
      const bool isGradient = spec.op == KernelSpec::Op::LinearInputGradient;
      const bool isI8 = spec.compute == Compute::I8 && !spec.format.isMixed();
      EXPECT_EQ(function.count("HMMA") > 0, isGradient || (isProduct && spec.compute != Compute::F32 && !isI8));
      EXPECT_EQ(function.count("IMMA") > 0, isProduct && isI8);
      // Activations that were prepared go to shared memory by asynchronous copies.
      if (isProduct && artifact.rowMajorColumns > 0)
        EXPECT_GT(function.count("LDGSTS"), 0);
    }
  }

  CudaTarget target = *CudaTarget::parse(architectures[GetParam()]);
  CompilerLibrary library{""};
  const CompilerApi *compiler = nullptr;
};

} // namespace

TEST_P(Sweep, KernelsFitTheRegistersAndUseTheTensorInstructions) {
  CompileTimes times;
  for (const KernelSpec &spec : casesFor(GetParam(), std::size(architectures))) {
    SCOPED_TRACE(spec.str());
    Expected<Artifact> artifact = times.measure(spec.name(), [&] { return compiler->compile({spec, target, ""}); });
    if (!artifact) {
      ADD_FAILURE() << artifact.error().message;
      continue;
    }
    checkResources(*artifact);
    checkInstructions(spec, *artifact);
  }
  times.print(architectures[GetParam()]);
}

INSTANTIATE_TEST_SUITE_P(Cuda, Sweep, ::testing::Range(size_t{0}, std::size(architectures)),
                         [](const auto &info) { return std::string(architectures[info.param]); });
