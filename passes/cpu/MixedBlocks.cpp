// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One row of activations. Groups of a width are few in a row of the weight: a loop for each costs more for its end,
// which no CPU foresees, than for its steps. Here a loop goes on over a block of rows and keeps the sums after every
// step; the sum of a row is a difference of two of them. That is exact for integers. A lane of floats adds at most
// blockRows * k / 16 products, so that all rounding is less than that of k products added one by one.
#include "passes/cpu/MixedActivationSums.h"
#include "passes/cpu/MixedRowSums.h"
#include "passes/cpu/MixedSteps.h"

#include <limits>
#include <optional>

using namespace mlir;
using namespace bq;

namespace {

/// Rows of the weight in a block: so many that loops are long, so few that sums after each step stay in the first
/// cache.
constexpr int64_t blockRows = 8;
constexpr int64_t step = MixedSteps::codes, maxNarrow = MixedSteps::maxWidth;
/// Bytes of codes that are asked for ahead.
constexpr int64_t prefetched = 8192;
/// Entries behind the list's last that a stride may read: of a step of groups of eight and the one before.
constexpr int64_t listSlack = 16;

int64_t roundUp(int64_t value) { return (value + 63) / 64 * 64; }

/// Sums are taken in chains, so that one need not wait for the step before: a stride is a step of each. Scratch: what
/// has been summed after each stride, of each plane or of both as one; sums of rows; where rows end in the list; of
/// floats the sums of the activations of groups; the list.
struct Places {
  MixedSteps::Form form;
  int64_t groups, chains, planes, strides, sums, ends, activations, list, bytes;

  explicit Places(const LinearPlan &plan) : form(plan) {
    const int64_t size = plan.format.group;
    groups = plan.layout.k / size;
    chains = size <= step ? 2 : 1;
    planes = hasOneSum(plan) ? 1 : plan.activationPlanes();
    // One before the first, and one that is not full.
    strides = (blockRows * plan.layout.k + step * chains - 1) / (step * chains) + 1;
    sums = planes * strides * chains * form.vectors * 64;
    ends = sums + blockRows * 64;
    activations = ends + blockRows * 8;
    list = activations + (plan.isInteger() ? 0 : roundUp(MixedActivationSums::vectorGroups(plan) * 4));
    bytes = roundUp(list + blockRows * groups + 2 * 64);
  }

  /// Whether what a row adds to a lane fits an i32 with both planes of activations as one. What the rows before it have
  /// added may not: differences are right where sums wrap around.
  bool hasOneSum(const LinearPlan &plan) const {
    const int64_t products = (plan.layout.k + form.lanes - 1) / form.lanes;
    const auto greatest = static_cast<int64_t>(plan.fixedPointMax()) * ((1 << maxNarrow) - 1);
    return plan.isInteger() && products <= std::numeric_limits<int32_t>::max() / greatest;
  }
};

class MixedBlocks {
public:
  MixedBlocks(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers)
      : b(b), plan(plan), size(plan.format.group), places(plan), frame(b, plan, buffers), decoder(b, buffers.codes),
        lists(b, plan, frame, decoder, places.bytes), wideSums(b, plan, frame, decoder, lists, /*isOfLevels=*/true),
        partial(plan.isInteger() ? b.i32s() : b.f32s()), steps(b, plan, frame, decoder) {
    after = frame.scratch(partial.getElementType(), places.planes * planeLanes());
    sums = frame.scratch(b.getF32Type(), blockRows * 16, places.sums);
    ends = frame.scratch(b.getI64Type(), blockRows, places.ends);
    list = frame.scratch(b.getI8Type(), places.bytes - places.list, places.list);
    for (int64_t plane = 0; plane < places.planes; ++plane)
      for (int64_t lane = 0; lane < strideLanes(); lane += 16)
        b.store(b.zero(partial), after, b.index(plane * planeLanes() + lane));
    if (!plan.isInteger()) {
      Value memory = frame.scratch(b.getF32Type(), MixedActivationSums::vectorGroups(plan), places.activations);
      activations.emplace(b, plan, frame, memory);
      leastPart = b.mulF(frame.min(), activations->all());
    }
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
  int64_t strideLanes() const { return places.chains * places.form.vectors * 16; }
  int64_t planeLanes() const { return places.strides * strideLanes(); }
  VectorType floats() { return b.vec(b.getF32Type(), places.form.lanes); }
  Value reduce(Value sum) {
    return vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum, arith::FastMathFlags::reassoc);
  }

