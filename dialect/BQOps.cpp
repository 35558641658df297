// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/BQVerify.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace bq;

//===----------------------------------------------------------------------===//
// EmbeddingOp, QuantizeOp, DequantizeOp, PrepackOp
//===----------------------------------------------------------------------===//

/// Rows of a mixed weight are not packed apart.
static LogicalResult verifyRowFormat(Operation *op, WeightType weight) {
  if (weight.getFormat().isMixed())
    return op->emitOpError("expected a format whose rows are packed apart, got ") << weight.getFormat().str();
  return success();
}

LogicalResult EmbeddingOp::verify() {
  WeightType weight = getWeight().getType();
  if (failed(verifyRowFormat(*this, weight)))
    return failure();
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

LogicalResult PrepackOp::verify() {
  WeightType weight = getWeight().getType();
  if (failed(verifyRowFormat(*this, weight)))
    return failure();
  // (C1), which does not depend on the number of rows.
  FragmentsAttr order = toAttr(getContext(), FragmentLayout::get(weight.getFormat(), /*n=*/1, weight.getK()));
  if (getOrder() != order)
    return emitOpError("expected 'order' ") << order << ", got " << getOrder();
  return success();
}

LogicalResult AddBiasOp::verify() {
  // (C1)
  return verifyShape(*this, "bias", getBias(), {cast<RankedTensorType>(getInput().getType()).getDimSize(1)});
}

//===----------------------------------------------------------------------===//
// FakeQuantizeOp, FakeQuantizeGradOp
//===----------------------------------------------------------------------===//

template <typename OpTy>
static LogicalResult verifyFakeQuantize(OpTy op) {
  const Format &format = op.getFormat().getFormat();
  // (C1)
  if (format.isTable() || format.isMixed() || format.group)
    return op.emitOpError("expected a format int<b>, uint<b> or sign without a group size, got ") << format.str();
  int64_t rows = cast<RankedTensorType>(op.getInput().getType()).getDimSize(0);
  // (C2)
  if (failed(verifyShape(op, "scale", op.getScale(), {rows})))
    return failure();
  // (C3)
  if (op.getZero() && format.kind == Format::Kind::Sign)
    return op.emitOpError("expected no 'zero' for sign");
  return op.getZero() ? verifyShape(op, "zero", op.getZero(), {rows}) : success();
}

LogicalResult FakeQuantizeOp::verify() { return verifyFakeQuantize(*this); }

LogicalResult FakeQuantizeGradOp::verify() { return verifyFakeQuantize(*this); }

//===----------------------------------------------------------------------===//
// DotOp, LookupOp
//===----------------------------------------------------------------------===//

bool DotOp::isInteger() { return getAccumulator().getType().getElementType().isInteger(); }

bool DotOp::isOfWords() { return getWeights().getType().getElementType().isInteger(16); }

LogicalResult DotOp::verify() {
  VectorType accumulator = getAccumulator().getType(), weights = getWeights().getType();
  // (C1)
  if (isInteger() != weights.getElementType().isInteger() ||
      weights.getNumElements() != accumulator.getNumElements() * (weights.getElementType().isInteger(8) ? 4 : 2))
    return emitOpError("expected four bytes or two words for each i32 lane or two bf16 for each f32 lane, got ")
           << weights << " for " << accumulator;
  // (C2)
  if (weights.getElementType().isInteger(8) && (getMax() < 1 || getMax() > 255))
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
