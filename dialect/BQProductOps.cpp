// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/BQVerify.h"

using namespace mlir;
using namespace bq;

/// (C5) and (C6) of LinearOp.
template <typename OpTy>
static LogicalResult verifyColumns(OpTy op) {
  const Format &format = op.getWeight().getType().getFormat();
  std::optional<uint64_t> bits = op.getActivationBits();
  // (C5)
  if (bits.has_value() != static_cast<bool>(op.getActivationScale()))
    return op.emitOpError("expected 'quantized' and 'activationBits' together");
  if (bits && (*bits < 1 || *bits > 8))
    return op.emitOpError("expected 'activationBits' between 1 and 8, got ") << static_cast<int64_t>(*bits);
  if (bits && op.getCompute().getValue() != Compute::I8)
    return op.emitOpError("expected compute i8 for quantized activations, got ")
           << StringRef(str(op.getCompute().getValue()));
  if (bits && (format.hasColumnScale() || op.getColumnFactors()))
    return op.emitOpError("expected columns without scales and factors for quantized activations");
  // (C6)
  if (format.hasColumnScale() && op.getColumnFactors())
    return op.emitOpError("expected no 'columnFactors' for ") << format.str() << ", whose columns have scales";
  return success();
}

static LogicalResult verifyStaticRows(Operation *op, WeightType weight) {
  if (ShapedType::isDynamic(weight.getN()))
    return op->emitOpError("expected 'weight' with a static number of rows, got ") << weight;
  return success();
}

//===----------------------------------------------------------------------===//
// LinearOp
//===----------------------------------------------------------------------===//

int64_t LinearOp::getProductRows() { return cast<RankedTensorType>(getInput().getType()).getDimSize(0); }
int64_t LinearOp::getKernelRows() { return getWeight().getType().getN(); }
ArrayRef<int64_t> LinearOp::getPatch() { return {}; }

LogicalResult LinearOp::verify() {
  WeightType weight = getWeight().getType();
  RankedTensorType input = cast<RankedTensorType>(getInput().getType());
  // (C1)
  if (failed(verifyShape(*this, "input", getInput(), {input.getDimSize(0), weight.getK()})))
    return failure();
  // (C2)
  if (failed(verifyStaticRows(*this, weight)))
    return failure();
  // (C3)
  if (getBias() && failed(verifyShape(*this, "bias", getBias(), {weight.getN()})))
    return failure();
  // (C4)
  if (failed(verifyShape(*this, "result", getResult(), {input.getDimSize(0), weight.getN()})) ||
      failed(verifyElementType(*this, "result", getResult(), input.getElementType())))
    return failure();
  return verifyColumns(*this);
}

//===----------------------------------------------------------------------===//
// Conv2dOp
//===----------------------------------------------------------------------===//

int64_t Conv2dOp::getProductRows() {
  auto result = cast<RankedTensorType>(getResult().getType());
  int64_t rows = 1;
  for (int64_t dim : {0, 2, 3}) {
    if (result.isDynamicDim(dim))
      return ShapedType::kDynamic;
    rows *= result.getDimSize(dim);
  }
  return rows;
}
int64_t Conv2dOp::getKernelRows() { return getWeight().getType().getN() / static_cast<int64_t>(getGroups()); }
ArrayRef<int64_t> Conv2dOp::getPatch() { return getKernel(); }

/// (C1) for one attribute.
static LogicalResult verifyPair(Operation *op, StringRef name, std::optional<ArrayRef<int64_t>> pair, int64_t least) {
  if (!pair || (pair->size() == 2 && (*pair)[0] >= least && (*pair)[1] >= least))
    return success();
  InFlightDiagnostic diag = op->emitOpError("expected '")
                            << name << "' of two numbers of at least " << least << ", got ";
  llvm::interleaveComma(*pair, diag);
  return diag;
}

LogicalResult Conv2dOp::verify() {
  WeightType weight = getWeight().getType();
  RankedTensorType input = cast<RankedTensorType>(getInput().getType());
  RankedTensorType result = cast<RankedTensorType>(getResult().getType());
  const int64_t groups = getGroups();
  // (C1)
  if (failed(verifyPair(*this, "kernel", getKernel(), 1)) || failed(verifyPair(*this, "stride", getStride(), 1)) ||
      failed(verifyPair(*this, "padding", getPadding(), 0)) || failed(verifyPair(*this, "dilation", getDilation(), 1)))
    return failure();
  // (C2)
  if (failed(verifyStaticRows(*this, weight)))
    return failure();
  if (groups < 1 || weight.getN() % groups)
    return emitOpError("expected 'groups' that divide the ") << weight.getN() << " rows of 'weight', got " << groups;
  // (C3)
  const int64_t taps = getKernel()[0] * getKernel()[1];
  if (weight.getK() % taps)
    return emitOpError("expected 'weight' with a multiple of ") << taps << " columns, got " << weight;
  SmallVector<int64_t> shape(input.getShape());
  shape[1] = groups * (weight.getK() / taps);
  if (failed(verifyShape(*this, "input", getInput(), shape)))
    return failure();
  // (C4)
  if (getBias() && failed(verifyShape(*this, "bias", getBias(), {weight.getN()})))
    return failure();
  // (C5)
  SmallVector<int64_t> expected = {input.getDimSize(0), weight.getN(), result.getDimSize(2), result.getDimSize(3)};
  for (int64_t i = 0; getStride() && getPadding() && getDilation() && i < 2; ++i)
    if (!input.isDynamicDim(2 + i)) {
      const int64_t covered = (*getDilation())[i] * (getKernel()[i] - 1) + 1;
      const int64_t steps = input.getDimSize(2 + i) + 2 * (*getPadding())[i] - covered;
      expected[2 + i] = steps < 0 ? 0 : steps / (*getStride())[i] + 1;
    }
  if (failed(verifyShape(*this, "result", getResult(), expected)) ||
      failed(verifyElementType(*this, "result", getResult(), input.getElementType())))
    return failure();
  // (C6)
  return verifyColumns(*this);
}

//===----------------------------------------------------------------------===//
// LinearInputGradientOp
//===----------------------------------------------------------------------===//

LogicalResult LinearInputGradientOp::verify() {
  WeightType weight = getWeight().getType();
  RankedTensorType gradient = cast<RankedTensorType>(getGradient().getType());
  // (C1)
  if (failed(verifyStaticRows(*this, weight)) ||
      failed(verifyShape(*this, "gradient", getGradient(), {gradient.getDimSize(0), weight.getN()})))
    return failure();
  // (C2)
  if (failed(verifyShape(*this, "result", getResult(), {gradient.getDimSize(0), weight.getK()})) ||
      failed(verifyElementType(*this, "result", getResult(), gradient.getElementType())))
    return failure();
  // (C3)
  if (Compute compute = getCompute().getValue(); compute != Compute::F32 && compute != Compute::BF16)
    return emitOpError("expected compute f32 or bf16, got ") << StringRef(str(compute));
  return success();
}
