// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/cuda/CudaCompiler.h"

#include "codegen/Compilation.h"
#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/Prelude.h"
#include "codegen/cuda/Resources.h"
#include "passes/Passes.h"
#include "passes/Pipelines.h"
#include "passes/gpu/FragmentPlan.h"
#include "passes/gpu/StepKernel.h"

#include "mlir/Target/Cpp/CppEmitter.h"
#include "mlir/Transforms/LocationSnapshot.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace bq;

namespace {

/// A kernel on its way to CUDA C++, one step after the other.
class CudaCompilation {
public:
  CudaCompilation(const CompileRequest &request, const CudaTarget &target, bool verifies)
      : request(request), target(target), compilation(request, verifies) {}

  /// To the level, Tile at most.
  Status lower(Level last) {
    if (!compilation.ir())
      if (Status status = compilation.start(); !status)
        return status;
    Status status = compilation.run(
        [&](PassManager &manager) { buildCudaPipeline(manager, target.str(), request.schedule, last); });
    // What every schedule refuses is valid and not for GPUs, such as compute i16.
    if (!status && last == Level::Schedule)
      return unsupported(status.error().message);
    return status;
  }

  /// Prints the IR, and makes the lines of that text the locations of its ops.
  std::string snapshot() {
    std::string text;
    llvm::raw_string_ostream stream(text);
    generateLocationsFromIR(stream, "kernel.mlir", compilation.ir(), OpPrintingFlags());
    return text;
  }

  /// From the tile level to CUDA C++ without its prelude.
  Status translate() {
    if (Status status = compilation.run([](PassManager &manager) { manager.addPass(createConvertToEmitC()); }); !status)
      return status;
    llvm::raw_string_ostream body(bodyText);
    if (failed(emitc::translateToCpp(compilation.ir(), body)))
      return compilation.failure(compilation.diagnostics());
    return {};
  }

  /// What a caller must know of the kernel, from its scheduled layer.
  void describe(Artifact &artifact) {
    Operation *layer = compilation.layer();
    artifact.name = request.spec.name();
    llvm::raw_string_ostream(artifact.schedule) << layer->getAttrOfType<ScheduleAttr>("schedule");
    if (auto update = dyn_cast<UpdateOp>(layer))
      artifact.scratchBytes = updateValueBytes(update);
    if (auto gradient = dyn_cast<LinearInputGradientOp>(layer))
      describe(artifact, FragmentPlan::get(gradient));
    else if (auto product = dyn_cast<ProductLayer>(layer))
      describe(artifact, FragmentPlan::get(product));
  }
  static void describe(Artifact &artifact, const FragmentPlan &plan) {
    artifact.layout = plan.layout.str();
    artifact.rowMajorColumns = plan.readsPanel ? plan.layout.paddedColumns() : 0;
    artifact.rowMajorBytes = plan.activationBytes();
    artifact.splits = plan.splits;
  }

  /// The kernels and their grids, from the functions in EmitC.
  std::vector<GpuKernel> kernels() {
    std::vector<GpuKernel> all;
    for (auto func : compilation.ir().getOps<emitc::FuncOp>()) {
      auto number = [&](StringRef name) { return func->getAttrOfType<IntegerAttr>(name).getInt(); };
      all.push_back({func.getName().str(), number("bqgpu.threads"), number("bqgpu.shared_bytes"),
                     number("bqgpu.rows_per_block"), number("bqgpu.grid_y"), number("bqgpu.grid_z")});
    }
    return all;
  }

  std::string print() { return compilation.print(); }
  const std::string &body() const { return bodyText; }

  Expected<CudaCode> compile() {
    Expected<const NvrtcLibrary *> nvrtc = NvrtcLibrary::get();
    if (!nvrtc)
      return nvrtc.error();
    // Steps of optimizers have the longest code, and many blocks of threads to hide what loads take.
    const bool isStep = request.spec.op == KernelSpec::Op::Update || request.spec.op == KernelSpec::Op::UpdateDense;
    return compileCuda(**nvrtc, source(), request.spec.name() + ".cu", target, isStep ? Effort::Low : Effort::Full);
  }

  /// All of the CUDA C++ that NVRTC gets.
  std::string source() const { return std::string(cudaPrelude()) + bodyText; }

private:
  const CompileRequest &request;
  const CudaTarget &target;
  Compilation compilation;
  std::string bodyText;
};

/// Brings what NVRTC reports to the kernels it is about.
Status addResources(std::vector<GpuKernel> &kernels, const CudaCode &code) {
  Expected<std::vector<KernelResources>> used = parseResources(code.log);
  if (!used)
    return used.error();
  for (GpuKernel &kernel : kernels) {
    auto found = llvm::find_if(*used, [&](const KernelResources &r) { return r.entry == kernel.entry; });
    if (found == used->end())
      return internalError("the log of NVRTC does not tell what kernel " + kernel.entry + " takes");
    kernel.registers = found->registers;
    kernel.spillBytes = found->spillBytes;
    kernel.stackBytes = found->stackBytes;
  }
  return {};
}

} // namespace

Expected<Artifact> bq::compileForCuda(const CompileRequest &request, const CudaTarget &target) {
  CudaCompilation compilation(request, target, /*verifies=*/false);
  if (Status status = compilation.lower(Level::Schedule); !status)
    return status.error();
  Artifact artifact;
  compilation.describe(artifact);
  if (Status status = compilation.lower(Level::Tile); !status)
    return status.error();
  compilation.snapshot();
  if (Status status = compilation.translate(); !status)
    return status.error();
  artifact.gpuKernels = compilation.kernels();
  if (target.isEmulator) {
    artifact.object.assign(compilation.body().begin(), compilation.body().end());
    return artifact;
  }
  Expected<CudaCode> code = compilation.compile();
  if (!code)
    return code.error();
  if (!code->isPtx)
    if (Status status = addResources(artifact.gpuKernels, *code); !status)
      return status.error();
  artifact.object = std::move(code->code);
  return artifact;
}

Expected<std::string> bq::explainForCuda(const CompileRequest &request, const CudaTarget &target, Stage stage) {
  if (stage == Stage::Llvm || stage == Stage::Asm)
    return invalidArgument("a cuda target has the stages layer, schedule, tile, cuda and ptx");
  if (target.isEmulator && stage == Stage::Ptx)
    return invalidArgument("the emulator has the stages layer, schedule, tile and cuda");
  CudaCompilation compilation(request, target, /*verifies=*/true);
  Level level = stage == Stage::Layer ? Level::Layer : stage == Stage::Schedule ? Level::Schedule : Level::Tile;
  if (Status status = compilation.lower(level); !status)
    return status.error();
  if (level != Level::Tile)
    return compilation.print();
  std::string tile = compilation.snapshot();
  if (stage == Stage::Tile)
    return tile;
  if (Status status = compilation.translate(); !status)
    return status.error();
  if (stage == Stage::Cuda)
    return target.isEmulator ? compilation.body() : compilation.source();
  Expected<CudaCode> code = compilation.compile();
  if (!code)
    return code.error();
  return code->ptx;
}