  void writeBlock(Value firstRow, Value inTask, Value count) {
    Value first = bytesOf(lists.firstWidth());
    SmallVector<Value> state = {arith::ConstantIntOp::create(b, b.getI1Type(), 0), b.index(0)};
    state = b.loop(b.index(0), count, 1, state, [&](Value i, ValueRange before) {
      Value wide = lists.load(b.addI(firstRow, i), b.index(0), maxNarrow);
      lists.storeWidths(i);
      b.store(b.zero(b.f32s()), sums, b.mul(i, 16));
      return SmallVector<Value>{arith::OrIOp::create(b, before[0], wide), listRow(i, first, before[1])};
    });
    Value isWide = state[0];
    b.loop(lists.firstWidth(), b.min(lists.endWidth(), b.index(maxNarrow + 1)), 1, ValueRange{state[1]},
           [&](Value width, ValueRange total) { return SmallVector<Value>{addWidth(width, total[0], count)}; });
    b.loop(b.index(0), count, 1, [&](Value i) {
      Value parts = b.load(b.f32s(), sums, b.mul(i, 16));
      if (activations)
        parts = activations->withoutExcess(parts, i, decoder, lists);
      Value sum = b.addF(reduce(parts), sumWide(i, isWide));
      if (activations)
        sum = b.fma(sum, frame.range(), leastPart);
      frame.keep(0, b.add(inTask, i), sum);
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
    scf::YieldOp::create(b, reduce(wideSums.addWide(b.index(0), b.index(0), b.splat(0.0f))[0]));
    return branch.getResult(0);
  }

  Value bytesOf(Value width) { return b.broadcast(b.bytes(), arith::TruncIOp::create(b, b.getI8Type(), toI64(width))); }

  /// Lists the groups of a width (in every byte) in row `i`, whose widths are loaded, from `at` on; where they end.
  Value listRow(Value i, Value width, Value at) {
    Value end = lists.append(width, list, at);
    b.storeScalar(toI64(end), ends, i);
    return end;
  }

  /// Adds the groups of a width, `total` of which are listed; then the next width's are, and how many is returned.
  Value addWidth(Value width, Value total, Value count) {
    // Strides that are not full read groups of zeros.
    b.store(b.splat(b.vec(b.getI8Type(), listSlack), places.groups), list, total);
    Value begin = b.loadScalar(frame.positions(), width), bits = b.mulI(toI64(total), i64(size));
    b.storeScalar(b.addI(begin, b.mulI(bits, toI64(width))), frame.positions(), width);
    sumSteps(steps.widths(), width, total, toIndex(arith::ShRUIOp::create(b, begin, i64(3))));
    return addRows(width, count);
  }

  /// The code for `width`, which is one of these.
  void sumSteps(ArrayRef<MixedSteps::Widths> widths, Value width, Value total, Value byte) {
    if (widths.size() == 1) {
      steps.begin(widths[0], width);
      return sumSteps(widths[0].last, b.mul(width, step / 8), total, byte);
    }
    Value isFirst = arith::CmpIOp::create(b, arith::CmpIPredicate::ule, width, b.index(widths[0].last));
    auto branch = scf::IfOp::create(b, isFirst, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    sumSteps(widths.take_front(1), width, total, byte);
    b.setInsertionPointToStart(branch.elseBlock());
    sumSteps(widths.drop_front(1), width, total, byte);
  }

  /// One stride after the other over all groups that are listed, the first of which begins at `byte`; a step has
  /// `stepBytes`, of a width that is at most this.
  void sumSteps(int64_t width, Value stepBytes, Value total, Value byte) {
    const int64_t planes = plan.activationPlanes(), chains = places.chains, parts = places.form.parts;
    const int64_t vectors = places.form.vectors, planeVectors = chains * vectors;
    // Sums of planes and chains, the byte of the stream, the place of the next sums.
    SmallVector<Value> state(planes * planeVectors, b.zero(partial));
    state.append({byte, b.index(strideLanes())});
    auto stride = [&](ArrayRef<Value> groups, Value inGroup, ValueRange before) {
      SmallVector<Value> next(before);
      MutableArrayRef<Value> sums = MutableArrayRef<Value>(next).drop_back(2);
      Value &byte = next[sums.size()], &to = next[sums.size() + 1];
      prefetch(byte, step / 8 * width * chains);
      for (int64_t chain = 0; chain < chains; ++chain, byte = b.addI(byte, stepBytes)) {
        const SmallVector<Value> decoded = steps.decode(byte);
        for (int64_t plane = 0; plane < planes; ++plane)
          steps.add(sums.slice(plane * planeVectors + chain * vectors, vectors), plane, decoded,
                    groups.slice(chain * parts, parts), inGroup);
      }
      for (int64_t plane = 0; plane < places.planes; ++plane)
        for (int64_t i = 0; i < planeVectors; ++i) {
          Value sum = sums[plane * planeVectors + i];
          if (places.planes < planes)
            sum = b.addI(b.shiftLeft(sum, 7), sums[planeVectors + i]);
          b.store(sum, after, b.add(to, plane * planeLanes() + i * 16));
        }
      to = b.add(to, strideLanes());
      return next;
    };
    b.loop(b.index(0), total, chains * parts, state, [&](Value entry, ValueRange before) -> SmallVector<Value> {
      const SmallVector<Value> groups = steps.groupsFrom(list, entry, chains);
      if (size <= step)
        return stride(groups, b.index(0), before);
      return b.loop(b.index(0), b.index(size), step, before,
                    [&](Value inGroup, ValueRange inner) { return stride(groups, inGroup, inner); });
    });
  }

  /// What comes after this block of rows, which is far away from what is read before it.
  void prefetch(Value byte, int64_t bytes) {
    for (int64_t line = 0; line < bytes; line += 64)
      memref::PrefetchOp::create(b, decoder.stream(), ValueRange{b.add(byte, prefetched + line)}, /*isWrite=*/false,
                                 /*localityHint=*/2, /*isDataCache=*/true);
  }

  /// What a width adds to each row: sums at its end less those at its beginning. To list the next width's groups at
  /// once keeps more of a CPU's units busy.
  Value addRows(Value width, Value count) {
    const int64_t planes = places.planes, perGroup = std::max<int64_t>(1, size / step);
    const int64_t classes = places.form.parts * places.chains;
    const VectorType some = b.vec(partial.getElementType(), places.form.lanes);
    SmallVector<Value> state(planes, b.zero(some)), units;
    state.push_back(b.index(0));
    Value next = bytesOf(b.add(width, 1)), power = arith::ShLIOp::create(b, i64(1), toI64(width));
    auto toFloat = [&](Value value) -> Value { return arith::UIToFPOp::create(b, b.getF32Type(), value); };
    Value levels = toFloat(b.sub(power, i64(1))), one = plan.isInteger() ? b.f32(1.0f) : toFloat(power);
    for (int64_t plane = 0; plane < planes; ++plane)
      units.push_back(b.broadcast(floats(), b.divF(planes - plane == 2 ? b.f32(128.0f) : one, levels)));
    state = b.loop(b.index(0), count, 1, state, [&](Value i, ValueRange before) {
      Value end = toIndex(b.loadScalar(ends, i)), row = b.mul(i, 16), sum = b.load(floats(), sums, row);
      SmallVector<Value> now;
      for (int64_t plane = 0; plane < planes; ++plane) {
        // The parts of a stride are groups: of the last one those before the end.
        Value whole;
        for (int64_t part = 0; part < classes; ++part) {
          Value strides = b.mul(b.div(b.add(end, classes - 1 - part), classes), perGroup * strideLanes());
          Value own = b.load(some, after, b.add(strides, plane * planeLanes() + part * places.form.lanes));
          whole = !whole ? own : plan.isInteger() ? b.addI(whole, own) : b.addF(whole, own);
        }
        now.push_back(whole);
        Value added = plan.isInteger() ? b.toFloat(b.subI(whole, before[plane])) : b.subF(whole, before[plane]);
        sum = b.fma(added, units[plane], sum);
      }
      b.store(sum, sums, row);
      lists.loadWidths(i);
      now.push_back(listRow(i, next, before.back()));
      return now;
    });
    return state.back();
  }

  KernelBuilder &b;
  const LinearPlan &plan;
  const int64_t size; ///< Of a group.
  const Places places;
  MixedFrame frame;
  MixedDecoder decoder;
  MixedLists lists;
  MixedRowSums wideSums;
  const VectorType partial; ///< Sums of a step: i32, or f32.
  MixedSteps steps;
  std::optional<MixedActivationSums> activations; ///< With floats.
  Value leastPart;                                ///< With floats what the least value adds to each row.
  Value after;                                    ///< Of partial's type, its vectors after each stride.
  Value sums;                                     ///< f32, a vector for each row of the block
  Value ends;                                     ///< i64, entries of the list before the end of each row
  Value list;                                     ///< i8
};

} // namespace

bool bq::hasMixedBlocks(const LinearPlan &plan) {
  const int64_t size = plan.format.group;
  return plan.rows == 1 && plan.layout.segments() == 1 && abi::MixedIndex::hasWholeSteps(size) &&
         plan.layout.k % size == 0;
}

void bq::writeMixedBlocks(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers) {
  MixedBlocks(b, plan, buffers).write();
}

int64_t bq::mixedBlockBytes(const LinearPlan &plan) { return Places(plan).bytes + MixedLists::bytes(plan, blockRows); }
