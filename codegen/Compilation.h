// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One kernel being made, from its layer on; what the compilers for CPUs and GPUs share.
#ifndef BQ_CODEGEN_COMPILATION_H
#define BQ_CODEGEN_COMPILATION_H

#include "codegen/Compiler.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/PassManager.h"

namespace bq {

/// A module with one kernel. Threads are off in its context, so that a forked child can go on.
class Compilation {
public:
  /// `request` outlives the compilation. `verifies`: whether IR is verified after each pass, for those who look at it;
  /// a kernel does not wait for that.
  Compilation(const CompileRequest &request, bool verifies);

  /// Makes the layer-level IR; errors are those of KernelSpec::verify().
  Status start();
  /// Runs the passes that `build` adds; Internal with what they say where one fails.
  Status run(llvm::function_ref<void(mlir::PassManager &manager)> build);

  /// Null before start().
  mlir::ModuleOp ir() { return module.get(); }
  std::string print();
  /// The layer op, before it is lowered.
  mlir::Operation *layer();
  /// What passes and translations have said so far, in one line.
  const std::string &diagnostics() const { return messages; }
  /// An error of bq itself about this kernel.
  Error failure(const std::string &why) const;

private:
  const CompileRequest &request;
  bool verifies;
  mlir::MLIRContext context;
  std::string messages;
  mlir::ScopedDiagnosticHandler handler;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

} // namespace bq

#endif // BQ_CODEGEN_COMPILATION_H
