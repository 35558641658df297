// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the lowering passes share: a function that is one layer becomes functions on buffers.
#ifndef BQ_PASSES_SOLEOP_H
#define BQ_PASSES_SOLEOP_H

#include "passes/cpu/KernelBuilder.h"

namespace bq {

/// Calls `lower` for each function of the module that has an op of type OpTy, and erases the function. It must be that
/// op on its arguments and a return of its result, and the op must have a schedule; else an error that says so.
template <typename OpTy>
mlir::LogicalResult lowerSoleOps(mlir::ModuleOp module,
                                 llvm::function_ref<mlir::LogicalResult(mlir::func::FuncOp func, OpTy op)> lower) {
  for (mlir::func::FuncOp func : llvm::make_early_inc_range(module.getOps<mlir::func::FuncOp>())) {
    if (func.isDeclaration() || func.getOps<OpTy>().empty())
      continue;
    OpTy op = *func.getOps<OpTy>().begin();
    for (mlir::Operation &other : func.front())
      if (&other != op && !mlir::isa<mlir::func::ReturnOp>(other))
        return other.emitError("a kernel is one layer: nothing else may stand beside '") << op->getName() << "'";
    if (!op->hasAttr("schedule"))
      return op->emitOpError("has no schedule: run bq-select-schedule first");
    if (failed(lower(func, op)))
      return mlir::failure();
    func.erase();
  }
  return mlir::success();
}

/// lowerSoleOps() where `write(b, op, name)` writes the only function that an op becomes; `b`, made from `target...`,
/// is a builder in front of the layer.
template <typename OpTy, typename Builder, typename Write, typename... Target>
mlir::LogicalResult lowerToOneFunction(mlir::ModuleOp module, Write write, const Target &...target) {
  return lowerSoleOps<OpTy>(module, [&](mlir::func::FuncOp func, OpTy op) {
    mlir::OpBuilder builder(func);
    Builder b(op.getLoc(), builder, target...);
    write(b, op, func.getName());
    return mlir::success();
  });
}

/// An empty function of these arguments with a body that returns; the builder is set to the start of the body.
mlir::func::FuncOp makeFunction(KernelBuilder &b, llvm::StringRef name, mlir::TypeRange arguments);

} // namespace bq

#endif // BQ_PASSES_SOLEOP_H
