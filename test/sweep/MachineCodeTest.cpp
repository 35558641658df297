// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/sweep/MachineCode.h"

#include <gtest/gtest.h>

using namespace bq;
using namespace bq::sweep;

TEST(MachineCode, InstructionsAndLoopsAreRead) {
  std::vector<Function> functions =
      parseDisassembly("	.headerflags	@\"EF_CUDA_SM90\"\n"
                       ".section	.text.first,\"ax\",@progbits\n"
                       ".text.first:\n"
                       "        /*0000*/                   LDC R1, c[0x0][0x28] ;\n"
                       ".L_x_0:\n"
                       "        /*0010*/              @!P0 LDG.E.NA.128.CONSTANT R4, desc[UR4][R2.64] ;\n"
                       "        /*0020*/                   HMMA.16816.F32.BF16 R12, R4, R8.reuse, RZ ;\n"
                       "        /*0030*/              @UP0 UIADD3 UR4, UR4, 0x1, URZ ;\n"
                       "        /*0040*/               @P1 BRA `(.L_x_0) ;\n"
                       "        /*0050*/                   BRA `(.L_x_1) ;\n"
                       ".L_x_1:\n"
                       "        /*0060*/                   EXIT ;\n"
                       ".text.second:\n"
                       "        /*0000*/                   EXIT ;\n");
  ASSERT_EQ(functions.size(), 2u);
  const Function &first = functions[0];
  EXPECT_EQ(first.name, "first");
  ASSERT_EQ(first.instructions.size(), 7u);
  EXPECT_EQ(first.instructions[1].opcode, "LDG");
  EXPECT_EQ(first.instructions[1].modifiers, ".E.NA.128.CONSTANT");
  EXPECT_EQ(first.instructions[1].operands, "R4, desc[UR4][R2.64]");
  EXPECT_EQ(first.instructions[3].opcode, "UIADD3");
  ASSERT_EQ(first.loops.size(), 1u);
  EXPECT_EQ(first.loops[0].begin, 1u);
  EXPECT_EQ(first.loops[0].end, 5u);
  EXPECT_EQ(first.count("HMMA"), 1);
  EXPECT_EQ(first.count("HMMA", first.loops[0]), 1);
  EXPECT_EQ(first.count("LDC", first.loops[0]), 0);
  EXPECT_EQ(functions[1].name, "second");
  EXPECT_EQ(functions[1].instructions.size(), 1u);
}
