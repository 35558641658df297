// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/Compiler.h"

#include "codegen/LayerBuilder.h"
#include "codegen/cpu/ObjectEmitter.h"
#include "passes/Passes.h"
#include "passes/Pipelines.h"
#include "passes/Schedules.h"
#include "passes/cpu/LinearPlan.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>

using namespace mlir;
using namespace bq;

namespace {

/// One kernel being made. Threads are off in its context, so that a forked child can go on.
class Compilation {
public:
  explicit Compilation(const CompileRequest &request)
      : request(request), context(registry(), MLIRContext::Threading::DISABLED), handler(&context, [&](Diagnostic &d) {
          llvm::raw_string_ostream(diagnostics) << (diagnostics.empty() ? "" : "; ") << d;
          return success();
        }) {
    context.loadDialect<BQDialect, arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect, LLVM::LLVMDialect,
                        math::MathDialect, memref::MemRefDialect, scf::SCFDialect, vector::VectorDialect>();
  }

  /// Layer-level IR.
  Status start() {
    if (Status status = request.spec.verify(); !status)
      return status;
    module = buildLayer(&context, request.spec);
    return {};
  }

  /// Runs the pipeline from where it starts to `last`.
  Status lower(Level last) {
    PassManager manager(&context);
    manager.enableVerifier(false);
    buildCpuPipeline(manager, request.target.str(), request.schedule, last);
    if (failed(manager.run(*module)))
      return internalError("cannot compile " + request.spec.name() + " for " + request.target.name + ": " +
                           diagnostics);
    return {};
  }

  std::string print() {
    std::string text;
    llvm::raw_string_ostream stream(text);
    module->print(stream);
    return text;
  }

  /// The layer op, before it is lowered.
  Operation *layer() {
    Operation *found = nullptr;
    module->walk([&](Operation *op) {
      if (!candidatesFor(op).empty())
        found = op;
    });
    return found;
  }

  ModuleOp ir() { return *module; }

private:
  static const DialectRegistry &registry() {
    static const DialectRegistry *all = [] {
      auto *made = new DialectRegistry;
      made->insert<BQDialect, arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect, LLVM::LLVMDialect,
                   math::MathDialect, memref::MemRefDialect, scf::SCFDialect, vector::VectorDialect>();
      registerBuiltinDialectTranslation(*made);
      registerLLVMDialectTranslation(*made);
      return made;
    }();
    return *all;
  }

  const CompileRequest &request;
  MLIRContext context;
  std::string diagnostics;
  ScopedDiagnosticHandler handler;
  OwningOpRef<ModuleOp> module;
};

/// What a caller must know of the kernel for a scheduled layer.
void describe(Artifact &artifact, Operation *layer, const CpuTarget &target) {
  auto schedule = layer->getAttrOfType<ScheduleAttr>("schedule");
  llvm::raw_string_ostream(artifact.schedule) << schedule;
  auto linear = dyn_cast<LinearOp>(layer);
  if (!linear)
    return;
  LinearPlan plan = LinearPlan::get(linear, target);
  const Layout &layout = plan.layout;
  artifact.layout = layout.str();
  artifact.tasks = llvm::divideCeil(layout.blocks(), plan.vectors);
  artifact.rowMultiple = plan.hasPaddedRows ? panelRowMultiple : 1;
  artifact.panelDataBytes = plan.activationPlanes() * layout.segments() * plan.segmentWords() * 4;
  artifact.panelSums = layout.segments();
  artifact.prepareScratchBytes = prepareScratchBytes(plan);
  artifact.scratchBytes = schedule.getAlgorithm() == "panel" ? panelScratchBytes(plan) : streamScratchBytes(plan);
}

Expected<Artifact> compile(const CompileRequest &request) {
  Compilation compilation(request);
  if (Status status = compilation.start(); !status)
    return status.error();
  if (Status status = compilation.lower(Level::Schedule); !status)
    return status.error();
  Artifact artifact;
  artifact.name = request.spec.name();
  describe(artifact, compilation.layer(), request.target);
  if (Status status = compilation.lower(Level::Target); !status)
    return status.error();
  auto emitter = ObjectEmitter::create(compilation.ir(), request.target);
  if (!emitter)
    return emitter.error();
  if (Status status = (*emitter)->optimize(); !status)
    return status.error();
  Expected<std::vector<uint8_t>> object = (*emitter)->emitObject();
  if (!object)
    return object.error();
  artifact.object = std::move(*object);
  return artifact;
}

Expected<std::string> explain(const CompileRequest &request, Stage stage) {
  Compilation compilation(request);
  if (Status status = compilation.start(); !status)
    return status.error();
  Level level = stage == Stage::Layer      ? Level::Layer
                : stage == Stage::Schedule ? Level::Schedule
                : stage == Stage::Tile     ? Level::Tile
                                           : Level::Target;
  if (Status status = compilation.lower(level); !status)
    return status.error();
  if (level != Level::Target)
    return compilation.print();
  auto emitter = ObjectEmitter::create(compilation.ir(), request.target);
  if (!emitter)
    return emitter.error();
  if (Status status = (*emitter)->optimize(); !status)
    return status.error();
  return stage == Stage::Llvm ? (*emitter)->print() : (*emitter)->emitAssembly();
}

Expected<std::string> candidates(const CompileRequest &request) {
  Compilation compilation(request);
  if (Status status = compilation.start(); !status)
    return status.error();
  if (Status status = compilation.lower(Level::Layer); !status)
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
