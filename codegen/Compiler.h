// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The border of the compiler: libbq_compiler.so, which alone links MLIR and LLVM, seen as plain C++.
#ifndef BQ_CODEGEN_COMPILER_H
#define BQ_CODEGEN_COMPILER_H

#include "codegen/Artifact.h"
#include "codegen/KernelSpec.h"
#include "dialect/core/Target.h"

#include <string>

namespace bq {

struct CompileRequest {
  KernelSpec spec;
  Target target;
  std::string schedule; ///< Algorithm to force, such as "stream"; empty = the first candidate that accepts.
};

/// How far explain() goes.
enum class Stage {
  Layer, ///< This and the next two: what bq-opt shows at the same level.
  Schedule,
  Tile,
  Llvm, ///< This and the next for CPUs: LLVM IR, and assembly.
  Asm,
  Cuda, ///< This and the next for GPUs: CUDA C++, with its prelude but for the emulator, and PTX.
  Ptx,  ///< Not for the emulator.
};

/// What libbq_compiler.so offers. Found by dlsym under compilerApiSymbol. All functions may be called from any thread,
/// and from a forked child; none keeps threads or throws.
struct CompilerApi {
  const char *buildId; ///< Must equal bq::buildId() of the caller.
  const char *llvmVersion;
  /// Spec to machine code; once the library is loaded 5 to 25 ms for a CPU, 50 to 250 ms for a GPU.
  Expected<Artifact> (*compile)(const CompileRequest &request);
  /// The kernel at one stage, as text. The target need not be one this machine can run.
  Expected<std::string> (*explain)(const CompileRequest &request, Stage stage);
  /// The candidates in order, one line each: name, then "chosen", "not reached" or the reason of refusal.
  Expected<std::string> (*candidates)(const CompileRequest &request);
};

constexpr const char *compilerApiSymbol = "bqCompilerApi";
using CompilerApiFn = const CompilerApi *(*)();

/// Identifies this build of bq; a part of every kernel's key.
const char *buildId();

} // namespace bq

#endif // BQ_CODEGEN_COMPILER_H
