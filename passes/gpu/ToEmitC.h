// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Patterns and types of the conversion from the tile level of GPUs to EmitC (--bq-convert-to-emitc).
#ifndef BQ_PASSES_GPU_TOEMITC_H
#define BQ_PASSES_GPU_TOEMITC_H

#include "passes/Passes.h"

#include "mlir/Transforms/DialectConversion.h"

namespace bq {

/// Where `--bq-convert-to-emitc` has placed a `bqgpu.shared`: bytes from the start of its block's shared memory, i32.
inline constexpr llvm::StringLiteral sharedOffsetName = "bqgpu.offset";

/// Types that a thread's C++ has: i1, i32, i64, f32, fragments (`bq_f32x4`) and pointers. Null for all others.
mlir::Type toCppType(mlir::Type type);

/// i1, i32, i64 and f32.
bool isScalar(mlir::Type type);

/// The unsigned integer type of the same width.
mlir::Type toUnsignedType(mlir::Type type);

/// The C++ name of an accepted type or of a pointer's element: `int32_t`, `bq_f32x4`.
llvm::StringRef cppName(mlir::Type type);

/// `value`, of a type that toCppType() accepts as it is, as C++ text that stands for it in every expression, such as
/// `(-5)`, `int64_t(7)` or `bq_float(2139095040)`.
std::string cppLiteral(mlir::Attribute value);

/// One statement of C++, `build` making of the operands an expression of type `type`.
mlir::Value createExpression(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type, mlir::ValueRange operands,
                             llvm::function_ref<mlir::Value(mlir::ValueRange)> build);

/// The ops of `arith` and `math` on scalars that C++ or the prelude have.
void populateScalarToEmitCPatterns(mlir::TypeConverter &types, mlir::RewritePatternSet &patterns);
void populateComparisonsToEmitCPatterns(mlir::TypeConverter &types, mlir::RewritePatternSet &patterns);

/// Every op of `bqgpu`: one call of the prelude each.
void populateDeviceToEmitCPatterns(mlir::TypeConverter &types, mlir::RewritePatternSet &patterns);

/// Puts `#pragma unroll` or `#pragma unroll 1` ahead of every loop of a converted function.
void placeLoopPragmas(mlir::emitc::FuncOp function);

/// Puts `#line N "kernel.mlir"` ahead of statements, where N is the line of the op's location and the C++ compiler
/// would not count it so by itself. Ops without a line get none.
void placeLineDirectives(mlir::emitc::FuncOp function);

} // namespace bq

#endif // BQ_PASSES_GPU_TOEMITC_H
