// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/BQDialect.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace bq;

/// Checks that `value` has exactly the shape `expected`; dynamic dimensions match only themselves.
static LogicalResult verifyShape(Operation *op, StringRef name, Value value, ArrayRef<int64_t> expected) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getShape() == expected)
    return success();
  InFlightDiagnostic diag = op->emitOpError("expected '") << name << "' of shape [";
  llvm::interleaveComma(expected, diag, [&](int64_t dim) { ShapedType::isDynamic(dim) ? diag << "?" : diag << dim; });
  return diag << "], got " << type;
}

static LogicalResult verifyElementType(Operation *op, StringRef name, Value value, Type expected) {
  Type element = getElementTypeOrSelf(value.getType());
  if (element == expected)
    return success();
  return op->emitOpError("expected '") << name << "' with elements of type " << expected << ", got " << element;
}

//===----------------------------------------------------------------------===//
// LinearOp
//===----------------------------------------------------------------------===//

Activation LinearOp::getActivationKind() { return getActivation() ? getActivation()->getValue() : Activation::None; }

LogicalResult LinearOp::verify() {
  WeightType weight = getWeight().getType();
  RankedTensorType input = cast<RankedTensorType>(getInput().getType());
  // (C1)
  if (failed(verifyShape(*this, "input", getInput(), {input.getDimSize(0), weight.getK()})))
    return failure();
  // (C2)
  if (ShapedType::isDynamic(weight.getN()))
    return emitOpError("expected 'weight' with a static number of rows, got ") << weight;
  // (C3)
  if (getBias() && failed(verifyShape(*this, "bias", getBias(), {weight.getN()})))
    return failure();
  // (C4)
  if (failed(verifyShape(*this, "result", getResult(), {input.getDimSize(0), weight.getN()})))
    return failure();
  return verifyElementType(*this, "result", getResult(), input.getElementType());
}

//===----------------------------------------------------------------------===//
// EmbeddingOp, QuantizeOp, DequantizeOp
//===----------------------------------------------------------------------===//

LogicalResult EmbeddingOp::verify() {
  WeightType weight = getWeight().getType();
  int64_t count = cast<RankedTensorType>(getIndices().getType()).getDimSize(0);
  // (C1)
  if (failed(verifyShape(*this, "result", getResult(), {count, weight.getK()})))
    return failure();
  return verifyElementType(*this, "result", getResult(), weight.getScale());
}

LogicalResult QuantizeOp::verify() {
  WeightType weight = getWeight().getType();
  // (C1)
  if (failed(verifyShape(*this, "input", getInput(), {weight.getN(), weight.getK()})))
    return failure();
  // (C2)
  if (weight.getFormat().kind == Format::Kind::Lut)
    return emitOpError("expected a format whose codes follow from the weight, got ") << weight.getFormat().str();
  // (C3)
  if (weight.getZero() == ZeroPointType::F32)
    return emitOpError("expected zero points of type u8, got f32");
  return success();
}

LogicalResult DequantizeOp::verify() {
  WeightType weight = getWeight().getType();
  // (C1)
  if (failed(verifyShape(*this, "result", getResult(), {weight.getN(), weight.getK()})))
    return failure();
  return verifyElementType(*this, "result", getResult(), weight.getScale());
}

LogicalResult AddBiasOp::verify() {
  // (C1)
  return verifyShape(*this, "bias", getBias(), {cast<RankedTensorType>(getInput().getType()).getDimSize(1)});
}

//===----------------------------------------------------------------------===//
// DotOp, LookupOp
//===----------------------------------------------------------------------===//

bool DotOp::isInteger() { return getAccumulator().getType().getElementType().isInteger(); }

LogicalResult DotOp::verify() {
  VectorType accumulator = getAccumulator().getType(), weights = getWeights().getType();
  // (C1)
  if (isInteger() != weights.getElementType().isInteger() ||
      weights.getNumElements() != accumulator.getNumElements() * (isInteger() ? 4 : 2))
    return emitOpError("expected four bytes for each i32 lane or two bf16 for each f32 lane, got ")
           << weights << " for " << accumulator;
  // (C2)
  if (isInteger() && (getMax() < 1 || getMax() > 255))
    return emitOpError("expected 'max' between 1 and 255, got ") << getMax();
  return success();
}

LogicalResult LookupOp::verify() {
  VectorType table = getTable().getType(), indices = getIndices().getType(), result = getResult().getType();
  Type element = table.getElementType();
  // (C1)
  if (table.getNumElements() != (element.isInteger(16) ? 32 : 16) ||
      element.getIntOrFloatBitWidth() != indices.getElementType().getIntOrFloatBitWidth())
    return emitOpError("expected a table of 16 x i8, 32 x i16 or 16 x f32 and indices of the same width, got ")
           << table << " and " << indices;
  // (C2)
  if (result != indices.clone(element))
    return emitOpError("expected 'result' of type ") << indices.clone(element) << ", got " << result;
  return success();
}
