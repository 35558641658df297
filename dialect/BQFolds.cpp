// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Folds and canonicalization patterns.
#include "dialect/BQDialect.h"

#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace bq;

/// linear(x, w, bias = splat of zero) -> linear(x, w)
static LogicalResult dropZeroBias(LinearOp op, PatternRewriter &rewriter) {
  if (!op.getBias())
    return rewriter.notifyMatchFailure(op, "no bias");
  if (!matchPattern(op.getBias(), m_AnyZeroFloat()))
    return rewriter.notifyMatchFailure(op, "bias is not a splat of zero");
  rewriter.modifyOpInPlace(op, [&] { op.getBiasMutable().clear(); });
  return success();
}

void LinearOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *) { patterns.add(dropZeroBias); }

OpFoldResult AddBiasOp::fold(FoldAdaptor adaptor) {
  if (auto bias = dyn_cast_or_null<DenseFPElementsAttr>(adaptor.getBias()))
    if (bias.isSplat() && bias.getSplatValue<APFloat>().isZero())
      return getInput();
  return {};
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
