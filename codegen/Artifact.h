// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What code generation yields: machine code, and what a caller must know to run it.
#ifndef BQ_CODEGEN_ARTIFACT_H
#define BQ_CODEGEN_ARTIFACT_H

#include <cstdint>
#include <string>
#include <vector>

namespace bq {

/// A kernel for a GPU, and the grid it is launched with.
struct GpuKernel {
  std::string entry;
  int64_t threads = 0;      ///< In a block, in one dimension.
  int64_t sharedBytes = 0;  ///< Dynamic shared memory of a block.
  int64_t rowsPerBlock = 1; ///< The grid is (ceil(rows / rowsPerBlock), gridY, gridZ), where rows are those the caller
                            ///< counts: of x, of the weight, or indices.
  int64_t gridY = 1, gridZ = 1;
  /// What the machine code takes of each thread; zeros where the driver or the emulator makes it. Spilled bytes are
  /// those stored and loaded, and lie in the stack.
  int64_t registers = 0, spillBytes = 0, stackBytes = 0;
};

struct Artifact {
  std::string name;           ///< KernelSpec::name(); the entry point. A linear kernel also has <name>_prepare.
  std::string schedule;       ///< The schedule that was chosen, as printed in IR.
  std::string layout;         ///< Layout::str() of the prepacked weight it reads; empty where it reads a canonical one.
  int64_t tasks = 0;          ///< Linear: number of tasks. 0 where the caller's rows are the tasks.
  int64_t rowMultiple = 1;    ///< Linear: the panel's rows are padded to a multiple of this.
  int64_t panelDataBytes = 0; ///< Linear: bytes of Panel::data for one row.
  int64_t panelSums = 0;      ///< Linear: entries of Panel::sums for one row, four bytes each.
  int64_t prepareScratchBytes = 0; ///< For each thread.
  int64_t scratchBytes = 0;        ///< For each thread.
  /// For a GPU: the kernel, and before it the one that prepares its activations, where it needs that.
  std::vector<GpuKernel> gpuKernels;
  int64_t rowMajorColumns = 0; ///< For a GPU, linear: columns of the prepared activations; 0 where x is read as it is.
  int64_t rowMajorBytes = 2;   ///< Of each of their elements.
  int64_t splits = 1;          ///< For a GPU, linear: parts of the sum; above 1, a workspace is needed.
  /// For a CPU: a relocatable object without undefined symbols or writable data, position independent. For a GPU: a
  /// cubin, or PTX where NVRTC does not know the architecture; for the emulator CUDA C++ without its prelude.
  std::vector<uint8_t> object;
};

} // namespace bq

#endif // BQ_CODEGEN_ARTIFACT_H
