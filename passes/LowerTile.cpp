// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/CpuTarget.h"
#include "passes/Passes.h"
#include "passes/Schedules.h"
#include "passes/cpu/ExpandPhilox.h"
#include "passes/cpu/KernelBuilder.h"

#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <numeric>

namespace bq {
#define GEN_PASS_DEF_LOWERTILE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

template <typename OpTy>
struct TargetPattern : OpRewritePattern<OpTy> {
  TargetPattern(MLIRContext *context, const CpuTarget &target) : OpRewritePattern<OpTy>(context), target(target) {}
  const CpuTarget &target;
};

Value splat(ImplicitLocOpBuilder &b, Type type, int64_t value) {
  APInt bits(getElementTypeOrSelf(type).getIntOrFloatBitWidth(), static_cast<uint64_t>(value), false, true);
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, bits));
  return arith::ConstantOp::create(b, b.getIntegerAttr(type, bits));
}

Type withElement(Type like, Type element) {
  auto vector = dyn_cast<VectorType>(like);
  return vector ? Type(vector.clone(element)) : element;
}

Value bitcast(ImplicitLocOpBuilder &b, Type type, Value value) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector::BitCastOp::create(b, vector, value);
  return arith::BitcastOp::create(b, type, value);
}

//===----------------------------------------------------------------------===//
// bq.dot
//===----------------------------------------------------------------------===//

struct LowerDot : TargetPattern<DotOp> {
  using TargetPattern::TargetPattern;

  LogicalResult matchAndRewrite(DotOp op, PatternRewriter &rewriter) const override {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    const int64_t lanes = op.getAccumulator().getType().getNumElements(), bits = 32 * lanes;
    SmallVector<Value> operands = {op.getAccumulator(), op.getWeights(), op.getActivations()};
    Type type = op.getType();
    if (!op.isInteger()) {
      if (!target.has(CpuTarget::AVX512BF16))
        return op.emitError() << "cpu '" << target.name << "' has no dot product of bf16";
      rewriter.replaceOp(op, writeIntrinsic(b, "llvm.x86.avx512bf16.dpbf16ps." + std::to_string(bits), type, operands));
      return success();
    }
    const bool hasDot =
        lanes == 16 ? target.has(CpuTarget::AVX512VNNI) : (lanes == 8 || lanes == 4) && target.has(CpuTarget::AVXVNNI);
    const std::string name = op.isOfWords() ? "llvm.x86.avx512.vpdpwssd." : "llvm.x86.avx512.vpdpbusd.";
    if (hasDot)
      rewriter.replaceOp(op, writeIntrinsic(b, name + std::to_string(bits), type, operands));
    else if ((lanes == 8 || lanes == 16) && lanes <= target.lanes())
      rewriter.replaceOp(op, byPairs(b, op, lanes));
    else
      rewriter.replaceOp(op, byElements(b, op));
    return success();
  }

  /// Products added in pairs to 16 bits, then to 32. The first saturates: bytes above 127 are widened before.
  Value byPairs(ImplicitLocOpBuilder &b, DotOp op, int64_t lanes) const {
    const bool wide = lanes == 16;
    VectorType words = VectorType::get({2 * lanes}, b.getI16Type());
    StringRef multiplyWords = wide ? "llvm.x86.avx512.pmaddw.d.512" : "llvm.x86.avx2.pmadd.wd";
    Type type = op.getType();
    if (op.isOfWords()) {
      Value sums = writeIntrinsic(b, multiplyWords, type, {op.getWeights(), op.getActivations()});
      return arith::AddIOp::create(b, op.getAccumulator(), sums);
    }
    if (op.getMax() <= 127) {
      Value pairs = writeIntrinsic(b, wide ? "llvm.x86.avx512.pmaddubs.w.512" : "llvm.x86.avx2.pmadd.ub.sw", words,
                                   {op.getWeights(), op.getActivations()});
      Value sums = writeIntrinsic(b, multiplyWords, type, {pairs, splat(b, words, 1)});
      return arith::AddIOp::create(b, op.getAccumulator(), sums);
    }
    Value weights = bitcast(b, words, op.getWeights()), activations = bitcast(b, words, op.getActivations());
    Value eight = splat(b, words, 8);
    Value evenWeights = arith::AndIOp::create(b, weights, splat(b, words, 0xff));
    Value oddWeights = arith::ShRUIOp::create(b, weights, eight);
    Value evenActivations = arith::ShRSIOp::create(b, arith::ShLIOp::create(b, activations, eight), eight);
    Value oddActivations = arith::ShRSIOp::create(b, activations, eight);
    Value even = writeIntrinsic(b, multiplyWords, type, {evenWeights, evenActivations});
    Value odd = writeIntrinsic(b, multiplyWords, type, {oddWeights, oddActivations});
    return arith::AddIOp::create(b, arith::AddIOp::create(b, op.getAccumulator(), even), odd);
  }

