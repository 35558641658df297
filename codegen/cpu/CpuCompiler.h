// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Kernels for CPUs: the functions of CompilerApi for a CpuTarget.
#ifndef BQ_CODEGEN_CPU_CPUCOMPILER_H
#define BQ_CODEGEN_CPU_CPUCOMPILER_H

#include "codegen/Compiler.h"

namespace bq {

/// Of each, `target` is the one that `request` holds.
Expected<Artifact> compileForCpu(const CompileRequest &request, const CpuTarget &target);
Expected<std::string> explainForCpu(const CompileRequest &request, const CpuTarget &target, Stage stage);

} // namespace bq

#endif // BQ_CODEGEN_CPU_CPUCOMPILER_H
