// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/cpu/ObjectEmitter.h"

#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/OptBisect.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Triple.h"

#include <mutex>

using namespace bq;

namespace {

constexpr const char *kernelPasses = "function(early-cse,sroa,simplifycfg,loop(loop-rotate),early-cse)";

/// Leaves out passes that cost compile time and make no kernel faster: addresses are reduced by the instructions' own
/// modes.
class PassGate : public llvm::OptPassGate {
public:
  bool isEnabled() const override { return true; }
  bool shouldRunPass(llvm::StringRef pass, llvm::StringRef) const override { return pass != "Loop Strength Reduction"; }
};

Expected<std::unique_ptr<llvm::TargetMachine>> makeMachine(const CpuTarget &target) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
  });
  llvm::Triple triple("x86_64-unknown-linux-gnu");
  std::string error;
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!backend)
    return internalError("LLVM has no backend for " + triple.str() + ": " + error);
  // Of the CPU's instructions only those that were checked for, and not all that its name implies. Dot products of
  // words stay one instruction: two are sooner done, but loops here wait for units and not for sums. The code model is
  // said because that of a JIT is not small.
  std::unique_ptr<llvm::TargetMachine> machine(
      backend->createTargetMachine(triple, "x86-64", target.featureString() + ",+fast-dpwssd", llvm::TargetOptions(),
                                   llvm::Reloc::PIC_, llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default));
  if (!machine)
    return internalError("LLVM makes no machine for " + target.str());
  return machine;
}

} // namespace

Expected<std::unique_ptr<ObjectEmitter>> ObjectEmitter::create(mlir::ModuleOp source, const CpuTarget &target) {
  std::unique_ptr<ObjectEmitter> emitter(new ObjectEmitter);
  auto machine = makeMachine(target);
  if (!machine)
    return machine.error();
  emitter->machine = std::move(*machine);
  static PassGate gate;
  emitter->context.setOptPassGate(gate);
  emitter->module = mlir::translateModuleToLLVMIR(source, emitter->context, "kernel", /*disableVerification=*/true);
  if (!emitter->module)
    return internalError("a kernel in the LLVM dialect does not translate to LLVM IR");
  emitter->module->setTargetTriple(emitter->machine->getTargetTriple());
  emitter->module->setDataLayout(emitter->machine->createDataLayout());
  for (llvm::Function &function : *emitter->module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr(llvm::Attribute::NoUnwind);
    // A kernel has no library to call: without this a loop of stores becomes a call of memset.
    function.addFnAttr("no-builtins");
    function.addFnAttr("tune-cpu", target.name);
    // Vectors keep the width that the schedule chose.
    function.addFnAttr("prefer-vector-width", "512");
  }
  return emitter;
}

Status ObjectEmitter::optimize() {
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = tuning.SLPVectorization = false;
  llvm::PassBuilder builder(machine.get(), tuning);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  llvm::ModulePassManager manager;
  if (llvm::Error error = builder.parsePassPipeline(manager, kernelPasses))
    return internalError("LLVM passes: " + llvm::toString(std::move(error)));
  manager.run(*module, modules);
  return {};
}

std::string ObjectEmitter::print() const {
  std::string text;
  llvm::raw_string_ostream(text) << *module;
  return text;
}

Status ObjectEmitter::emit(llvm::SmallVectorImpl<char> &bytes, llvm::CodeGenFileType type) {
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager manager;
  if (machine->addPassesToEmitFile(manager, stream, nullptr, type, /*DisableVerify=*/true))
    return internalError("LLVM cannot emit this kind of file for " + machine->getTargetCPU().str());
  manager.run(*module);
  return {};
}

Expected<std::string> ObjectEmitter::emitAssembly() {
  llvm::SmallVector<char, 0> bytes;
  if (Status status = emit(bytes, llvm::CodeGenFileType::AssemblyFile); !status)
    return status.error();
  return std::string(bytes.begin(), bytes.end());
}

Expected<std::vector<uint8_t>> ObjectEmitter::emitObject() {
  llvm::SmallVector<char, 0> bytes;
  if (Status status = emit(bytes, llvm::CodeGenFileType::ObjectFile); !status)
    return status.error();
  return std::vector<uint8_t>(bytes.begin(), bytes.end());
}
