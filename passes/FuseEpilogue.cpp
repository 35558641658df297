// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace bq {
#define GEN_PASS_DEF_FUSEEPILOGUE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

/// The layer that alone feeds `op`, where nothing else reads it.
template <typename OpTy>
FailureOr<ProductLayer> getLayer(OpTy op, PatternRewriter &rewriter) {
  auto layer = op.getInput().template getDefiningOp<ProductLayer>();
  if (!layer)
    return rewriter.notifyMatchFailure(op, "input is not a layer");
  if (!layer->hasOneUse())
    return rewriter.notifyMatchFailure(op, "the layer has other uses");
  if (layer.getActivationKind() != Activation::None)
    return rewriter.notifyMatchFailure(op, "the layer has an activation already");
  return layer;
}

struct FuseBias : OpRewritePattern<AddBiasOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(AddBiasOp op, PatternRewriter &rewriter) const override {
    FailureOr<ProductLayer> layer = getLayer(op, rewriter);
    if (failed(layer))
      return failure();
    if (layer->getBias())
      return rewriter.notifyMatchFailure(op, "the layer has a bias already");
    // The bias may be defined after the layer.
    rewriter.moveOpBefore(*layer, op);
    rewriter.modifyOpInPlace(*layer, [&] { layer->getBiasMutable().assign(op.getBias()); });
    rewriter.replaceOp(op, (*layer)->getResults());
    return success();
  }
};

struct FuseActivation : OpRewritePattern<ActivateOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ActivateOp op, PatternRewriter &rewriter) const override {
    FailureOr<ProductLayer> layer = getLayer(op, rewriter);
    if (failed(layer))
      return failure();
    rewriter.modifyOpInPlace(*layer, [&] { layer->setActivationAttr(op.getActivation()); });
    rewriter.replaceOp(op, (*layer)->getResults());
    return success();
  }
};

struct FuseEpilogue : bq::impl::FuseEpilogueBase<FuseEpilogue> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FuseBias, FuseActivation>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
