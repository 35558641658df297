// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Pipelines.h"

#include "passes/Passes.h"

#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace bq;

void bq::buildCpuPipeline(OpPassManager &manager, const std::string &cpu, const std::string &schedule, Level last) {
  // Layer: epilogues into their layer.
  manager.addNestedPass<func::FuncOp>(createFuseEpilogue());
  if (last == Level::Layer)
    return;
  // Schedule: an algorithm and a layout for each layer.
  manager.addNestedPass<func::FuncOp>(createSelectSchedule({cpu, /*arch=*/"", schedule, /*remarks=*/false}));
  if (last == Level::Schedule)
    return;
  // Tile: layers to loops and vectors.
  manager.addPass(createLowerLinear({cpu}));
  manager.addPass(createLowerDequantize({cpu}));
  manager.addPass(createLowerQuantize({cpu}));
  manager.addPass(createLowerFakeQuantize({cpu}));
  manager.addPass(createLowerMagnitudeSums({cpu}));
  manager.addPass(createLowerUpdate({cpu}));
  manager.addPass(createLowerDiffqNoise({cpu}));
  manager.addPass(createLowerWeightRange({cpu}));
  if (last == Level::Tile)
    return;
  // Target: functions that have an instruction, then those that do not, then LLVM.
  manager.addNestedPass<func::FuncOp>(createLowerTile({cpu}));
  manager.addPass(createConvertToLLVM());
}

void bq::buildCudaPipeline(OpPassManager &manager, const std::string &arch, const std::string &schedule, Level last) {
  manager.addNestedPass<func::FuncOp>(createFuseEpilogue());
  if (last == Level::Layer)
    return;
  manager.addNestedPass<func::FuncOp>(createSelectSchedule({/*cpu=*/"", arch, schedule, /*remarks=*/false}));
  if (last == Level::Schedule)
    return;
  manager.addPass(createGpuLowerLinear());
  manager.addPass(createGpuLowerDequantize());
  manager.addPass(createGpuLowerQuantize());
  manager.addPass(createGpuLowerFakeQuantize());
  manager.addPass(createGpuLowerUpdate());
  manager.addPass(createGpuLowerDiffqNoise());
  manager.addPass(createGpuLowerWeightRange());
  manager.addPass(createGpuLowerPrepack());
  manager.addPass(createCSEPass());
  if (last == Level::Tile)
    return;
  manager.addPass(createConvertToEmitC());
}

void bq::registerPipelines() {
  PassPipelineRegistration<CudaPipelineOptions>("bq-cuda-pipeline", "From layers to EmitC, for a GPU",
                                                [](OpPassManager &manager, const CudaPipelineOptions &options) {
                                                  buildCudaPipeline(manager, options.arch, options.schedule,
                                                                    Level::Target);
                                                });
  PassPipelineRegistration<CpuPipelineOptions>("bq-cpu-pipeline", "From layers to the LLVM dialect, for a CPU",
                                               [](OpPassManager &manager, const CpuPipelineOptions &options) {
                                                 buildCpuPipeline(manager, options.cpu, options.schedule,
                                                                  Level::Target);
                                               });
}
