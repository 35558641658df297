// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/ToEmitC.h"

using namespace mlir;
using namespace bq;

namespace {

struct CompareIntegers : OpConversionPattern<arith::CmpIOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(arith::CmpIOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    using P = arith::CmpIPredicate;
    using E = emitc::CmpPredicate;
    static constexpr E predicates[] = {E::eq, E::ne, E::lt, E::le, E::gt, E::ge, E::lt, E::le, E::gt, E::ge};
    Type type = op.getLhs().getType(), result = op.getType();
    bool isEquality = op.getPredicate() == P::eq || op.getPredicate() == P::ne;
    if (!isScalar(type) || (type.isInteger(1) && !isEquality))
      return rewriter.notifyMatchFailure(op, "expected numbers, or truth values that are compared for equality");
    E predicate = predicates[static_cast<size_t>(op.getPredicate())];
    if (op.getPredicate() < P::ult) {
      rewriter.replaceOpWithNewOp<emitc::CmpOp>(op, result, predicate, adaptor.getLhs(), adaptor.getRhs());
      return success();
    }
    Location loc = op.getLoc();
    rewriter.replaceOp(op,
                       createExpression(rewriter, loc, result, adaptor.getOperands(), [&](ValueRange values) -> Value {
                         Type bits = toUnsignedType(type);
                         Value l = emitc::CastOp::create(rewriter, loc, bits, values[0]);
                         Value r = emitc::CastOp::create(rewriter, loc, bits, values[1]);
                         return emitc::CmpOp::create(rewriter, loc, result, predicate, l, r);
                       }));
    return success();
  }
};

struct CompareFloats : OpConversionPattern<arith::CmpFOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(arith::CmpFOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    using P = arith::CmpFPredicate;
    using E = emitc::CmpPredicate;
    if (!op.getLhs().getType().isF32())
      return rewriter.notifyMatchFailure(op, "expected f32");
    Location loc = op.getLoc();
    Type truth = op.getType();
    auto compare = [&](E predicate, Value l, Value r) -> Value {
      return emitc::CmpOp::create(rewriter, loc, truth, predicate, l, r);
    };
    auto invert = [&](Value value) -> Value { return emitc::LogicalNotOp::create(rewriter, loc, truth, value); };
    auto either = [&](Value l, Value r) -> Value { return emitc::LogicalOrOp::create(rewriter, loc, truth, l, r); };
    // C++ compares are false where an operand is NaN, but for !=.
    auto build = [&](ValueRange values) -> Value {
      Value l = values[0], r = values[1];
      switch (op.getPredicate()) {
      case P::OEQ:
        return compare(E::eq, l, r);
      case P::OGT:
        return compare(E::gt, l, r);
      case P::OGE:
        return compare(E::ge, l, r);
      case P::OLT:
        return compare(E::lt, l, r);
      case P::OLE:
        return compare(E::le, l, r);
      case P::UNE:
        return compare(E::ne, l, r);
      case P::UGT:
        return invert(compare(E::le, l, r));
      case P::UGE:
        return invert(compare(E::lt, l, r));
      case P::ULT:
        return invert(compare(E::ge, l, r));
      case P::ULE:
        return invert(compare(E::gt, l, r));
      case P::ONE:
        return either(compare(E::lt, l, r), compare(E::gt, l, r));
      case P::UEQ:
        return invert(either(compare(E::lt, l, r), compare(E::gt, l, r)));
      case P::UNO:
        return either(compare(E::ne, l, l), compare(E::ne, r, r));
      case P::ORD:
        return invert(either(compare(E::ne, l, l), compare(E::ne, r, r)));
      default:
        return nullptr;
      }
    };
    if (op.getPredicate() == P::AlwaysFalse || op.getPredicate() == P::AlwaysTrue)
      return rewriter.notifyMatchFailure(op, "a constant answer is folded");
    rewriter.replaceOp(op, createExpression(rewriter, loc, truth, adaptor.getOperands(), build));
    return success();
  }
};

} // namespace

void bq::populateComparisonsToEmitCPatterns(TypeConverter &types, RewritePatternSet &patterns) {
  patterns.add<CompareIntegers, CompareFloats>(types, patterns.getContext());
}
