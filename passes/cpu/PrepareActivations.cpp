// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Converts rows of activations to the panel that kernels read: abi::PrepareFn.
#include "passes/cpu/LinearPlan.h"

#include "llvm/ADT/bit.h"

using namespace mlir;
using namespace bq;

namespace {

/// Codes of 16 columns are converted at a time; segments are a multiple of that.
constexpr int64_t width = Layout::segmentAlign;

class PrepareActivations {
public:
  PrepareActivations(KernelBuilder &b, const LinearPlan &plan, func::FuncOp func) : b(b), plan(plan) {
    Block &entry = func.front();
    const int64_t segments = plan.layout.segments(), k = plan.layout.k;
    Value stride = entry.getArgument(7);
    m = entry.getArgument(8), paddedRows = entry.getArgument(9), begin = entry.getArgument(10),
    end = entry.getArgument(11);
    x = b.view(entry.getArgument(0), {ShapedType::kDynamic, k}, m, stride);
    if (plan.permuted)
      permutation = b.view(entry.getArgument(1), {k});
    if (plan.format.hasColumnScale())
      columnScale = b.view(entry.getArgument(2), {k});
    data = b.view(entry.getArgument(3),
                  {plan.activationPlanes(), segments, ShapedType::kDynamic, plan.layout.segmentSize}, paddedRows);
    sums = b.view(entry.getArgument(4), {segments, ShapedType::kDynamic}, paddedRows);
    scales = b.view(entry.getArgument(5), {ShapedType::kDynamic}, paddedRows);
    row = b.view(entry.getArgument(6), {segments * plan.layout.segmentSize});
  }

  void write() {
    b.loop(begin, end, 1, [&](Value r) {
      if (!plan.hasPaddedRows) {
        writeRow(r);
        return;
      }
      Value isReal = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, r, m);
      auto branch = scf::IfOp::create(b, isReal, /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(branch.thenBlock());
      writeRow(r);
      b.setInsertionPointToStart(branch.elseBlock());
      writePadding(r);
    });
  }

private:
  VectorType f32x16() { return b.vec(b.getF32Type(), width); }
  VectorType i32x16() { return b.vec(b.getI32Type(), width); }
  Value splatF(float value) { return arith::ConstantOp::create(b, DenseElementsAttr::get(f32x16(), value)); }