  Value byElements(ImplicitLocOpBuilder &b, DotOp op) const {
    Type type = op.getType();
    const int64_t width = op.isOfWords() ? 16 : 8;
    Value weights = bitcast(b, type, op.getWeights()), activations = bitcast(b, type, op.getActivations());
    Value sum = op.getAccumulator();
    auto signedElement = [&](Value from, int64_t first) -> Value {
      Value top = arith::ShLIOp::create(b, from, splat(b, type, 32 - width - first));
      return arith::ShRSIOp::create(b, top, splat(b, type, 32 - width));
    };
    for (int64_t first = 0; first < 32; first += width) {
      Value weight = op.isOfWords()
                         ? signedElement(weights, first)
                         : arith::AndIOp::create(b, arith::ShRUIOp::create(b, weights, splat(b, type, first)),
                                                 splat(b, type, 0xff));
      sum = arith::AddIOp::create(b, sum, arith::MulIOp::create(b, weight, signedElement(activations, first)));
    }
    return sum;
  }
};

//===----------------------------------------------------------------------===//
// bq.lookup
//===----------------------------------------------------------------------===//

struct LowerLookup : TargetPattern<LookupOp> {
  using TargetPattern::TargetPattern;

  LogicalResult matchAndRewrite(LookupOp op, PatternRewriter &rewriter) const override {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    VectorType type = op.getType();
    const int64_t count = type.getNumElements();
    if (type.getElementType().isInteger(16)) {
      if (!target.has(CpuTarget::AVX512) || count != 32)
        return op.emitError() << "cpu '" << target.name << "' has no lookup of " << count << " words";
      rewriter.replaceOp(op,
                         writeIntrinsic(b, "llvm.x86.avx512.permvar.hi.512", type, {op.getTable(), op.getIndices()}));
      return success();
    }
    if (type.getElementType().isInteger(8) && (count == 32 || count == 64) && count <= 4 * target.lanes()) {
      // Each 128-bit part of the vector has the table of its own.
      SmallVector<int64_t> repeat(count);
      for (int64_t i = 0; i < count; ++i)
        repeat[i] = i % 16;
      Value table = vector::ShuffleOp::create(b, op.getTable(), op.getTable(), repeat);
      rewriter.replaceOp(op, writeIntrinsic(b, count == 64 ? "llvm.x86.avx512.pshuf.b.512" : "llvm.x86.avx2.pshuf.b",
                                            type, {table, op.getIndices()}));
      return success();
    }
    if (type.getElementType().isF32() && count == 16 && target.has(CpuTarget::AVX512)) {
      rewriter.replaceOp(op,
                         writeIntrinsic(b, "llvm.x86.avx512.permvar.sf.512", type, {op.getTable(), op.getIndices()}));
      return success();
    }
    if (type.getElementType().isF32() && count == 8 && target.has(CpuTarget::AVX2)) {
      rewriter.replaceOp(op, byHalves(b, op));
      return success();
    }
    rewriter.replaceOp(op, byBits(b, op));
    return success();
  }

  /// Both halves of a table of 16 floats, and the one that bit 3 of the index names.
  Value byHalves(ImplicitLocOpBuilder &b, LookupOp op) const {
    Type type = op.getType();
    auto half = [&](int64_t first) {
      SmallVector<int64_t> order(8);
      std::iota(order.begin(), order.end(), first);
      Value entries = vector::ShuffleOp::create(b, op.getTable(), op.getTable(), order);
      return writeIntrinsic(b, "llvm.x86.avx2.permps", type, {entries, op.getIndices()});
    };
    return arith::SelectOp::create(b, testBit(b, op, 3), half(8), half(0));
  }

