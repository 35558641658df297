// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the verifiers of ops share.
#ifndef BQ_DIALECT_BQVERIFY_H
#define BQ_DIALECT_BQVERIFY_H

#include "dialect/BQDialect.h"

#include "mlir/IR/TypeUtilities.h"

namespace bq {

/// Checks that `value` has exactly the shape `expected`; dynamic dimensions match only themselves.
inline llvm::LogicalResult verifyShape(mlir::Operation *op, llvm::StringRef name, mlir::Value value,
                                       llvm::ArrayRef<int64_t> expected) {
  auto type = mlir::cast<mlir::RankedTensorType>(value.getType());
  if (type.getShape() == expected)
    return mlir::success();
  mlir::InFlightDiagnostic diag = op->emitOpError("expected '") << name << "' of shape [";
  llvm::interleaveComma(expected, diag,
                        [&](int64_t dim) { mlir::ShapedType::isDynamic(dim) ? diag << "?" : diag << dim; });
  return diag << "], got " << type;
}

/// Checks the element type of a tensor.
inline llvm::LogicalResult verifyElementType(mlir::Operation *op, llvm::StringRef name, mlir::Value value,
                                             mlir::Type expected) {
  mlir::Type element = mlir::getElementTypeOrSelf(value.getType());
  if (element == expected)
    return mlir::success();
  return op->emitOpError("expected '") << name << "' with elements of type " << expected << ", got " << element;
}

} // namespace bq

#endif // BQ_DIALECT_BQVERIFY_H
