// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"
#include "passes/gpu/ToEmitC.h"

#include "mlir/Conversion/SCFToEmitC/SCFToEmitC.h"
#include "llvm/Support/MathExtras.h"

namespace bq {
#define GEN_PASS_DEF_CONVERTTOEMITC
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

constexpr StringLiteral threadsName = "bqgpu.threads", sharedBytesName = "bqgpu.shared_bytes";

LogicalResult verifyTypes(Operation *op, TypeRange types) {
  for (Type type : types)
    if (!toCppType(type))
      return op->emitOpError("expected values of type i1, i32, i64, f32, !bqgpu.ptr or a vector of two or four i32 or "
                             "f32, got ")
             << type;
  return success();
}

/// What a conversion pattern cannot say well: functions that are no kernels, and values that C++ has no type for.
LogicalResult verifyKernels(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>()) {
    auto threads = function->getAttrOfType<IntegerAttr>(threadsName);
    if (!threads || function.isExternal())
      return function.emitOpError("expected a kernel, with a body and the attribute '") << threadsName << "'";
    if (threads.getInt() < 1 || threads.getInt() > 1024)
      return function.emitOpError("expected '") << threadsName << "' of 1 to 1024, got " << threads.getInt();
    if (function.getNumResults())
      return function.emitOpError("expected a kernel without results");
  }
  WalkResult result = module.walk([](Operation *op) {
    if (failed(verifyTypes(op, op->getOperandTypes())) || failed(verifyTypes(op, op->getResultTypes())))
      return WalkResult::interrupt();
    if (auto loop = dyn_cast<scf::ForOp>(op); loop && loop.getUnsignedCmp())
      return loop.emitOpError("expected a loop that compares with sign"), WalkResult::interrupt();
    if (isa<scf::WhileOp>(op))
      return op->emitOpError("expected scf.for instead"), WalkResult::interrupt();
    for (Region &region : op->getRegions())
      for (Block &block : region)
        if (failed(verifyTypes(op, block.getArgumentTypes())))
          return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

/// Places what the function's `bqgpu.shared` ask for one after the other, and says how much it is.
void layOutShared(func::FuncOp function) {
  Builder b(function.getContext());
  int64_t bytes = 0;
  function.walk([&](gpu::SharedOp op) {
    op->setAttr(sharedOffsetName, b.getI32IntegerAttr(bytes));
    int64_t elementBytes = op.getType().getElement().getIntOrFloatBitWidth() / 8;
    bytes = llvm::alignTo(bytes + static_cast<int64_t>(op.getCount()) * elementBytes, 16);
  });
  function->setAttr(sharedBytesName, b.getI32IntegerAttr(bytes));
}

struct FuncToEmitC : OpConversionPattern<func::FuncOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(func::FuncOp op, OpAdaptor, ConversionPatternRewriter &rewriter) const override {
    TypeConverter::SignatureConversion signature(op.getNumArguments());
    if (failed(getTypeConverter()->convertSignatureArgs(op.getArgumentTypes(), signature)))
      return rewriter.notifyMatchFailure(op, "no C++ type for an argument");
    auto function = emitc::FuncOp::create(rewriter, op.getLoc(), op.getName(),
                                          rewriter.getFunctionType(signature.getConvertedTypes(), {}));
    int64_t threads = op->getAttrOfType<IntegerAttr>(threadsName).getInt();
    // Told of no least number of blocks, the assembler aims for many, and rather spills a few values than take
    // registers.
    std::string bounds = ("__launch_bounds__(" + Twine(threads) + ", 1)").str();
    function.setSpecifiersAttr(rewriter.getStrArrayAttr({"extern \"C\"", "__global__", bounds}));
    for (NamedAttribute attr : op->getDiscardableAttrs())
      function->setAttr(attr.getName(), attr.getValue());
    rewriter.inlineRegionBefore(op.getBody(), function.getBody(), function.end());
    if (failed(rewriter.convertRegionTypes(&function.getBody(), *getTypeConverter(), &signature)))
      return rewriter.notifyMatchFailure(op, "no C++ type for an argument");
    rewriter.eraseOp(op);
    return success();
  }
};

struct ReturnToEmitC : OpConversionPattern<func::ReturnOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult matchAndRewrite(func::ReturnOp op, OpAdaptor, ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<emitc::ReturnOp>(op, Value());
    return success();
  }
};

struct ConvertToEmitC : bq::impl::ConvertToEmitCBase<ConvertToEmitC> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (failed(verifyKernels(module)))
      return signalPassFailure();
    for (auto function : module.getOps<func::FuncOp>())
      layOutShared(function);
    module.walk([](scf::ForOp loop) {
      OpBuilder b = OpBuilder::atBlockBegin(loop.getBody());
      emitc::VerbatimOp::create(b, loop.getLoc(), "#pragma unroll 1");
    });

    TypeConverter types;
    types.addConversion([](Type type) -> std::optional<Type> { return toCppType(type); });
    RewritePatternSet patterns(&getContext());
    patterns.add<FuncToEmitC, ReturnToEmitC>(types, &getContext());
    populateScalarToEmitCPatterns(types, patterns);
    populateComparisonsToEmitCPatterns(types, patterns);
    populateDeviceToEmitCPatterns(types, patterns);
    populateSCFToEmitCConversionPatterns(patterns, types);
    ConversionTarget target(getContext());
    target.addLegalDialect<emitc::EmitCDialect>();
    target.addLegalOp<ModuleOp>();
    if (failed(applyFullConversion(module, target, std::move(patterns))))
      return signalPassFailure();

    // The conversion of loops reads every result, and the C++ compiler would warn of those without use.
    module.walk([](emitc::LoadOp load) {
      if (load.use_empty())
        load.erase();
    });
    for (auto function : module.getOps<emitc::FuncOp>()) {
      placeLoopPragmas(function);
      placeLineDirectives(function);
    }
  }
};

} // namespace
