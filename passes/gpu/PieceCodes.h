// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The codes of one piece of a canonical row, for kernels for GPUs.
#ifndef BQ_PASSES_GPU_PIECECODES_H
#define BQ_PASSES_GPU_PIECECODES_H

#include "passes/gpu/RowKernel.h"

namespace bq {

/// The `piece.count` codes of the piece in row `row` (i32 or i64) of `codes`, a pointer to i8, each an i32. Reads no
/// byte that does not hold one of them.
mlir::SmallVector<mlir::Value> loadCodes(GpuBuilder &b, mlir::Value codes, mlir::Value row, const RowPiece &piece,
                                         const Format &format, int64_t k);
/// The same in two steps: the bytes that hold codes of the piece, each an i32, and the first `count` codes in such
/// bytes.
mlir::SmallVector<mlir::Value> loadCodeBytes(GpuBuilder &b, mlir::Value codes, mlir::Value row, const RowPiece &piece,
                                             const Format &format, int64_t k);
mlir::SmallVector<mlir::Value> unpackCodes(GpuBuilder &b, mlir::ArrayRef<mlir::Value> bytes, int64_t count,
                                           const Format &format);
/// The inverse of loadCodes(), to the piece's own row; no code is above 2^bits - 1. Writes every byte that holds one of
/// them, with zeros in what is over.
void storeCodes(GpuBuilder &b, mlir::ValueRange values, mlir::Value codes, const RowPiece &piece, const Format &format,
                int64_t k);
/// Its second step: writes the low eight bits of each i32.
void storeCodeBytes(GpuBuilder &b, mlir::ValueRange bytes, mlir::Value codes, const RowPiece &piece,
                    const Format &format, int64_t k);

} // namespace bq

#endif // BQ_PASSES_GPU_PIECECODES_H
