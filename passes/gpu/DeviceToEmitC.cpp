// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/ToEmitC.h"

#include "llvm/ADT/Twine.h"

using namespace mlir;
using namespace bq;

namespace {

/// `result = callee(operands)`; the callee depends on the op.
template <typename Source>
struct Call : OpConversionPattern<Source> {
  using Name = std::string (*)(Source);

  Call(const TypeConverter &types, MLIRContext *context, Name name)
      : OpConversionPattern<Source>(types, context), name(name) {}

  LogicalResult matchAndRewrite(Source op, typename Source::Adaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    SmallVector<Type> types;
    if (failed(this->getTypeConverter()->convertTypes(op->getResultTypes(), types)))
      return rewriter.notifyMatchFailure(op, "no C++ type for a result");
    rewriter.replaceOpWithNewOp<emitc::CallOpaqueOp>(op, types, name(op), adaptor.getOperands());
    return success();
  }

  Name name;
};

/// The same with the number `argument(op)` as last argument.
template <typename Source>
struct CallWithNumber : OpConversionPattern<Source> {
  using Argument = int32_t (*)(Source);

  CallWithNumber(const TypeConverter &types, MLIRContext *context, StringRef callee, Argument argument)
      : OpConversionPattern<Source>(types, context), callee(callee), argument(argument) {}

  LogicalResult matchAndRewrite(Source op, typename Source::Adaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    SmallVector<Value> operands(adaptor.getOperands());
    operands.push_back(emitc::LiteralOp::create(rewriter, op.getLoc(), rewriter.getI32Type(),
                                                cppLiteral(rewriter.getI32IntegerAttr(argument(op)))));
    rewriter.replaceOpWithNewOp<emitc::CallOpaqueOp>(op, op->getResultTypes(), callee, operands);
    return success();
  }

  StringRef callee;
  Argument argument;
};

struct Shared : OpConversionPattern<gpu::SharedOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(gpu::SharedOp op, OpAdaptor, ConversionPatternRewriter &rewriter) const override {
    Type type = getTypeConverter()->convertType(op.getType());
    std::string callee = ("bq_shared<" + cppName(op.getType().getElement()) + ">").str();
    ArrayAttr offset = rewriter.getArrayAttr(op->getAttr(sharedOffsetName));
    rewriter.replaceOpWithNewOp<emitc::CallOpaqueOp>(op, type, callee, ValueRange(), offset);
    return success();
  }
};

/// `result = callee(pointer + index, value...)`.
Value createAccess(OpBuilder &b, Location loc, Type type, StringRef callee, ValueRange operands) {
  return createExpression(b, loc, type, operands, [&](ValueRange values) {
    SmallVector<Value> arguments = {emitc::AddOp::create(b, loc, values[0].getType(), values[0], values[1])};
    llvm::append_range(arguments, values.drop_front(2));
    return emitc::CallOpaqueOp::create(b, loc, type, callee, arguments).getResult(0);
  });
}

struct Load : OpConversionPattern<gpu::LoadOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(gpu::LoadOp op, OpAdaptor adaptor, ConversionPatternRewriter &rewriter) const override {
    StringRef how = op.getPointer().getType().getShared() ? "_shared"
                    : op.getStreamed()                    ? "_streamed"
                    : op.getFresh()                       ? "_fresh"
                                                          : "";
    std::string callee = ("bq_load" + how + "<" + cppName(op.getType()) + ">").str();
    Type type = getTypeConverter()->convertType(op.getType());
    rewriter.replaceOp(op, createAccess(rewriter, op.getLoc(), type, callee, adaptor.getOperands()));
    return success();
  }
};

struct AtomicAdd : OpConversionPattern<gpu::AtomicAddOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(gpu::AtomicAddOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Value operands[] = {adaptor.getPointer(), adaptor.getIndex(), adaptor.getValue()};
    rewriter.replaceOp(op, createAccess(rewriter, op.getLoc(), op.getType(), "bq_atomic_add", operands));
    return success();
  }
};

struct Store : OpConversionPattern<gpu::StoreOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(gpu::StoreOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    bool isShared = op.getPointer().getType().getShared();
    Value operands[] = {adaptor.getPointer(), adaptor.getIndex(), adaptor.getValue()};
    rewriter.replaceOpWithNewOp<emitc::VerbatimOp>(
        op, isShared ? "bq_store_shared({} + {}, {});" : "bq_store({} + {}, {});", ValueRange(operands));
    return success();
  }
};

struct CopyAsync : OpConversionPattern<gpu::CopyAsyncOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(gpu::CopyAsyncOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Value operands[] = {adaptor.getTarget(), adaptor.getTargetIndex(), adaptor.getSource(), adaptor.getSourceIndex(),
                        adaptor.getValid()};
    rewriter.replaceOpWithNewOp<emitc::VerbatimOp>(op, "bq_copy_async({} + {}, {} + {}, {});", ValueRange(operands));
    return success();
  }
};

} // namespace

void bq::populateDeviceToEmitCPatterns(TypeConverter &types, RewritePatternSet &patterns) {
  MLIRContext *context = patterns.getContext();
  patterns.add<Shared, Load, AtomicAdd, Store, CopyAsync>(types, context);
  auto call = [&](auto name) {
    using Source = typename llvm::function_traits<decltype(name)>::template arg_t<0>;
    patterns.add<Call<Source>>(types, context, +name);
  };
  call([](gpu::ThreadOp) -> std::string { return "bq_thread"; });
  call([](gpu::BlockOp op) { return ("bq_block_" + gpu::stringifyDimension(op.getDimension())).str(); });
  call([](gpu::AddressOp) -> std::string { return "bq_address"; });
  call([](gpu::BarrierOp) -> std::string { return "bq_barrier"; });
  call([](gpu::CommitCopiesOp) -> std::string { return "bq_commit_copies"; });
  call([](gpu::WaitCopiesOp op) { return ("bq_wait_copies<" + Twine(op.getPending()) + ">").str(); });
  call([](gpu::FenceOp) -> std::string { return "bq_fence"; });
  call([](gpu::MmaOp op) { return ("bq_mma_" + gpu::stringifyMmaKind(op.getKind())).str(); });
  call([](gpu::TransposeOp) -> std::string { return "bq_transpose"; });
  call([](gpu::PackOp op) { return ("bq_pack_" + cppName(op.getType()).drop_front(3)).str(); });
  call([](gpu::ElementOp op) { return ("bq_element<" + Twine(op.getIndex()) + ">").str(); });
  call([](gpu::Logic3Op op) { return ("bq_logic3<" + Twine(op.getTable()) + ">").str(); });
  call([](gpu::ExtendOp op) { return ("bq_f32_from_" + gpu::stringifyHalf(op.getFrom())).str(); });
  call([](gpu::RoundOp op) { return ("bq_" + gpu::stringifyHalf(op.getTo()) + "_from_f32").str(); });
  call([](gpu::RoundPairOp) -> std::string { return "bq_bf16x2_from_f32"; });
  call([](gpu::AddPairOp) -> std::string { return "bq_add_bf16x2"; });
  patterns.add<CallWithNumber<gpu::ShuffleXorOp>>(
      types, context, "bq_shuffle_xor", [](gpu::ShuffleXorOp op) { return static_cast<int32_t>(op.getMask()); });
  patterns.add<CallWithNumber<gpu::PermuteBytesOp>>(types, context, "bq_permute_bytes", [](gpu::PermuteBytesOp op) {
    return static_cast<int32_t>(op.getSelector());
  });
}
