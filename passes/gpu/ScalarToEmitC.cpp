// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/ToEmitC.h"

using namespace mlir;
using namespace bq;

namespace {

bool isNumber(Type type) { return isScalar(type) && !type.isInteger(1); }

Value cast(OpBuilder &b, Location loc, Type type, Value value) { return emitc::CastOp::create(b, loc, type, value); }

struct Constant : OpConversionPattern<arith::ConstantOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(arith::ConstantOp op, OpAdaptor, ConversionPatternRewriter &rewriter) const override {
    auto literal = [&](Attribute value, Type type) -> Value {
      return emitc::LiteralOp::create(rewriter, op.getLoc(), type, cppLiteral(value));
    };
    if (isScalar(op.getType())) {
      rewriter.replaceOp(op, literal(op.getValue(), op.getType()));
      return success();
    }
    auto elements = dyn_cast<DenseElementsAttr>(op.getValue());
    Type type = getTypeConverter()->convertType(op.getType());
    if (!elements || !type)
      return rewriter.notifyMatchFailure(op, "expected a scalar or a fragment of constants");
    SmallVector<Value> values;
    for (Attribute element : elements.getValues<Attribute>())
      values.push_back(literal(element, elements.getElementType()));
    StringRef suffix = cppName(op.getType()).drop_front(StringRef("bq_").size());
    rewriter.replaceOpWithNewOp<emitc::CallOpaqueOp>(op, type, ("bq_pack_" + suffix).str(), values);
    return success();
  }
};

/// `l + r`; in unsigned integers where `isUnsigned`, since signed ones do not wrap in C++.
template <typename Source, typename Target, bool isUnsigned>
struct Operator : OpConversionPattern<Source> {
  using OpConversionPattern<Source>::OpConversionPattern;

  LogicalResult matchAndRewrite(Source op, typename Source::Adaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Type type = op.getType();
    if (!isNumber(type))
      return rewriter.notifyMatchFailure(op, "expected i32, i64 or f32");
    if constexpr (isUnsigned) {
      if (!cannotWrap(op)) {
        Type bits = toUnsignedType(type);
        Location loc = op.getLoc();
        rewriter.replaceOp(op, createExpression(rewriter, loc, type, adaptor.getOperands(), [&](ValueRange values) {
                             Value l = cast(rewriter, loc, bits, values[0]), r = cast(rewriter, loc, bits, values[1]);
                             return cast(rewriter, loc, type, Target::create(rewriter, loc, bits, l, r));
                           }));
        return success();
      }
    }
    rewriter.replaceOpWithNewOp<Target>(op, type, adaptor.getOperands());
    return success();
  }

  static bool cannotWrap(Source op) {
    if constexpr (std::is_same_v<Source, arith::DivUIOp> || std::is_same_v<Source, arith::RemUIOp>)
      return false;
    else
      return bitEnumContainsAll(op.getOverflowFlags(), arith::IntegerOverflowFlags::nsw);
  }
};

/// `l & r`, of integers and of truth values.
template <typename Source, typename Target>
struct Bitwise : OpConversionPattern<Source> {
  using OpConversionPattern<Source>::OpConversionPattern;

  LogicalResult matchAndRewrite(Source op, typename Source::Adaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    if (!isScalar(op.getType()))
      return rewriter.notifyMatchFailure(op, "expected i1, i32 or i64");
    rewriter.replaceOpWithNewOp<Target>(op, op.getType(), adaptor.getOperands());
    return success();
  }
};

/// A call of the prelude.
template <typename Source>
struct Call : OpConversionPattern<Source> {
  Call(const TypeConverter &types, MLIRContext *context, StringRef callee)
      : OpConversionPattern<Source>(types, context), callee(callee) {}

  LogicalResult matchAndRewrite(Source op, typename Source::Adaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    if (!isNumber(op.getType()))
      return rewriter.notifyMatchFailure(op, "expected i32, i64 or f32");
    rewriter.replaceOpWithNewOp<emitc::CallOpaqueOp>(op, op.getType(), callee, adaptor.getOperands());
    return success();
  }

  StringRef callee;
};

struct Bitcast : OpConversionPattern<arith::BitcastOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(arith::BitcastOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    bool toFloat = op.getIn().getType().isInteger(32) && op.getType().isF32();
    if (!toFloat && !(op.getIn().getType().isF32() && op.getType().isInteger(32)))
      return rewriter.notifyMatchFailure(op, "expected i32 to f32, or the other way");
    rewriter.replaceOpWithNewOp<emitc::CallOpaqueOp>(op, op.getType(), toFloat ? "bq_float" : "bq_bits",
                                                     adaptor.getOperands());
    return success();
  }
};

struct Negate : OpConversionPattern<arith::NegFOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(arith::NegFOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    if (!op.getType().isF32())
      return rewriter.notifyMatchFailure(op, "expected f32");
    rewriter.replaceOpWithNewOp<emitc::UnaryMinusOp>(op, op.getType(), adaptor.getOperand());
    return success();
  }
};

struct Select : OpConversionPattern<arith::SelectOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(arith::SelectOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Type type = getTypeConverter()->convertType(op.getType());
    if (!type || !op.getCondition().getType().isInteger(1))
      return rewriter.notifyMatchFailure(op, "expected one i1 as condition");
    rewriter.replaceOpWithNewOp<emitc::ConditionalOp>(op, type, adaptor.getOperands());
    return success();
  }
};

