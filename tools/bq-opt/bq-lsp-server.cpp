// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Language server for .mlir files that use the bq dialect.
#include "passes/Passes.h"

#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<bq::BQDialect, bq::gpu::BQGPUDialect, mlir::arith::ArithDialect, mlir::cf::ControlFlowDialect,
                  mlir::emitc::EmitCDialect, mlir::func::FuncDialect, mlir::LLVM::LLVMDialect, mlir::math::MathDialect,
                  mlir::memref::MemRefDialect, mlir::scf::SCFDialect, mlir::vector::VectorDialect>();
  return llvm::failed(mlir::MlirLspServerMain(argc, argv, registry));
}
