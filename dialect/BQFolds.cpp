// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Folds and canonicalization patterns.
#include "dialect/BQDialect.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace bq;

static bool isZeroSplat(Attribute constant) {
  auto elements = dyn_cast_or_null<DenseFPElementsAttr>(constant);
  return elements && elements.isSplat() && elements.getSplatValue<APFloat>().isZero();
}

/// layer(x, w, bias = splat of zero) -> layer(x, w)
template <typename OpTy>
static LogicalResult dropZeroBias(OpTy op, PatternRewriter &rewriter) {
  if (!op.getBias())
    return rewriter.notifyMatchFailure(op, "no bias");
  // Not by a matcher: those are inline and ask for the trait ConstantLike, whose id differs between the compiler of
  // this file and that of libMLIR where they are not the same.
  if (!isZeroSplat(dyn_cast<Attribute>(getAsOpFoldResult(op.getBias()))))
    return rewriter.notifyMatchFailure(op, "bias is not a splat of zero");
  rewriter.modifyOpInPlace(op, [&] { op.getBiasMutable().clear(); });
  return success();
}

void LinearOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *) {
  patterns.add(dropZeroBias<LinearOp>);
}

void Conv2dOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *) {
  patterns.add(dropZeroBias<Conv2dOp>);
}

OpFoldResult AddBiasOp::fold(FoldAdaptor adaptor) {
  return isZeroSplat(adaptor.getBias()) ? OpFoldResult(getInput()) : OpFoldResult();
}

OpFoldResult ActivateOp::fold(FoldAdaptor) {
  if (getActivation().getValue() == Activation::None)
    return getInput();
  // relu(relu(x)) -> relu(x)
  auto inner = getInput().getDefiningOp<ActivateOp>();
  if (inner && getActivation().getValue() == Activation::Relu && inner.getActivation() == getActivation())
    return getInput();
  return {};
}