  Value testBit(ImplicitLocOpBuilder &b, LookupOp op, int64_t bit) const {
    Type type = op.getIndices().getType();
    Value masked = arith::AndIOp::create(b, op.getIndices(), splat(b, type, int64_t(1) << bit));
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, masked, splat(b, type, 0));
  }

  /// A tree of selections, one level for each bit of the index.
  Value byBits(ImplicitLocOpBuilder &b, LookupOp op) const {
    SmallVector<Value> entries;
    for (int64_t i = 0; i < 16; ++i)
      entries.push_back(vector::BroadcastOp::create(b, op.getType(), vector::ExtractOp::create(b, op.getTable(), i)));
    for (int64_t bit = 0; bit < 4; ++bit) {
      Value isSet = testBit(b, op, bit);
      for (size_t i = 0; i < entries.size() / 2; ++i)
        entries[i] = arith::SelectOp::create(b, isSet, entries[2 * i + 1], entries[2 * i]);
      entries.resize(entries.size() / 2);
    }
    return entries[0];
  }
};

//===----------------------------------------------------------------------===//
// Arithmetic that a CPU may lack
//===----------------------------------------------------------------------===//

/// fma -> multiply and add
struct ExpandFma : OpRewritePattern<math::FmaOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(math::FmaOp op, PatternRewriter &rewriter) const override {
    Value product = arith::MulFOp::create(rewriter, op.getLoc(), op.getA(), op.getB());
    rewriter.replaceOpWithNewOp<arith::AddFOp>(op, product, op.getC());
    return success();
  }
};

/// floor -> truncation, less one where that went up. For the range of i32, which is all that approximations need.
struct ExpandFloor : OpRewritePattern<math::FloorOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(math::FloorOp op, PatternRewriter &rewriter) const override {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Value x = op.getOperand();
    Type type = x.getType();
    Value whole = arith::FPToSIOp::create(b, withElement(type, b.getI32Type()), x);
    Value truncated = arith::SIToFPOp::create(b, type, whole);
    Value above = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, truncated, x);
    Value one = bitcast(b, type, splat(b, withElement(type, b.getI32Type()), 0x3f800000));
    rewriter.replaceOp(op, arith::SelectOp::create(b, above, arith::SubFOp::create(b, truncated, one), truncated));
    return success();
  }
};

/// f32 -> bf16 by integer arithmetic: nearest, ties to even; NaN stays NaN.
struct ExpandTruncateToBF16 : OpRewritePattern<arith::TruncFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::TruncFOp op, PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isBF16() || !getElementTypeOrSelf(op.getIn().getType()).isF32())
      return rewriter.notifyMatchFailure(op, "not f32 to bf16");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Type wide = withElement(op.getType(), b.getI32Type()), narrow = withElement(op.getType(), b.getI16Type());
    Value bits = bitcast(b, wide, op.getIn()), sixteen = splat(b, wide, 16);
    Value odd = arith::AndIOp::create(b, arith::ShRUIOp::create(b, bits, sixteen), splat(b, wide, 1));
    Value rounded = arith::AddIOp::create(b, arith::AddIOp::create(b, bits, splat(b, wide, 0x7fff)), odd);
    Value quiet = arith::OrIOp::create(b, bits, splat(b, wide, 0x400000));
    Value isNan = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, op.getIn(), op.getIn());
    Value top = arith::ShRUIOp::create(b, arith::SelectOp::create(b, isNan, quiet, rounded), sixteen);
    rewriter.replaceOp(op, bitcast(b, op.getType(), arith::TruncIOp::create(b, narrow, top)));
    return success();
  }
};

