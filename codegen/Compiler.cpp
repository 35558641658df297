// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/Compiler.h"

#include "codegen/Compilation.h"
#include "codegen/cpu/CpuCompiler.h"
#include "codegen/cuda/CudaCompiler.h"
#include "passes/Passes.h"
#include "passes/Schedules.h"

#include "llvm/Config/llvm-config.h"

using namespace mlir;
using namespace bq;

namespace {

Expected<Artifact> compile(const CompileRequest &request) {
  if (auto *gpu = std::get_if<CudaTarget>(&request.target))
    return compileForCuda(request, *gpu);
  return compileForCpu(request, std::get<CpuTarget>(request.target));
}

Expected<std::string> explain(const CompileRequest &request, Stage stage) {
  if (auto *gpu = std::get_if<CudaTarget>(&request.target))
    return explainForCuda(request, *gpu, stage);
  return explainForCpu(request, std::get<CpuTarget>(request.target), stage);
}

Expected<std::string> candidates(const CompileRequest &request) {
  Compilation compilation(request, /*verifies=*/false);
  if (Status status = compilation.start(); !status)
    return status.error();
  if (Status status =
          compilation.run([](PassManager &manager) { manager.addNestedPass<func::FuncOp>(createFuseEpilogue()); });
      !status)
    return status.error();
  std::string text, error;
  if (!chooseSchedule(compilation.layer(), request.target, request.schedule, error,
                      [&](StringRef name, StringRef verdict) { text += name.str() + ": " + verdict.str() + "\n"; }))
    return invalidArgument(error);
  return text;
}

} // namespace

extern "C" __attribute__((visibility("default"))) const CompilerApi *bqCompilerApi() {
  static const CompilerApi api = {buildId(), LLVM_VERSION_STRING, compile, explain, candidates};
  return &api;
}