  void writeRow(Value r) {
    Value bits = writeGather(r);
    if (!plan.isInteger()) {
      writeFloats(r);
      return;
    }
    // |x| as bits: their order is that of the values, with infinity and NaN above all.
    Value isFinite = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, bits, b.i32(0x7f800000));
    Value isZero = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, bits, b.i32(0));
    // Small rows are lifted by 2^64 first, or the inverse of their scale would overflow.
    Value isSmall = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, bits, b.i32(llvm::bit_cast<int32_t>(0x1p-64f)));
    Value lift = b.select(isSmall, b.f32(0x1p64f), b.f32(1.0f)),
          unlift = b.select(isSmall, b.f32(0x1p-64f), b.f32(1.0f));
    Value greatest = b.mulF(b.bitcast(b.getF32Type(), bits), lift);
    Value units = b.f32(plan.fixedPointMax());
    Value isUsable = arith::AndIOp::create(b, isFinite, arith::XOrIOp::create(b, isZero, i1(true)));
    Value inverse = b.select(isUsable, b.divF(units, greatest), b.f32(0.0f));
    Value scale = b.mulF(b.divF(greatest, units), unlift);
    Value nan = b.f32(std::numeric_limits<float>::quiet_NaN());
    b.storeScalar(b.select(isFinite, scale, nan), scales, r);
    writeFixedPoint(r, isFinite, lift, inverse);
  }

  Value i1(bool value) { return arith::ConstantIntOp::create(b, b.getI1Type(), value); }

  /// The row in f32, in the order of the layout's segments, zeros where padded, to scratch; the bits of max|x|.
  Value writeGather(Value r) {
    const Layout &layout = plan.layout;
    auto gather = [&](Value segment, ValueRange most) {
      Value group = b.div(segment, layout.segmentsPerGroup);
      Value part = b.rem(segment, layout.segmentsPerGroup);
      Value first = b.add(b.mul(group, layout.groupSize), b.mul(part, layout.segmentCodes));
      Value base = b.mul(segment, layout.segmentSize);
      if (isEven())
        return gatherVectors(r, first, base, b.index(layout.segmentSize), most);
      Value groupEnd = b.min(b.add(b.mul(group, layout.groupSize), layout.groupSize), b.index(layout.k));
      Value length = b.max(b.min(b.sub(groupEnd, first), b.index(layout.segmentCodes)), b.index(0));
      Value whole = plan.permuted ? b.index(0) : b.mul(b.div(length, width), width);
      SmallVector<Value> seen(most);
      if (!plan.permuted)
        seen = gatherVectors(r, first, base, whole, seen);
      seen = gatherColumns(r, first, base, whole, length, seen);
      b.loop(length, b.index(layout.segmentSize), 1, [&](Value i) { b.storeScalar(b.f32(0.0f), row, b.add(base, i)); });
      return seen;
    };
    Value greatest = b.loop(b.index(0), b.index(layout.segments()), 1, ValueRange{b.zero(i32x16())}, gather)[0];
    return vector::ReductionOp::create(b, vector::CombiningKind::MAXUI, greatest);
  }

  /// Whether every segment is full and made of whole vectors of columns in order.
  bool isEven() const {
    const Layout &layout = plan.layout;
    return !plan.permuted && layout.segmentCodes == layout.segmentSize &&
           layout.k == layout.segments() * layout.segmentSize;
  }

  /// Columns of a segment that starts at column `first` and at `base` of scratch, sixteen at a time, up to `end`.
  SmallVector<Value> gatherVectors(Value r, Value first, Value base, Value end, ValueRange most) {
    return b.loop(b.index(0), end, width, most, [&](Value i, ValueRange state) {
      Value column = b.add(first, i);
      Value v = b.extendFloat(b.load(b.vec(plan.dataType, width), x, {r, column}));
      if (columnScale)
        v = b.mulF(v, b.load(f32x16(), columnScale, column));
      b.store(v, row, b.add(base, i));
      return SmallVector<Value>{maxBits(state[0], v)};
    });
  }

  /// The same one at a time: what is left of a segment, or all of it where columns are permuted.
  SmallVector<Value> gatherColumns(Value r, Value first, Value base, Value begin, Value end, ValueRange most) {
    return b.loop(begin, end, 1, most, [&](Value i, ValueRange state) {
      Value column = b.add(first, i), source = column;
      if (plan.permuted)
        source = arith::IndexCastOp::create(b, b.getIndexType(), b.loadScalar(permutation, column));
      Value v = b.extendFloat(b.loadScalar(x, {r, source}));
      if (columnScale)
        v = b.mulF(v, b.loadScalar(columnScale, column));
      b.storeScalar(v, row, b.add(base, i));
      return SmallVector<Value>{maxBits(state[0], b.broadcast(f32x16(), v))};
    });
  }

  Value maxBits(Value most, Value v) {
    Value magnitude = b.bitAnd(b.bitcast(i32x16(), v), 0x7fffffff);
    return arith::MaxUIOp::create(b, most, magnitude);
  }

  void writeFloats(Value r) {
    const Layout &layout = plan.layout;
    b.loop(b.index(0), b.index(layout.segments()), 1, [&](Value segment) {
      Value base = b.mul(segment, layout.segmentSize);
      Value total = b.loop(
          b.index(0), b.index(layout.segmentSize), width, ValueRange{splatF(0.0f)}, [&](Value i, ValueRange carried) {
            Value v = b.load(f32x16(), row, b.add(base, i));
            if (plan.form == LinearPlan::Form::BF16 || plan.roundToBF16) {
              Value rounded = b.truncateFloat(v, b.getBF16Type());
              v = b.extendFloat(rounded);
              if (plan.form == LinearPlan::Form::BF16) {
                // Pairs as the weights have them in a 32-bit lane: 0 and 2, 1 and 3.
                SmallVector<int64_t> order;
                for (int64_t lane = 0; lane < width; ++lane)
                  order.push_back(lane / 4 * 4 + (lane % 4) / 2 + lane % 2 * 2);
                b.store(vector::ShuffleOp::create(b, rounded, rounded, order), data, {b.index(0), segment, r, i});
              }
            }
            if (plan.form == LinearPlan::Form::F32)
              b.store(v, data, {b.index(0), segment, r, i});
            return SmallVector<Value>{b.addF(carried[0], v)};
          })[0];
      if (plan.readsSums())
        b.storeScalar(vector::ReductionOp::create(b, vector::CombiningKind::ADD, total, arith::FastMathFlags::reassoc),
                      sums, {segment, r});
    });
  }

  void writeFixedPoint(Value r, Value isFinite, Value lift, Value inverse) {
    const Layout &layout = plan.layout;
    VectorType bytes = b.vec(b.getI8Type(), width);
    Value finite = b.broadcast(b.vec(b.getI1Type(), width), isFinite);
    Value lifts = b.broadcast(f32x16(), lift), inverses = b.broadcast(f32x16(), inverse);
    b.loop(b.index(0), b.index(layout.segments()), 1, [&](Value segment) {
      Value base = b.mul(segment, layout.segmentSize);
      Value total = b.loop(b.index(0), b.index(layout.segmentSize), width, ValueRange{b.zero(i32x16())},
                           [&](Value i, ValueRange carried) {
                             Value v = b.select(finite, b.load(f32x16(), row, b.add(base, i)), splatF(0.0f));
                             Value scaled = b.mulF(b.mulF(v, lifts), inverses);
                             // Adding 1.5 * 2^23 rounds to nearest, ties to even, and leaves the integer in the low
                             // bits.
                             Value shifted = b.addF(scaled, splatF(0x1.8p23f));
                             Value units = b.subI(b.bitcast(i32x16(), shifted), b.splat(i32x16(), 0x4b400000));
                             if (plan.form == LinearPlan::Form::I8) {
                               b.store(arith::TruncIOp::create(b, bytes, units), data, {b.index(0), segment, r, i});
                             } else {
                               Value rounded = b.addI(units, b.splat(i32x16(), 64));
                               Value high = arith::ShRSIOp::create(b, rounded, b.splat(i32x16(), 7));
                               Value low = b.subI(units, b.shiftLeft(high, 7));
                               b.store(arith::TruncIOp::create(b, bytes, high), data, {b.index(0), segment, r, i});
                               b.store(arith::TruncIOp::create(b, bytes, low), data, {b.index(1), segment, r, i});
                             }
                             return SmallVector<Value>{b.addI(carried[0], units)};
                           })[0];
      b.storeScalar(vector::ReductionOp::create(b, vector::CombiningKind::ADD, total), sums, {segment, r});
    });
  }

  void writePadding(Value r) {
    const Layout &layout = plan.layout;
    Type element = cast<MemRefType>(data.getType()).getElementType();
    Value zeros = b.zero(b.vec(element, width));
    b.loop(b.index(0), b.index(layout.segments()), 1, [&](Value segment) {
      for (int64_t plane = 0; plane < plan.activationPlanes(); ++plane)
        b.loop(b.index(0), b.index(layout.segmentSize), width,
               [&](Value i) { b.store(zeros, data, {b.index(plane), segment, r, i}); });
      if (plan.readsSums())
        b.storeScalar(plan.isInteger() ? b.i32(0) : b.f32(0.0f), sums, {segment, r});
    });
    if (plan.isInteger())
      b.storeScalar(b.f32(0.0f), scales, r);
  }

  KernelBuilder &b;
  const LinearPlan &plan;
  Value x, permutation, columnScale, data, sums, scales, row;
  Value m, paddedRows, begin, end;
};

} // namespace

void bq::writePrepareActivations(KernelBuilder &b, const LinearPlan &plan, func::FuncOp func) {
  PrepareActivations(b, plan, func).write();
}

int64_t bq::prepareScratchBytes(const LinearPlan &plan) {
  return plan.layout.segments() * plan.layout.segmentSize * sizeof(float);
}
