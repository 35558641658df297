// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Any group size, also of groups that lie in several rows of the weight, on any CPU.
#include "passes/cpu/MixedEights.h"
#include "passes/cpu/MixedLinear.h"

using namespace mlir;
using namespace bq;

using abi::MixedIndex;

namespace {

class MixedReference {
public:
  MixedReference(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers)
      : b(b), plan(plan), buffers(buffers), frame(b, plan, buffers),
        row(frame.scratch(b.getF32Type(), rowBytes(plan) / 4)) {}

  void write() {
    // Behind a segment are zeros, as behind the activations.
    b.loop(b.index(0), b.index(plan.layout.segments() * plan.layout.segmentSize), b.lanes,
           [&](Value i) { b.store(b.splat(0.0f), row, i); });
    frame.write([&](Value weightRow, Value firstX) {
      decodeRow(weightRow);
      return multiplyRow(firstX);
    });
  }

  static int64_t rowBytes(const LinearPlan &plan) { return plan.layout.segments() * plan.layout.segmentSize * 4; }

private:
  Value i64(int64_t value) { return arith::ConstantIntOp::create(b, b.getI64Type(), value); }
  Value toI64(Value index) { return arith::IndexCastOp::create(b, b.getI64Type(), index); }
  Value toIndex(Value value) { return arith::IndexCastOp::create(b, b.getIndexType(), value); }

  /// The `width` bits (up to 15) at bit `position` of the stream.
  Value loadBits(Value position, Value width) {
    Value bytes = b.load(b.vec(b.getI8Type(), 4), buffers.codes, toIndex(arith::ShRUIOp::create(b, position, i64(3))));
    Value word = vector::ExtractOp::create(b, b.bitcast(b.vec(b.getI32Type(), 1), bytes), int64_t(0));
    Value shift = arith::AndIOp::create(b, position, i64(7));
    Value bits = arith::ShRUIOp::create(b, arith::ExtUIOp::create(b, b.getI64Type(), word), shift);
    return arith::AndIOp::create(b, bits, ones(width));
  }
  /// 2^width - 1.
  Value ones(Value width) { return b.sub(arith::ShLIOp::create(b, i64(1), width), i64(1)); }

  /// Group after group, or what of them lies in the row.
  void decodeRow(Value weightRow) {
    const int64_t k = plan.layout.k, size = plan.format.group;
    Value first = b.mul(frame.streamRow(weightRow), k), end = b.add(first, k);
    if (!size) {
      Value width = b.addI(frame.leastWidth(), loadBits(i64(8 * 10), frame.fieldBits()));
      decodeGroup(width, b.mulI(toI64(first), width), b.index(0), b.index(k));
      return;
    }
    Value firstGroup = b.div(first, size), endGroup = b.div(b.add(end, size - 1), size);
    b.loop(firstGroup, endGroup, 1, [&](Value group) {
      Value field = loadBits(b.addI(i64(8 * 10), b.mulI(toI64(group), frame.fieldBits())), frame.fieldBits());
      Value width = b.addI(frame.leastWidth(), field);
      Value begin = b.mul(group, size), groupEnd = b.add(begin, size);
      Value from = b.max(begin, first), to = b.min(groupEnd, end);
      decodeGroup(width, b.mulI(toI64(b.sub(from, begin)), width), b.sub(from, first), b.sub(to, first));
      // The next row goes on with a group that this one does not end.
      b.when(arith::CmpIOp::create(b, arith::CmpIPredicate::sle, groupEnd, end), [&] {
        Value at = toIndex(width), next = b.loadScalar(frame.positions(), at);
        b.storeScalar(b.addI(next, b.mulI(width, i64(size))), frame.positions(), at);
      });
    });
  }

  /// Columns [from, to) of the row, whose levels begin `skip` bits behind the beginning of their group.
  void decodeGroup(Value width, Value skip, Value from, Value to) {
    Value start = b.addI(b.loadScalar(frame.positions(), toIndex(width)), skip);
    Value step = stepOf(width), behind = behindOf(from);
    Value rest = from;
    if (b.target.has(CpuTarget::AVX2)) {
      rest = b.add(from, b.mul(b.div(b.sub(to, from), 8), 8));
      start = storeEights(start, width, from, rest, behind);
    }
    b.loop(rest, to, 1, ValueRange{start}, [&](Value column, ValueRange state) {
      Value level = arith::UIToFPOp::create(b, b.getF32Type(), loadBits(state[0], width));
      b.storeScalar(plan.isInteger() ? b.mulF(level, step) : b.fma(level, step, frame.min()), row,
                    b.add(column, behind));
      return SmallVector<Value>{b.addI(state[0], width)};
    });
  }

