// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The bq dialect: its attributes, types and ops.
#ifndef BQ_DIALECT_BQDIALECT_H
#define BQ_DIALECT_BQDIALECT_H

#include "dialect/core/Format.h"
#include "dialect/core/FragmentLayout.h"
#include "dialect/core/Layout.h"
#include "dialect/core/Noise.h"
#include "dialect/core/Types.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/Hashing.h"

namespace bq {

inline llvm::hash_code hash_value(const Format &format) {
  return llvm::hash_combine(static_cast<int>(format.kind), format.bits, format.group);
}

/// The MLIR type of an element type, and back; the latter takes f32, f16 and bf16 only.
mlir::Type toType(mlir::MLIRContext *context, ElementType type);
ElementType toElementType(mlir::Type type);

} // namespace bq

#include "dialect/BQDialect.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialect/BQAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialect/BQTypes.h.inc"

#include "dialect/BQInterfaces.h.inc"
#define GET_OP_CLASSES
#include "dialect/BQOps.h.inc"

namespace bq {

/// The attribute that describes `layout`.
LayoutAttr toAttr(mlir::MLIRContext *context, const Layout &layout);
FragmentsAttr toAttr(mlir::MLIRContext *context, const FragmentLayout &layout);

} // namespace bq

#endif // BQ_DIALECT_BQDIALECT_H
