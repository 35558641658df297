// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/Compilation.h"

#include "codegen/LayerBuilder.h"
#include "passes/Passes.h"
#include "passes/Schedules.h"

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace bq;

namespace {

/// Made once; registering takes longer than a small compile.
const DialectRegistry &registry() {
  static const DialectRegistry *all = [] {
    auto *made = new DialectRegistry;
    made->insert<BQDialect, gpu::BQGPUDialect, arith::ArithDialect, cf::ControlFlowDialect, emitc::EmitCDialect,
                 func::FuncDialect, LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect, scf::SCFDialect,
                 vector::VectorDialect>();
    registerBuiltinDialectTranslation(*made);
    registerLLVMDialectTranslation(*made);
    return made;
  }();
  return *all;
}

} // namespace

Compilation::Compilation(const CompileRequest &request, bool verifies)
    : request(request), verifies(verifies), context(registry(), MLIRContext::Threading::DISABLED),
      handler(&context, [&](Diagnostic &d) {
        llvm::raw_string_ostream(messages) << (messages.empty() ? "" : "; ") << d;
        return success();
      }) {
  context.loadDialect<BQDialect, arith::ArithDialect, func::FuncDialect, math::MathDialect, scf::SCFDialect>();
  if (std::holds_alternative<CpuTarget>(request.target))
    context.loadDialect<cf::ControlFlowDialect, LLVM::LLVMDialect, memref::MemRefDialect, vector::VectorDialect>();
  else
    context.loadDialect<gpu::BQGPUDialect, emitc::EmitCDialect>();
}

Status Compilation::start() {
  if (Status status = request.spec.verify(); !status)
    return status;
  module = buildLayer(&context, request.spec);
  return {};
}

Status Compilation::run(function_ref<void(PassManager &)> build) {
  PassManager manager(&context);
  manager.enableVerifier(verifies);
  build(manager);
  if (failed(manager.run(*module)))
    return failure(messages);
  return {};
}

std::string Compilation::print() {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream);
  return text;
}

Operation *Compilation::layer() {
  Operation *found = nullptr;
  module->walk([&](Operation *op) {
    if (isLayer(op))
      found = op;
  });
  return found;
}

Error Compilation::failure(const std::string &why) const {
  return internalError("cannot compile " + request.spec.name() + " for " + str(request.target) + ": " + why);
}
