// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One row of activations. Groups of a width are few in a row of the weight: a loop for each costs more for its end,
// which no CPU foresees, than for its steps. Here a loop goes on over a block of rows and keeps the sums after every
// step; the sum of a row is a difference of two of them, which is exact, as integers are.
#include "passes/cpu/MixedRowSums.h"

using namespace mlir;
using namespace bq;

namespace {

/// Rows of the weight in a block, codes in a step, and the greatest width that is done here.
constexpr int64_t blockRows = 16, step = 64, maxNarrow = 8;
/// Bytes of codes that are asked for ahead.
constexpr int64_t prefetched = 16384;

int64_t roundUp(int64_t value) { return (value + 63) / 64 * 64; }

/// Sums are taken in chains, so that one need not wait for the step before: a stride is a step of each. Scratch: what
/// has been summed after each stride, of each plane; sums of rows; where rows end in the list; the list.
struct Places {
  int64_t groups, parts, chains, strides, sums, ends, list, bytes;

  explicit Places(const LinearPlan &plan) {
    const int64_t size = plan.format.group;
    groups = plan.layout.k / size;
    parts = std::max<int64_t>(1, step / size);
    chains = size <= step ? 2 : 1;
    // One before the first, and one that is not full.
    strides = blockRows * plan.layout.k / (step * chains) + 2;
    sums = plan.activationPlanes() * strides * chains * 64;
    ends = sums + blockRows * 64;
    list = ends + blockRows * 8;
    bytes = roundUp(list + blockRows * groups + 2 * 64);
  }
};

class MixedBlocks {
public:
  MixedBlocks(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers)
      : b(b), plan(plan), size(plan.format.group), places(plan), frame(b, plan, buffers), decoder(b, buffers.codes),
        lists(b, plan, buffers, frame, decoder, places.bytes), wideSums(b, plan, frame, decoder, lists) {
    Type i32 = b.getI32Type();
    after = frame.scratch(i32, plan.activationPlanes() * planeLanes());
    sums = frame.scratch(b.getF32Type(), blockRows * 16, places.sums);
    ends = frame.scratch(b.getI64Type(), blockRows, places.ends);
    list = frame.scratch(b.getI8Type(), places.bytes - places.list, places.list);
    for (int64_t plane = 0; plane < plan.activationPlanes(); ++plane)
      for (int64_t chain = 0; chain < places.chains; ++chain)
        b.store(b.zero(b.i32s()), after, b.index(plane * planeLanes() + chain * 16));
  }

  void write() {
    frame.writeTasks([&](Value firstRow, Value rows, Value) {
      b.loop(b.index(0), rows, blockRows, [&](Value first) {
        Value count = b.min(b.sub(rows, first), b.index(blockRows));
        writeBlock(b.add(firstRow, first), first, count);
      });
    });
  }

private:
  Value i64(int64_t value) { return arith::ConstantIntOp::create(b, b.getI64Type(), value); }
  Value toI64(Value index) { return arith::IndexCastOp::create(b, b.getI64Type(), index); }
  Value toIndex(Value value) { return arith::IndexCastOp::create(b, b.getIndexType(), value); }
  int64_t lanes() const { return 16 / places.parts; }
  int64_t strideLanes() const { return places.chains * 16; }
  int64_t planeLanes() const { return places.strides * strideLanes(); }
  VectorType ints() { return b.vec(b.getI32Type(), lanes()); }
  VectorType floats() { return b.vec(b.getF32Type(), lanes()); }

  void writeBlock(Value firstRow, Value inTask, Value count) {
    Value isWide = b.loop(b.index(0), count, 1, ValueRange{arith::ConstantIntOp::create(b, b.getI1Type(), 0)},
                          [&](Value i, ValueRange before) {
                            Value wide = lists.load(b.addI(firstRow, i), b.index(0), maxNarrow);
                            lists.storeWidths(i);
                            b.store(b.zero(b.f32s()), sums, b.mul(i, 16));
                            return SmallVector<Value>{arith::OrIOp::create(b, before[0], wide)};
                          })[0];
    for (int64_t width = 1; width <= maxNarrow; ++width)
      addWidth(width, count);
    b.loop(b.index(0), count, 1, [&](Value i) {
      Value sum = b.load(floats(), sums, b.mul(i, 16));
      sum = vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum, arith::FastMathFlags::reassoc);
      frame.keep(0, b.add(inTask, i), b.addF(sum, sumWide(i, isWide)));
    });
  }