/// What a cast does in C++: through the unsigned type of the source, of the result, or straight.
enum class Through { Straight, UnsignedSource, UnsignedResult };

template <typename Source, Through through, bool fromBool>
struct Cast : OpConversionPattern<Source> {
  using OpConversionPattern<Source>::OpConversionPattern;

  LogicalResult matchAndRewrite(Source op, typename Source::Adaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Type from = op.getIn().getType(), to = op.getType();
    if (!isNumber(to) || !isScalar(from) || (from.isInteger(1) && !fromBool))
      return rewriter.notifyMatchFailure(op, "expected numbers; a truth value has no sign");
    if (through == Through::Straight || from.isInteger(1)) {
      rewriter.replaceOpWithNewOp<emitc::CastOp>(op, to, adaptor.getIn());
      return success();
    }
    Location loc = op.getLoc();
    rewriter.replaceOp(op, createExpression(rewriter, loc, to, adaptor.getIn(), [&](ValueRange values) {
                         Type bits = toUnsignedType(through == Through::UnsignedSource ? from : to);
                         return cast(rewriter, loc, to, cast(rewriter, loc, bits, values[0]));
                       }));
    return success();
  }
};

/// To i1 the lowest bit counts, where C++ would ask whether any is set.
struct TruncateToBool : OpConversionPattern<arith::TruncIOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(arith::TruncIOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Type from = op.getIn().getType(), to = op.getType();
    if (!to.isInteger(1) || !isNumber(from))
      return rewriter.notifyMatchFailure(op, "expected a number to i1");
    Location loc = op.getLoc();
    Value one = emitc::LiteralOp::create(rewriter, loc, from, "1");
    rewriter.replaceOp(op, createExpression(rewriter, loc, to, {adaptor.getIn(), one}, [&](ValueRange values) {
                         Value bit = emitc::BitwiseAndOp::create(rewriter, loc, from, values[0], values[1]);
                         return cast(rewriter, loc, to, bit);
                       }));
    return success();
  }
};

} // namespace

void bq::populateScalarToEmitCPatterns(TypeConverter &types, RewritePatternSet &patterns) {
  MLIRContext *context = patterns.getContext();
  patterns.add<Constant, Bitcast, Negate, Select, TruncateToBool, Operator<arith::AddIOp, emitc::AddOp, true>,
               Operator<arith::SubIOp, emitc::SubOp, true>, Operator<arith::MulIOp, emitc::MulOp, true>,
               Operator<arith::DivUIOp, emitc::DivOp, true>, Operator<arith::RemUIOp, emitc::RemOp, true>,
               Operator<arith::DivSIOp, emitc::DivOp, false>, Operator<arith::RemSIOp, emitc::RemOp, false>,
               Operator<arith::AddFOp, emitc::AddOp, false>, Operator<arith::SubFOp, emitc::SubOp, false>,
               Operator<arith::MulFOp, emitc::MulOp, false>, Operator<arith::DivFOp, emitc::DivOp, false>,
               Bitwise<arith::AndIOp, emitc::BitwiseAndOp>, Bitwise<arith::OrIOp, emitc::BitwiseOrOp>,
               Bitwise<arith::XOrIOp, emitc::BitwiseXorOp>, Cast<arith::ExtUIOp, Through::UnsignedSource, true>,
               Cast<arith::ExtSIOp, Through::Straight, false>, Cast<arith::TruncIOp, Through::Straight, false>,
               Cast<arith::SIToFPOp, Through::Straight, false>, Cast<arith::UIToFPOp, Through::UnsignedSource, true>,
               Cast<arith::FPToSIOp, Through::Straight, false>, Cast<arith::FPToUIOp, Through::UnsignedResult, false>>(
      types, context);
  patterns.add<Call<arith::ShLIOp>>(types, context, "bq_shift_left");
  patterns.add<Call<arith::ShRSIOp>>(types, context, "bq_shift_right_arithmetic");
  patterns.add<Call<arith::ShRUIOp>>(types, context, "bq_shift_right_logical");
  patterns.add<Call<arith::MinSIOp>>(types, context, "bq_min_signed");
  patterns.add<Call<arith::MaxSIOp>>(types, context, "bq_max_signed");
  patterns.add<Call<arith::MinUIOp>>(types, context, "bq_min_unsigned");
  patterns.add<Call<arith::MaxUIOp>>(types, context, "bq_max_unsigned");
  patterns.add<Call<arith::MinNumFOp>>(types, context, "bq_minnum");
  patterns.add<Call<arith::MaxNumFOp>>(types, context, "bq_maxnum");
  patterns.add<Call<arith::MinimumFOp>>(types, context, "bq_minimum");
  patterns.add<Call<arith::MaximumFOp>>(types, context, "bq_maximum");
  patterns.add<Call<math::ExpOp>>(types, context, "bq_exp");
  patterns.add<Call<math::ErfOp>>(types, context, "bq_erf");
  patterns.add<Call<math::TanhOp>>(types, context, "bq_tanh");
  patterns.add<Call<math::RoundEvenOp>>(types, context, "bq_round_even");
  patterns.add<Call<math::AbsFOp>>(types, context, "bq_abs");
  patterns.add<Call<math::FmaOp>>(types, context, "bq_fma");
  patterns.add<Call<math::FloorOp>>(types, context, "bq_floor");
  patterns.add<Call<math::SqrtOp>>(types, context, "bq_sqrt");
}