  /// What a level of the greatest code is parted by, times the range.
  Value stepOf(Value width) {
    Value levels = arith::UIToFPOp::create(b, b.getF32Type(), ones(width));
    return b.divF(plan.isInteger() ? b.f32(1.0f) : frame.range(), levels);
  }
  /// What columns from this one on are further back in `row`: no group lies in two segments.
  Value behindOf(Value column) {
    const Layout &layout = plan.layout;
    if (layout.segments() == 1)
      return b.index(0);
    return b.mul(b.div(column, layout.segmentCodes), layout.segmentSize - layout.segmentCodes);
  }

  /// Columns [from, to), eights of them, whose levels begin at bit `start`; gives the bit behind them. Each eight is as
  /// many bytes as a level has bits.
  Value storeEights(Value start, Value width, Value from, Value to, Value behind) {
    const VectorType floats = b.vec(b.getF32Type(), 8);
    const MixedEights eights = MixedEights::get(b, start, width);
    Value first = toIndex(arith::ShRUIOp::create(b, start, i64(3))), stride = toIndex(width);
    Value min = b.broadcast(floats, frame.min()), step = b.broadcast(floats, stepOf(width));
    b.loop(from, to, 8, ValueRange{first}, [&](Value column, ValueRange state) {
      Value t = b.toFloat(eights.fieldsOf(b, b.load(b.vec(b.getI8Type(), 16), buffers.codes, state[0])));
      b.store(plan.isInteger() ? b.mulF(t, step) : b.fma(t, step, min), row, b.add(column, behind));
      return SmallVector<Value>{b.add(state[0], stride)};
    });
    return b.addI(start, b.mulI(width, toI64(b.sub(to, from))));
  }

  /// Activations as floats, in units of their fixed point.
  Value floats(Value segment, Value x, Value column) {
    Value high = frame.activations(0, segment, x, column, b.lanes);
    if (!plan.isInteger())
      return high;
    auto wide = [&](Value bytes) { return arith::ExtSIOp::create(b, b.i32s(), bytes); };
    if (plan.form == LinearPlan::Form::I8)
      return b.toFloat(wide(high));
    return b.toFloat(b.addI(b.shiftLeft(wide(high), 7), wide(frame.activations(1, segment, x, column, b.lanes))));
  }

  SmallVector<Value> multiplyRow(Value firstX) {
    const Layout &layout = plan.layout;
    // Few rows have several sums each, so that a product need not wait for the one before.
    const int64_t parts = plan.rows < 4 ? 4 : 1, span = parts * b.lanes;
    SmallVector<Value> sums(plan.rows * parts, b.splat(0.0f));
    sums = b.loop(b.index(0), b.index(layout.segments()), 1, sums, [&](Value segment, ValueRange before) {
      Value first = b.mul(segment, layout.segmentSize);
      return b.loop(b.index(0), b.index(layout.segmentSize), span, before, [&](Value begin, ValueRange state) {
        SmallVector<Value> result(state);
        for (int64_t part = 0; part < parts; ++part) {
          Value column = b.add(begin, part * b.lanes), weights = b.load(b.f32s(), row, b.add(first, column));
          for (int64_t x = 0; x < plan.rows; ++x) {
            Value &sum = result[x * parts + part];
            sum = b.fma(weights, floats(segment, b.add(firstX, x), column), sum);
          }
        }
        return result;
      });
    });
    SmallVector<Value> result;
    for (int64_t x = 0; x < plan.rows; ++x) {
      Value sum = sums[x * parts];
      for (int64_t part = 1; part < parts; ++part)
        sum = b.addF(sum, sums[x * parts + part]);
      result.push_back(vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum, arith::FastMathFlags::reassoc));
    }
    return result;
  }

  KernelBuilder &b;
  const LinearPlan &plan;
  const LinearBuffers &buffers;
  MixedFrame frame;
  Value row; ///< f32 [padded columns]
};

} // namespace

void bq::writeMixedReference(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers) {
  MixedReference(b, plan, buffers).write();
}

int64_t bq::mixedReferenceBytes(const LinearPlan &plan) { return MixedReference::rowBytes(plan); }
