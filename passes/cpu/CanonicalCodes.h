// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Sixteen codes of a canonical bit stream at a time.
#ifndef BQ_PASSES_CPU_CANONICALCODES_H
#define BQ_PASSES_CPU_CANONICALCODES_H

#include "passes/cpu/KernelBuilder.h"

namespace bq {

/// Codes taken apart or put together in one step; they fill 2 * bits bytes.
constexpr int64_t codesPerStep = 16;

/// 16 x i32 from 2 * bits bytes (a vector of i8), zero-extended.
mlir::Value writeUnpackCodes(KernelBuilder &b, mlir::Value bytes, int64_t bits);
/// The same in the upper bits of each, above zeros: signed codes times 2^(32 - bits).
mlir::Value writeUnpackHigh(KernelBuilder &b, mlir::Value bytes, int64_t bits);
/// Entries of a table, 16 x f32, for codes of at most 4 bits: the upper bits of an index may be anything.
mlir::Value writeLookUpCodes(KernelBuilder &b, mlir::Value bytes, int64_t bits, mlir::Value table);
/// The inverse: 2 * bits bytes from 16 x i32, none above 2^bits - 1; where `bits` divides 8, any vector of i8 or i32.
mlir::Value writePackCodes(KernelBuilder &b, mlir::Value codes, int64_t bits);

/// Code `k` (an index) of the row that starts at byte `rowBegin` of `buffer` (1-D i8), as i32; reads no byte that does
/// not hold it.
mlir::Value writeLoadCode(KernelBuilder &b, mlir::Value buffer, mlir::Value rowBegin, mlir::Value k, int64_t bits);

} // namespace bq

#endif // BQ_PASSES_CPU_CANONICALCODES_H
