// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/ExpandPhilox.h"

#include "dialect/core/Philox.h"
#include "passes/Passes.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace bq;

namespace {

constexpr uint32_t factors[] = {0xD2511F53, 0xCD9E8D57};

/// Words of a state in lanes of 64 bits, whose upper halves hold anything: CPUs multiply the lower ones, and neither
/// the product nor the sum of a round puts its halves together again.
class Expansion {
public:
  Expansion(ImplicitLocOpBuilder &b, Type lanes) : b(b), lanes(lanes) {}

  Value constant(uint64_t value) {
    APInt bits(64, value);
    if (auto vector = dyn_cast<VectorType>(lanes))
      return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, bits));
    return arith::ConstantOp::create(b, b.getIntegerAttr(lanes, bits));
  }

  Value everywhere(Value key) {
    Value wide = arith::ExtUIOp::create(b, b.getI64Type(), key);
    return isa<VectorType>(lanes) ? Value(vector::BroadcastOp::create(b, lanes, wide)) : wide;
  }
  Value low(Value x) { return arith::AndIOp::create(b, x, constant(0xffffffff)); }
  Value high(Value x) { return arith::ShRUIOp::create(b, x, constant(32)); }
  Value up(Value x) { return arith::ShLIOp::create(b, x, constant(32)); }
  Value exclusiveOr(Value l, Value r) { return arith::XOrIOp::create(b, l, r); }

  /// A word of the key for each round, written where the first is known: before the loops around the op.
  SmallVector<Value> keys(Value key, uint32_t step, int64_t rounds) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointAfterValue(key);
    SmallVector<Value> words;
    for (int64_t round = 0; round < rounds; ++round) {
      words.push_back(everywhere(key));
      key = arith::AddIOp::create(b, key, arith::ConstantOp::create(b, b.getI32IntegerAttr(step)));
    }
    return words;
  }

  void round(MutableArrayRef<Value> c, Value key0, Value key1) {
    Value p0 = arith::MulIOp::create(b, low(c[0]), constant(factors[0]));
    Value p1 = arith::MulIOp::create(b, low(c[2]), constant(factors[1]));
    c[0] = exclusiveOr(exclusiveOr(high(p1), c[1]), key0);
    c[2] = exclusiveOr(exclusiveOr(high(p0), c[3]), key1);
    c[1] = p1, c[3] = p0;
  }

private:
  ImplicitLocOpBuilder &b;
  Type lanes;
};

struct ExpandPhilox : OpRewritePattern<PhiloxOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(PhiloxOp op, PatternRewriter &rewriter) const override {
    Type type = op.getR0().getType();
    auto vector = dyn_cast<VectorType>(type);
    if (vector && vector.getNumElements() % 2)
      return rewriter.notifyMatchFailure(op, "an odd number of lanes");
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Type i64 = b.getI64Type(), wide = vector ? VectorType::get({vector.getNumElements() / 2}, i64) : i64;
    Expansion expansion(b, wide);
    // Even lanes, and for vectors odd ones.
    SmallVector<SmallVector<Value>> states(vector ? 2 : 1);
    for (Value c : {op.getC0(), op.getC1(), op.getC2(), op.getC3()}) {
      if (!vector) {
        states[0].push_back(arith::ExtUIOp::create(b, i64, c));
        continue;
      }
      Value pairs = vector::BitCastOp::create(b, cast<VectorType>(wide), c);
      states[0].push_back(pairs);
      states[1].push_back(expansion.high(pairs));
    }
    const auto rounds = static_cast<int64_t>(op.getRounds());
    const SmallVector<Value> keys[] = {expansion.keys(op.getK0(), philoxKeySteps[0], rounds),
                                       expansion.keys(op.getK1(), philoxKeySteps[1], rounds)};
    for (int64_t round = 0; round < rounds; ++round)
      for (SmallVector<Value> &state : states)
        expansion.round(state, keys[0][round], keys[1][round]);
    SmallVector<Value> results;
    for (int64_t word = 0; word < 4; ++word) {
      if (!vector) {
        results.push_back(arith::TruncIOp::create(b, type, states[0][word]));
        continue;
      }
      Value joined = arith::OrIOp::create(b, expansion.low(states[0][word]), expansion.up(states[1][word]));
      results.push_back(vector::BitCastOp::create(b, vector, joined));
    }
    rewriter.replaceOp(op, results);
    return success();
  }
};

} // namespace

void bq::populateExpandPhiloxPatterns(RewritePatternSet &patterns) {
  patterns.add<ExpandPhilox>(patterns.getContext());
}
