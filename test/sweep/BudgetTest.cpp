// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Instructions per weight in the innermost loop of a layer with one row of activations. At most so many can be issued
// while memory brings the weights at its full rate, so this decides whether a kernel can reach that rate; and so does
// how long before their use weights are loaded.
#include "codegen/cuda/NvrtcLibrary.h"
#include "runtime/CompilerLibrary.h"
#include "test/sweep/MachineCode.h"

#include <gtest/gtest.h>

#include <cstdlib>

using namespace bq;
using namespace bq::sweep;

namespace {

bool streamsCodes(const Instruction &instruction) {
  return instruction.opcode == "LDG" && instruction.modifiers.find(".NA") != std::string::npos;
}

/// Bits that a lane loads in the loop past the caches near the core: its codes, and nothing else.
int64_t streamedBits(const Function &function, Function::Loop loop) {
  int64_t bits = 0;
  for (size_t i = loop.begin; i < loop.end; ++i) {
    const Instruction &instruction = function.instructions[i];
    if (!streamsCodes(instruction))
      continue;
    bits += instruction.modifiers.find(".128") != std::string::npos  ? 128
            : instruction.modifiers.find(".64") != std::string::npos ? 64
                                                                     : 32;
  }
  return bits;
}

/// The shortest loop that streams codes and multiplies them.
struct StreamLoop {
  double slotsPerWeight = 0; ///< Instructions for each code of a lane.
  double lastLoad = 0;       ///< Where the last load of codes stands, as a part of the loop.
};

KernelSpec specOf(const char *formatText) {
  KernelSpec spec;
  spec.format = *Format::parse(formatText);
  spec.n = spec.k = 8192;
  spec.dataType = ElementType::BF16;
  spec.scaleType = ElementType::BF16;
  spec.compute = Compute::BF16;
  spec.rows = 1;
  return spec;
}

/// The machine code of a kernel; empty where it cannot be made, which is a failure.
std::vector<Function> functionsOf(const KernelSpec &spec) {
  CompilerLibrary library("");
  Expected<const CompilerApi *> compiler = library.get();
  if (!compiler) {
    ADD_FAILURE() << compiler.error().message;
    return {};
  }
  Expected<Artifact> artifact = (*compiler)->compile({spec, *CudaTarget::parse("sm_90a"), ""});
  if (!artifact) {
    ADD_FAILURE() << artifact.error().message;
    return {};
  }
  Expected<std::vector<Function>> functions = disassemble(artifact->object);
  if (!functions) {
    ADD_FAILURE() << functions.error().message;
    return {};
  }
  return *functions;
}

StreamLoop streamLoop(const KernelSpec &spec) {
  StreamLoop best;
  for (const Function &function : functionsOf(spec))
    for (Function::Loop loop : function.loops) {
      const int64_t bits = streamedBits(function, loop);
      if (!bits || !function.count("HMMA", loop))
        continue;
      const auto length = static_cast<double>(loop.end - loop.begin);
      const double slots = length * spec.format.bits / static_cast<double>(bits);
      if (best.slotsPerWeight && slots >= best.slotsPerWeight)
        continue;
      size_t last = loop.end;
      while (!streamsCodes(function.instructions[last - 1]))
        --last;
      best = {slots, static_cast<double>(last - loop.begin) / length};
    }
  EXPECT_GT(best.slotsPerWeight, 0) << "no loop streams codes and multiplies them";
  return best;
}

/// Instructions for each weight of a mixed format: of the loop that multiplies eight weights of two rows, in i8, where
/// no part of it is for activations that are not aligned.
double mixedSlots() {
  constexpr int64_t weights = 16;
  KernelSpec spec = specOf("mixed:g8");
  spec.scaleType = ElementType::F32;
  spec.compute = Compute::I8;
  for (const Function &function : functionsOf(spec))
    for (Function::Loop loop : function.loops)
      if (function.count("FFMA", loop) == 2 * weights)
        return static_cast<double>(loop.end - loop.begin) / weights;
  ADD_FAILURE() << "no loop decodes and multiplies " << weights << " weights";
  return 0;
}

/// The same with many rows, in bf16: of the loop in which a thread decodes eight weights and stores them for all rows.
double panelSlots() {
  constexpr int64_t weights = 8;
  KernelSpec spec = specOf("mixed:g8");
  spec.scaleType = ElementType::F32;
  spec.rows = 0;
  for (const Function &function : functionsOf(spec))
    for (Function::Loop loop : function.loops)
      if (function.count("FFMA", loop) == weights && function.count("STS", loop) == 1 && !function.count("HMMA", loop))
        return static_cast<double>(loop.end - loop.begin) / weights;
  ADD_FAILURE() << "no loop decodes and stores " << weights << " weights";
  return 0;
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
TEST_F(Budget, FourBits) { EXPECT_LE(streamLoop(specOf("int4:g128")).slotsPerWeight, 1.7); }
TEST_F(Budget, TwoBits) { EXPECT_LE(streamLoop(specOf("int2:g128")).slotsPerWeight, 1.3); }

// Gradients make codes exact and transpose them besides, and round what they meet: they come near what can be issued.
TEST_F(Budget, GradientOfFourBits) {
  KernelSpec spec = specOf("int4:g128");
  spec.op = KernelSpec::Op::LinearInputGradient;
  EXPECT_LE(streamLoop(spec).slotsPerWeight, 2.9);
}

// Groups of eight take four bytes beside their codes, so that a weight of four bits has 6.2 slots at that rate: these
// kernels are bound by their instructions, at half of it.
TEST_F(Budget, MixedBits) { EXPECT_LE(mixedSlots(), 11.8); }

// Tensor instructions take 1.6 slots for each weight and 64 rows, and as long as 8: what decodes a weight once for so
// many rows is what takes the time.
TEST_F(Budget, MixedPanel) { EXPECT_LE(panelSlots(), 11.8); }

// Each word of the next segment is loaded when the one before it in its registers has been used up, not when all have:
// at least a quarter of the loop comes after it.
TEST_F(Budget, WeightsAreLoadedAhead) {
  for (const char *format : {"int4:g128", "int2:g128", "int8"})
    EXPECT_LE(streamLoop(specOf(format)).lastLoad, 0.75) << format;
}
