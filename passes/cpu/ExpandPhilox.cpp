// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/ExpandPhilox.h"

#include "passes/Passes.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace bq;

namespace {

class Expansion {
public:
  Expansion(ImplicitLocOpBuilder &b, Type type) : b(b), type(type) {
    if (auto vector = dyn_cast<VectorType>(type))
      pairs = VectorType::get({vector.getNumElements() / 2}, b.getI64Type());
  }

  Value constant(Type of, uint64_t value) {
    APInt bits(getElementTypeOrSelf(of).getIntOrFloatBitWidth(), value, /*isSigned=*/false, /*implicitTrunc=*/true);
    if (auto vector = dyn_cast<VectorType>(of))
      return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, bits));
    return arith::ConstantOp::create(b, b.getIntegerAttr(of, bits));
  }

  Value everywhere(Value key) { return pairs ? Value(vector::BroadcastOp::create(b, type, key)) : key; }
  Value exclusiveOr(Value l, Value r) { return arith::XOrIOp::create(b, l, r); }

  /// The high and the low half of factor * x.
  std::pair<Value, Value> multiply(uint32_t factor, Value x) {
    if (!pairs) {
      Value wide =
          arith::MulIOp::create(b, arith::ExtUIOp::create(b, b.getI64Type(), x), constant(b.getI64Type(), factor));
      Value high = arith::ShRUIOp::create(b, wide, constant(b.getI64Type(), 32));
      return {arith::TruncIOp::create(b, type, high), arith::TruncIOp::create(b, type, wide)};
    }
    // Even and odd lanes apart, each the low half of 64 bits: CPUs multiply those, and lanes stay in place.
    Value lanes = vector::BitCastOp::create(b, pairs, x), shift = constant(pairs, 32),
          low = constant(pairs, 0xffffffff);
    Value wide = constant(pairs, factor);
    Value even = arith::MulIOp::create(b, arith::AndIOp::create(b, lanes, low), wide);
    Value odd = arith::MulIOp::create(b, arith::ShRUIOp::create(b, lanes, shift), wide);
    auto join = [&](Value evenPart, Value oddPart) -> Value {
      return vector::BitCastOp::create(b, cast<VectorType>(type), arith::OrIOp::create(b, evenPart, oddPart));
    };
    Value high = join(arith::ShRUIOp::create(b, even, shift),
                      arith::AndIOp::create(b, odd, constant(pairs, 0xffffffff00000000)));
    return {high, join(arith::AndIOp::create(b, even, low), arith::ShLIOp::create(b, odd, shift))};
  }

private:
  ImplicitLocOpBuilder &b;
  Type type;
  VectorType pairs; ///< Null for scalars.
};

struct ExpandPhilox : OpRewritePattern<PhiloxOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(PhiloxOp op, PatternRewriter &rewriter) const override {
    Type type = op.getR0().getType();
    if (auto vector = dyn_cast<VectorType>(type); vector && vector.getNumElements() % 2)
      return rewriter.notifyMatchFailure(op, "an odd number of lanes");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Expansion expansion(b, type);
    Value c[] = {op.getC0(), op.getC1(), op.getC2(), op.getC3()}, key[] = {op.getK0(), op.getK1()};
    const uint32_t weyl[] = {0x9E3779B9, 0xBB67AE85};
    for (int64_t round = 0; round < static_cast<int64_t>(op.getRounds()); ++round) {
      auto [high0, low0] = expansion.multiply(0xD2511F53, c[0]);
      auto [high1, low1] = expansion.multiply(0xCD9E8D57, c[2]);
      c[0] = expansion.exclusiveOr(expansion.exclusiveOr(high1, c[1]), expansion.everywhere(key[0]));
      c[2] = expansion.exclusiveOr(expansion.exclusiveOr(high0, c[3]), expansion.everywhere(key[1]));
      c[1] = low1;
      c[3] = low0;
      for (int i = 0; i < 2; ++i)
        key[i] = arith::AddIOp::create(b, key[i], expansion.constant(b.getI32Type(), weyl[i]));
    }
    rewriter.replaceOp(op, ValueRange(c));
    return success();
  }
};

} // namespace

void bq::populateExpandPhiloxPatterns(RewritePatternSet &patterns) {
  patterns.add<ExpandPhilox>(patterns.getContext());
}
