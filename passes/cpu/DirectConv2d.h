// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Convolutions whose groups are small (abi::isDirectConv2d): lanes are outputs, and pixels are read where they are.
#ifndef BQ_PASSES_CPU_DIRECTCONV2D_H
#define BQ_PASSES_CPU_DIRECTCONV2D_H

#include "passes/cpu/LinearPlan.h"

namespace bq {

/// Whether one kernel takes all groups of this layer, which then is a bq.conv2d.
bool isDirectConv2d(ProductLayer layer);

/// Pixels of a line whose sums are in registers at the same time.
int64_t directTileWidth(ProductLayer layer, const CpuTarget &target);

/// Pieces of the channels, whose weights are decoded together.
int64_t directPieces(const LinearPlan &plan);
/// Bytes of scratch for each thread.
int64_t directScratchBytes(const LinearPlan &plan);

/// Types of the arguments of abi::DirectConv2dFn.
mlir::SmallVector<mlir::Type> directConv2dArguments(KernelBuilder &b, const LinearPlan &plan);
/// Writes abi::DirectConv2dFn. `func` has its arguments and an empty body.
void writeDirectConv2d(KernelBuilder &b, const LinearPlan &plan, mlir::func::FuncOp func);

} // namespace bq

#endif // BQ_PASSES_CPU_DIRECTCONV2D_H
