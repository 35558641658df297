// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/cpu/CpuCompiler.h"

#include "codegen/Compilation.h"
#include "codegen/cpu/ObjectEmitter.h"
#include "passes/Pipelines.h"
#include "passes/cpu/DirectConv2d.h"
#include "passes/cpu/MixedLinear.h"
#include "passes/cpu/PackedStep.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace bq;

namespace {

/// Runs the pipeline from where it starts to `last`.
Status lower(Compilation &compilation, const CompileRequest &request, const CpuTarget &target, Level last) {
  return compilation.run(
      [&](PassManager &manager) { buildCpuPipeline(manager, target.str(), request.schedule, last); });
}

/// What a caller must know of the kernel for a scheduled layer.
void describe(Artifact &artifact, Operation *layer, const CpuTarget &target) {
  auto schedule = layer->getAttrOfType<ScheduleAttr>("schedule");
  llvm::raw_string_ostream(artifact.schedule) << schedule;
  if (auto update = dyn_cast<UpdateOp>(layer); update && update.getPackedType())
    artifact.scratchBytes = 4 * PackedStep::scratchFloats(update);
  auto product = dyn_cast<ProductLayer>(layer);
  if (!product)
    return;
  LinearPlan plan = LinearPlan::get(product, target);
  const Layout &layout = plan.layout;
  artifact.layout = layout.str();
  if (plan.groups > 1) {
    artifact.tasks = directPieces(plan);
    artifact.scratchBytes = directScratchBytes(plan);
    return;
  }
  artifact.tasks = plan.format.isMixed() ? abi::MixedIndex::tasks(layout.n, layout.k)
                                         : llvm::divideCeil(layout.blocks(), plan.vectors);
  artifact.rowMultiple = plan.rowMultiple();
  artifact.panelDataBytes = plan.activationPlanes() * layout.segments() * plan.segmentWords() * 4;
  artifact.panelSums = layout.segments();
  artifact.prepareScratchBytes = prepareScratchBytes(plan);
  artifact.scratchBytes = plan.format.isMixed()                ? mixedScratchBytes(plan)
                          : schedule.getAlgorithm() == "panel" ? panelScratchBytes(plan)
                                                               : streamScratchBytes(plan);
}

/// The kernel, which is in the LLVM dialect, as LLVM IR ready for machine code.
Expected<std::unique_ptr<ObjectEmitter>> emit(Compilation &compilation, const CpuTarget &target) {
  Expected<std::unique_ptr<ObjectEmitter>> emitter = ObjectEmitter::create(compilation.ir(), target);
  if (emitter)
    if (Status status = (*emitter)->optimize(); !status)
      return status.error();
  return emitter;
}

} // namespace

Expected<Artifact> bq::compileForCpu(const CompileRequest &request, const CpuTarget &target) {
  Compilation compilation(request, /*verifies=*/false);
  if (Status status = compilation.start(); !status)
    return status.error();
  if (Status status = lower(compilation, request, target, Level::Schedule); !status)
    return status.error();
  Artifact artifact;
  artifact.name = request.spec.name();
  describe(artifact, compilation.layer(), target);
  if (Status status = lower(compilation, request, target, Level::Target); !status)
    return status.error();
  auto emitter = emit(compilation, target);
  if (!emitter)
    return emitter.error();
  Expected<std::vector<uint8_t>> object = (*emitter)->emitObject();
  if (!object)
    return object.error();
  artifact.object = std::move(*object);
  return artifact;
}

Expected<std::string> bq::explainForCpu(const CompileRequest &request, const CpuTarget &target, Stage stage) {
  if (stage != Stage::Layer && stage != Stage::Schedule && stage != Stage::Tile && stage != Stage::Llvm &&
      stage != Stage::Asm)
    return invalidArgument("a cpu target has the stages layer, schedule, tile, llvm and asm");
  Level level = stage == Stage::Layer      ? Level::Layer
                : stage == Stage::Schedule ? Level::Schedule
                : stage == Stage::Tile     ? Level::Tile
                                           : Level::Target;
  Compilation compilation(request, /*verifies=*/true);
  if (Status status = compilation.start(); !status)
    return status.error();
  if (Status status = lower(compilation, request, target, level); !status)
    return status.error();
  if (level != Level::Target)
    return compilation.print();
  auto emitter = emit(compilation, target);
  if (!emitter)
    return emitter.error();
  return stage == Stage::Llvm ? (*emitter)->print() : (*emitter)->emitAssembly();
}
