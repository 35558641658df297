// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Instructions per weight in the innermost loop of a layer with one row of activations. At most so many can be issued
// while memory brings the weights at its full rate, so this decides whether a kernel can reach that rate.
#include "codegen/cuda/NvrtcLibrary.h"
#include "runtime/CompilerLibrary.h"
#include "test/sweep/MachineCode.h"

#include <gtest/gtest.h>

#include <cstdlib>

using namespace bq;
using namespace bq::sweep;

namespace {

/// Bits that a lane loads in the loop past the caches near the core: its codes, and nothing else.
int64_t streamedBits(const Function &function, Function::Loop loop) {
  int64_t bits = 0;
  for (size_t i = loop.begin; i < loop.end; ++i) {
    const Instruction &instruction = function.instructions[i];
    if (instruction.opcode != "LDG" || instruction.modifiers.find(".NA") == std::string::npos)
      continue;
    bits += instruction.modifiers.find(".128") != std::string::npos  ? 128
            : instruction.modifiers.find(".64") != std::string::npos ? 64
                                                                     : 32;
  }
  return bits;
}

/// Instructions in the shortest loop that streams codes and multiplies them, for each code of a lane.
double slotsPerWeight(const char *formatText) {
  KernelSpec spec;
  spec.format = *Format::parse(formatText);
  spec.n = spec.k = 8192;
  spec.dataType = ElementType::BF16;
  spec.scaleType = ElementType::BF16;
  spec.compute = Compute::BF16;
  spec.rows = 1;
  CompilerLibrary library("");
  Expected<const CompilerApi *> compiler = library.get();
  if (!compiler) {
    ADD_FAILURE() << compiler.error().message;
    return 0;
  }
  Expected<Artifact> artifact = (*compiler)->compile({spec, *CudaTarget::parse("sm_90a"), ""});
  if (!artifact) {
    ADD_FAILURE() << artifact.error().message;
    return 0;
  }
  Expected<std::vector<Function>> functions = disassemble(artifact->object);
  if (!functions) {
    ADD_FAILURE() << functions.error().message;
    return 0;
  }
  double best = 0;
  for (const Function &function : *functions)
    for (Function::Loop loop : function.loops) {
      const int64_t bits = streamedBits(function, loop);
      if (!bits || !function.count("HMMA", loop))
        continue;
      const double slots = static_cast<double>(loop.end - loop.begin) * spec.format.bits / static_cast<double>(bits);
      if (!best || slots < best)
        best = slots;
    }
  EXPECT_GT(best, 0) << "no loop streams codes and multiplies them";
  return best;
}

class Budget : public ::testing::Test {
protected:
  void SetUp() override {
    if (Expected<const NvrtcLibrary *> nvrtc = NvrtcLibrary::get(); !nvrtc)
      GTEST_SKIP() << nvrtc.error().message;
    if (!hasDisassembler())
      GTEST_SKIP() << "no nvdisasm";
  }
};

} // namespace

// At 4.8 TB/s, 132 multiprocessors of 1.755 GHz that issue four instructions for 32 lanes in a cycle have 3.1 slots for
// a weight of four bits, and 1.5 for one of two. What is below leaves half of that, or a seventh, to waiting.
TEST_F(Budget, FourBits) { EXPECT_LE(slotsPerWeight("int4:g128"), 1.7); }
TEST_F(Budget, TwoBits) { EXPECT_LE(slotsPerWeight("int2:g128"), 1.3); }