/// f16 -> f32 by integer arithmetic: the exponent is moved by a multiplication, which is right for denormals too.
struct ExpandExtendF16 : OpRewritePattern<arith::ExtFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::ExtFOp op, PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getIn().getType()).isF16())
      return rewriter.notifyMatchFailure(op, "not from f16");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Type type = op.getType(), wide = withElement(type, b.getI32Type());
    Value half = bitcast(b, withElement(type, b.getI16Type()), op.getIn());
    Value bits = arith::ExtUIOp::create(b, wide, half);
    Value sign = arith::ShLIOp::create(b, arith::AndIOp::create(b, bits, splat(b, wide, 0x8000)), splat(b, wide, 16));
    Value magnitude = arith::AndIOp::create(b, bits, splat(b, wide, 0x7fff));
    Value moved = bitcast(b, type, arith::ShLIOp::create(b, magnitude, splat(b, wide, 13)));
    Value scaled = arith::MulFOp::create(b, moved, bitcast(b, type, splat(b, wide, 0x77800000))); // 2^112
    Value isSpecial = arith::CmpIOp::create(b, arith::CmpIPredicate::uge, magnitude, splat(b, wide, 0x7c00));
    Value special = arith::OrIOp::create(b, bitcast(b, wide, moved), splat(b, wide, 0x7f800000));
    Value result = arith::SelectOp::create(b, isSpecial, special, bitcast(b, wide, scaled));
    rewriter.replaceOp(op, bitcast(b, type, arith::OrIOp::create(b, result, sign)));
    return success();
  }
};

/// f32 -> f16 by integer arithmetic: nearest, ties to even; NaN stays NaN.
struct ExpandTruncateToF16 : OpRewritePattern<arith::TruncFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::TruncFOp op, PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isF16())
      return rewriter.notifyMatchFailure(op, "not to f16");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Type type = op.getIn().getType(), wide = withElement(type, b.getI32Type());
    auto constant = [&](int64_t value) { return splat(b, wide, value); };
    Value bits = bitcast(b, wide, op.getIn());
    Value sign = arith::ShRUIOp::create(b, arith::AndIOp::create(b, bits, constant(0x80000000)), constant(16));
    Value magnitude = arith::AndIOp::create(b, bits, constant(0x7fffffff));
    // Normal: move the exponent by 112 and round at bit 13; a carry reaches the exponent, and infinity, by itself.
    Value odd = arith::AndIOp::create(b, arith::ShRUIOp::create(b, magnitude, constant(13)), constant(1));
    Value nudged = arith::AddIOp::create(b, arith::AddIOp::create(b, magnitude, constant(0xfff - 0x38000000)), odd);
    Value normal = arith::MinUIOp::create(b, arith::ShRUIOp::create(b, nudged, constant(13)), constant(0x7c00));
    // Denormal: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits.
    Value half = bitcast(b, type, constant(0x3f000000));
    Value shifted = arith::AddFOp::create(b, bitcast(b, type, magnitude), half);
    Value denormal = arith::SubIOp::create(b, bitcast(b, wide, shifted), constant(0x3f000000));
    Value isDenormal = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, magnitude, constant(0x38800000));
    Value isNan = arith::CmpIOp::create(b, arith::CmpIPredicate::ugt, magnitude, constant(0x7f800000));
    Value finite = arith::SelectOp::create(b, isDenormal, denormal, normal);
    Value result = arith::OrIOp::create(b, arith::SelectOp::create(b, isNan, constant(0x7e00), finite), sign);
    Value narrow = arith::TruncIOp::create(b, withElement(type, b.getI16Type()), result);
    rewriter.replaceOp(op, bitcast(b, op.getType(), narrow));
    return success();
  }
};

struct LowerTile : bq::impl::LowerTileBase<LowerTile> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<CpuTarget> target = targetOf(getOperation(), cpu);
    if (failed(target))
      return signalPassFailure();
    MLIRContext *context = &getContext();
    RewritePatternSet patterns(context);
    patterns.add<LowerDot, LowerLookup>(context, *target);
    populateExpandPhiloxPatterns(patterns);
    populateMathPolynomialApproximationPatterns(patterns,
                                                [](StringRef name) { return name != math::FmaOp::getOperationName(); });
    if (!target->has(CpuTarget::FMA))
      patterns.add<ExpandFma, ExpandFloor>(context);
    if (!target->has(CpuTarget::F16C))
      patterns.add<ExpandExtendF16, ExpandTruncateToF16>(context);
    if (!target->has(CpuTarget::AVX512BF16))
      patterns.add<ExpandTruncateToBF16>(context);
    GreedyRewriteConfig config;
    config.enableFolding(false).setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns), config)))
      return signalPassFailure();
    bool isLeft = false;
    getOperation()->walk([&](Operation *op) { isLeft |= isa<DotOp, LookupOp, PhiloxOp>(op); });
    if (isLeft)
      signalPassFailure();
  }
};

} // namespace
