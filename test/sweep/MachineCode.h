// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The machine code of kernels for GPUs, by instruction.
#ifndef BQ_TEST_SWEEP_MACHINECODE_H
#define BQ_TEST_SWEEP_MACHINECODE_H

#include "dialect/core/Status.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bq::sweep {

struct Instruction {
  std::string opcode;    ///< "HMMA"
  std::string modifiers; ///< ".16816.F32.BF16", or empty
  std::string operands;
};

struct Function {
  std::string name;
  std::vector<Instruction> instructions;

  /// From the target of a branch backwards to that branch, as indices [begin, end).
  struct Loop {
    size_t begin, end;
  };
  std::vector<Loop> loops;

  int64_t count(std::string_view opcode) const { return count(opcode, {0, instructions.size()}); }
  int64_t count(std::string_view opcode, Loop loop) const;
};

/// Whether there is an nvdisasm, which is found when bq is configured.
bool hasDisassembler();
/// The functions of a cubin, by nvdisasm. Errors hold what it says.
Expected<std::vector<Function>> disassemble(const std::vector<uint8_t> &cubin);
/// The functions in a text of nvdisasm.
std::vector<Function> parseDisassembly(std::string_view text);

} // namespace bq::sweep

#endif // BQ_TEST_SWEEP_MACHINECODE_H
