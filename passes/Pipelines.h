// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The named pipelines.
#ifndef BQ_PASSES_PIPELINES_H
#define BQ_PASSES_PIPELINES_H

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

#include <string>

namespace bq {

/// Levels of IR at which a pipeline may stop.
enum class Level { Layer, Schedule, Tile, Target };

struct CpuPipelineOptions : mlir::PassPipelineOptions<CpuPipelineOptions> {
  Option<std::string> cpu{*this, "cpu", llvm::cl::desc("CPU to make kernels for: `host`, or a name such as `znver4`"),
                          llvm::cl::init("host")};
  Option<std::string> schedule{*this, "schedule", llvm::cl::desc("Algorithm to force"), llvm::cl::init("")};
};

/// Layer level to the given level, for CPUs. `cpu` must be known.
void buildCpuPipeline(mlir::OpPassManager &manager, const std::string &cpu, const std::string &schedule, Level last);

struct CudaPipelineOptions : mlir::PassPipelineOptions<CudaPipelineOptions> {
  Option<std::string> arch{*this, "arch", llvm::cl::desc("GPU to make kernels for, such as `sm_90a`"),
                           llvm::cl::init("sm_90a")};
  Option<std::string> schedule{*this, "schedule", llvm::cl::desc("Algorithm to force"), llvm::cl::init("")};
};

/// Layer level to the given level, for GPUs. `arch` must be known.
void buildCudaPipeline(mlir::OpPassManager &manager, const std::string &arch, const std::string &schedule, Level last);

/// Registers bq-cpu-pipeline, which goes to the LLVM dialect, and bq-cuda-pipeline, which goes to EmitC.
void registerPipelines();

} // namespace bq

#endif // BQ_PASSES_PIPELINES_H