  /// What groups of more bits add to a row, where the block has such.
  Value sumWide(Value row, Value isWide) {
    auto branch = scf::IfOp::create(b, b.getF32Type(), isWide, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, b.f32(0.0f));
    b.setInsertionPointToStart(branch.thenBlock());
    lists.loadWidths(row);
    Value sum = wideSums.addWide(b.index(0), b.index(0), b.splat(0.0f))[0];
    scf::YieldOp::create(
        b, vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum, arith::FastMathFlags::reassoc).getResult());
    return branch.getResult(0);
  }

  /// Lists the groups of a width in all rows of the block; how many they are.
  Value listBlock(Value width, Value count) {
    Value total = b.loop(b.index(0), count, 1, ValueRange{b.index(0)}, [&](Value i, ValueRange before) {
      lists.loadWidths(i);
      Value end = lists.append(width, list, before[0]);
      b.storeScalar(toI64(end), ends, i);
      return SmallVector<Value>{end};
    })[0];
    // Steps that are not full read groups of zeros.
    b.store(b.splat(b.vec(b.getI8Type(), 8), places.groups), list, total);
    return total;
  }

  Value columnOf(Value entry) {
    Value number = arith::ExtUIOp::create(b, b.getI64Type(), b.loadScalar(list, entry));
    return b.mul(toIndex(number), size);
  }

  Value gather(int64_t plane, Value entry, Value inGroup) {
    const int64_t length = std::min(size, step);
    SmallVector<Value> pieces;
    for (int64_t part = 0; part < places.parts; ++part)
      pieces.push_back(
          frame.activations(plane, b.index(0), b.index(0), b.add(columnOf(b.add(entry, part)), inGroup), length));
    return frame.joined(pieces);
  }

  void addWidth(int64_t width, Value count) {
    b.when(lists.mayHave(width), [&] { addListed(width, count); });
  }

  void addListed(int64_t width, Value count) {
    Value total = listBlock(b.splat(b.bytes(), width), count);
    b.when(arith::CmpIOp::create(b, arith::CmpIPredicate::ne, total, b.index(0)), [&] {
      sumSteps(width, total);
      addRows(width, count);
    });
  }

  /// One stride after the other over all groups that are listed.
  void sumSteps(int64_t width, Value total) {
    const int64_t planes = plan.activationPlanes(), chains = places.chains, parts = places.parts;
    Value at = b.index(width), begin = b.loadScalar(frame.positions(), at);
    b.storeScalar(b.addI(begin, b.mulI(toI64(total), i64(size * width))), frame.positions(), at);
    // Sums of planes and chains, the byte of the stream, the place of the next sums.
    SmallVector<Value> state(planes * chains, b.zero(b.i32s()));
    state.push_back(toIndex(arith::ShRUIOp::create(b, begin, i64(3))));
    state.push_back(b.index(strideLanes()));
    auto stride = [&](Value entry, Value inGroup, ValueRange before, int64_t steps) {
      SmallVector<Value> next(before);
      Value &byte = next[planes * chains], &to = next[planes * chains + 1];
      prefetch(byte, step / 8 * width * steps);
      for (int64_t chain = 0; chain < steps; ++chain, byte = b.add(byte, step / 8 * width)) {
        Value codes = decoder.narrow(width, byte);
        for (int64_t plane = 0; plane < planes; ++plane) {
          Value &sum = next[plane * chains + chain];
          Value x = gather(plane, b.add(entry, chain * parts), inGroup);
          sum = DotOp::create(b, sum.getType(), sum, codes, x, (1 << width) - 1);
        }
      }
      for (int64_t plane = 0; plane < planes; ++plane)
        for (int64_t chain = 0; chain < chains; ++chain)
          b.store(next[plane * chains + chain], after, b.add(to, plane * planeLanes() + chain * 16));
      to = b.add(to, strideLanes());
      return next;
    };
    if (size > step) {
      b.loop(b.index(0), total, 1, state, [&](Value entry, ValueRange before) {
        return b.loop(b.index(0), b.index(size), step, before,
                      [&](Value inGroup, ValueRange inner) { return stride(entry, inGroup, inner, 1); });
      });
      return;
    }
    // The last stride may be one step.
    Value whole = b.mul(b.div(b.add(total, parts - 1), 2 * parts), 2 * parts);
    state = b.loop(b.index(0), whole, 2 * parts, state,
                   [&](Value entry, ValueRange before) { return stride(entry, b.index(0), before, 2); });
    b.when(arith::CmpIOp::create(b, arith::CmpIPredicate::slt, whole, total),
           [&] { stride(whole, b.index(0), state, 1); });
  }

  /// What comes after this block of rows, which is far away from what is read before it.
  void prefetch(Value byte, int64_t bytes) {
    for (int64_t line = 0; line < bytes; line += 64)
      memref::PrefetchOp::create(b, decoder.stream(), ValueRange{b.add(byte, prefetched + line)}, /*isWrite=*/false,
                                 /*localityHint=*/2, /*isDataCache=*/true);
  }

  /// What a width adds to each row: sums at its end less those at its beginning.
  void addRows(int64_t width, Value count) {
    const int64_t planes = plan.activationPlanes(), perGroup = std::max<int64_t>(1, size / step);
    const int64_t classes = places.parts * places.chains;
    SmallVector<Value> none(planes, b.zero(ints()));
    b.loop(b.index(0), count, 1, none, [&](Value i, ValueRange before) {
      Value end = toIndex(b.loadScalar(ends, i)), row = b.mul(i, 16), sum = b.load(floats(), sums, row);
      SmallVector<Value> now;
      for (int64_t plane = 0; plane < planes; ++plane) {
        // The parts of a stride are groups: of the last one those before the end.
        Value whole;
        for (int64_t part = 0; part < classes; ++part) {
          Value strides = b.mul(b.div(b.add(end, classes - 1 - part), classes), perGroup * strideLanes());
          Value some = b.load(ints(), after, b.add(strides, plane * planeLanes() + part * lanes()));
          whole = whole ? b.addI(whole, some) : some;
        }
        now.push_back(whole);
        const float unit = (planes - plane == 2 ? 128 : 1) / static_cast<float>((1 << width) - 1);
        Value units = arith::ConstantOp::create(b, DenseElementsAttr::get(floats(), unit));
        sum = b.fma(b.toFloat(b.subI(whole, before[plane])), units, sum);
      }
      b.store(sum, sums, row);
      return now;
    });
  }

  KernelBuilder &b;
  const LinearPlan &plan;
  const int64_t size; ///< Of a group.
  const Places places;
  MixedFrame frame;
  MixedDecoder decoder;
  MixedLists lists;
  MixedRowSums wideSums;
  Value after; ///< i32, 16 lanes after each step
  Value sums;  ///< f32, a vector for each row of the block
  Value ends;  ///< i64, entries of the list before the end of each row
  Value list;  ///< i8
};

} // namespace

bool bq::hasMixedBlocks(const LinearPlan &plan) {
  const int64_t size = plan.format.group;
  return plan.rows == 1 && plan.isInteger() && plan.layout.segments() == 1 && abi::MixedIndex::hasWholeSteps(size) &&
         plan.layout.k % size == 0;
}

void bq::writeMixedBlocks(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers) {
  MixedBlocks(b, plan, buffers).write();
}

int64_t bq::mixedBlockBytes(const LinearPlan &plan) { return Places(plan).bytes + MixedLists::bytes(plan, blockRows); }
