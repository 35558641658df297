// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One row of activations. Groups of a width are few in a row of the weight: a loop for each costs more for its end,
// which no CPU foresees, than for its steps. Here a loop goes on over a block of rows and keeps the sums after every
// step; the sum of a row is a difference of two of them, which is exact, as activations are integers.
#include "passes/cpu/MixedRowSums.h"
#include "passes/cpu/MixedSteps.h"

#include "llvm/Support/MathExtras.h"

#include <limits>
#include <numeric>

using namespace mlir;
using namespace bq;

namespace {

/// Rows of the weight in a block: so many that loops are long, so few that sums after each step stay in the first
/// cache.
constexpr int64_t blockRows = 8;
constexpr int64_t step = MixedSteps::codes, maxNarrow = MixedSteps::maxWidth;
/// Bytes of codes that are asked for ahead.
constexpr int64_t prefetched = 8192;

/// A unit is a step whose parts are groups of one row, the last of which may be none, or one group of several steps.
/// Sums are taken in chains, so that one need not wait for the step before: a stride is a step of each. Scratch: what
/// has been summed of each plane after each step; sums of rows; where rows end, in units; the list of groups; where
/// units begin; what decodes. A row's sums of chains are added as integers in so many shares.
struct Places {
  int64_t parts, unitSteps, chains, rowUnits, shares, steps, sums, ends, list, positions, records, bytes;

  explicit Places(const LinearPlan &plan) : parts(MixedSteps::parts(plan)) {
    const int64_t size = plan.format.group;
    unitSteps = std::max<int64_t>(1, size / step);
    chains = 4;
    while (chains % unitSteps && unitSteps % chains)
      --chains;
    rowUnits = llvm::divideCeil(plan.layout.k / size, parts);
    shares = 1;
    while (shares < chains && (chains % shares || !fit(plan)))
      ++shares;
    // Before the first, and of a stride that is not full.
    steps = blockRows * rowUnits * unitSteps + 2 * chains;
    sums = plan.activationPlanes() * steps * 64;
    ends = sums + blockRows * 64;
    list = ends + blockRows * 8;
    // A row's list is written in whole vectors.
    positions = list + llvm::alignTo(blockRows * rowUnits * parts + 64 * 5, 64);
    records = positions + llvm::alignTo((blockRows * rowUnits + 2 * 32) * 2, 64);
    bytes = records + MixedSteps::recordBytes;
  }

  /// Whether what a row adds to a lane of all chains of a share fits an i32. What the rows before it have added may
  /// not: differences are right where sums wrap around.
  bool fit(const LinearPlan &plan) const {
    const int64_t products = llvm::divideCeil(rowUnits * unitSteps, chains) * (chains / shares) * MixedSteps::products;
    return products * MixedSteps::greatest(plan) <= std::numeric_limits<int32_t>::max();
  }
  /// Units of a stride; 0 where these have several strides.
  int64_t strideUnits() const { return chains / unitSteps; }
};

class MixedBlocks {
public:
  MixedBlocks(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers)
      : b(b), plan(plan), size(plan.format.group), places(plan), frame(b, plan, buffers), decoder(b, buffers.codes),
        lists(b, plan, frame, decoder, places.bytes), wideSums(b, plan, frame, decoder, lists),
        steps(b, plan, frame, decoder, frame.scratch(b.getI8Type(), MixedSteps::recordBytes, places.records)) {
    after = frame.scratch(b.getI32Type(), plan.activationPlanes() * planeLanes());
    sums = frame.scratch(b.getF32Type(), blockRows * 16, places.sums);
    ends = frame.scratch(b.getI64Type(), blockRows, places.ends);
    list = frame.scratch(b.getI8Type(), places.positions - places.list, places.list);
    positions = frame.scratch(b.getI16Type(), (places.records - places.positions) / 2, places.positions);
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
  Value toInt(Type type, Value index) { return arith::IndexCastOp::create(b, type, index); }
  Value toIndex(Value value) { return arith::IndexCastOp::create(b, b.getIndexType(), value); }
  int64_t planeLanes() const { return places.steps * 16; }
  Value reduce(Value sum) {
    return vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum, arith::FastMathFlags::reassoc);
  }

  /// What is listed: units, and grains of the stream. A grain is a bit of each of a group's codes.
  struct Listed {
    Value units, grains;
    explicit Listed(ValueRange values) : units(values[0]), grains(values[1]) {}
    Listed(Value units, Value grains) : units(units), grains(grains) {}
    SmallVector<Value> values() const { return {units, grains}; }
  };

  void writeBlock(Value firstRow, Value inTask, Value count) {
    const Width first(*this, lists.firstWidth());
    SmallVector<Value> state = {b.index(0), b.index(0), arith::ConstantIntOp::create(b, b.getI1Type(), 0)};
    state = b.loop(b.index(0), count, 1, state, [&](Value i, ValueRange before) {
      Value wide = lists.load(b.addI(firstRow, i), b.index(0), maxNarrow);
      lists.storeWidths(i);
      b.store(b.zero(b.f32s()), sums, b.mul(i, 16));
      SmallVector<Value> next = listRow(i, first, Listed(before)).values();
      next.push_back(arith::OrIOp::create(b, before[2], wide));
      return next;
    });
    Value isWide = state.pop_back_val();
    b.loop(lists.firstWidth(), b.min(lists.endWidth(), b.index(maxNarrow + 1)), 1, state,
           [&](Value width, ValueRange listed) { return addWidth(width, Listed(listed), count).values(); });
    b.loop(b.index(0), count, 1, [&](Value i) {
      Value sum = reduce(b.load(b.f32s(), sums, b.mul(i, 16)));
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
    scf::YieldOp::create(b, reduce(wideSums.addWide(b.index(0), b.index(0), b.splat(0.0f))[0]));
    return branch.getResult(0);
  }

  /// What lists groups of a width.
  struct Width {
    Value bits;       ///< An index.
    Value everywhere; ///< In every byte.
    Value begins;     ///< i16 [32], grains from one of so many units on.
    Value grains;     ///< i16 [32], grains of so many units, in every lane.

    Width(MixedBlocks &blocks, Value width) : bits(width) {
      KernelBuilder &b = blocks.b;
      everywhere = b.broadcast(b.bytes(), blocks.toInt(b.getI8Type(), width));
      SmallVector<int16_t> numbers(32);
      std::iota(numbers.begin(), numbers.end(), 0);
      Value unit = b.broadcast(b.words(), blocks.toInt(b.getI16Type(), b.mul(width, blocks.places.parts)));
      begins =
          b.mulI(unit, arith::ConstantOp::create(b, DenseElementsAttr::get(b.words(), ArrayRef<int16_t>(numbers))));
      grains = b.shiftLeft(unit, 5);
    }
  };

  /// Lists the groups of a width in row `i`, whose widths are loaded, behind what is listed.
  Listed listRow(Value i, const Width &width, Listed listed) {
    const int64_t parts = places.parts;
    Value first = b.mul(listed.units, parts), end = lists.append(width.everywhere, list, first);
    if (parts > 1)
      b.store(b.splat(b.vec(b.getI8Type(), parts), noGroup()), list, end);
    Value units = b.div(b.add(b.sub(end, first), parts - 1), parts), next = b.add(listed.units, units);
    Value begins = b.addI(width.begins, b.broadcast(b.words(), toInt(b.getI16Type(), listed.grains)));
    b.loop(listed.units, next, 32, ValueRange{begins}, [&](Value unit, ValueRange before) {
      b.store(before[0], positions, unit);
      return SmallVector<Value>{b.addI(before[0], width.grains)};
    });
    b.storeScalar(toI64(next), ends, i);
    return {next, b.addI(listed.grains, arith::MulIOp::create(b, b.sub(end, first), width.bits))};
  }

  /// The number of a group of zeros.
  int64_t noGroup() const { return plan.layout.k / size; }

  /// Adds the groups of a width, which are listed; then the next width's are, which is returned.
  Listed addWidth(Value width, Listed listed, Value count) {
    // Strides that are not full read groups of zeros.
    b.store(b.splat(b.bytes(), noGroup()), list, b.mul(listed.units, places.parts));
    b.store(b.zero(b.words()), positions, listed.units);
    Value begin = b.loadScalar(frame.positions(), width);
    b.storeScalar(b.addI(begin, b.mulI(toI64(listed.grains), i64(size))), frame.positions(), width);
    // A view that begins there: no step then adds that.
    Value codes = memref::ViewOp::create(b, MemRefType::get({ShapedType::kDynamic}, b.getI8Type()), decoder.stream(),
                                         toIndex(arith::ShRUIOp::create(b, begin, i64(3))),
                                         ValueRange{b.index(std::numeric_limits<int32_t>::max())});
    sumSteps(steps.widths(), width, listed.units, codes);
    return addRows(width, count);
  }

  /// The code for `width`, which is one of these.
  void sumSteps(ArrayRef<MixedSteps::Widths> widths, Value width, Value units, Value codes) {
    if (widths.size() == 1) {
      steps.begin(widths[0], width, codes);
      return sumSteps(widths[0].last, b.mul(width, step / 8), units, codes);
    }
    Value isFirst = arith::CmpIOp::create(b, arith::CmpIPredicate::ule, width, b.index(widths[0].last));
    auto branch = scf::IfOp::create(b, isFirst, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    sumSteps(widths.take_front(1), width, units, codes);
    b.setInsertionPointToStart(branch.elseBlock());
    sumSteps(widths.drop_front(1), width, units, codes);
  }

  /// One stride after the other over all units that are listed, of `codes`; a step has `stepBytes`, of a width that is
  /// at most this.
  void sumSteps(int64_t width, Value stepBytes, Value units, Value codes) {
    const int64_t planes = plan.activationPlanes(), chains = places.chains, strideUnits = places.strideUnits();
    // Sums of chains and their planes, the place of the next.
    SmallVector<Value> state(chains * planes, b.zero(b.i32s()));
    state.push_back(b.index(chains * 16));
    // Where a step begins and its groups are loaded right before it: those of a stride are more than there are
    // registers.
    auto stride = [&](function_ref<Value(int64_t chain)> begin, function_ref<SmallVector<Value>(int64_t chain)> groups,
                      Value inGroup, ValueRange before) {
      SmallVector<Value> next(before);
      Value to = before.back();
      for (int64_t chain = 0; chain < chains; ++chain) {
        Value byte = begin(chain);
        if (chain == 0)
          prefetch(codes, byte, step / 8 * width * chains);
        const SmallVector<Value> decoded = steps.decode(byte), parts = groups(chain);
        Value code = b.add(inGroup, chain % places.unitSteps * step);
        for (int64_t plane = 0; plane < planes; ++plane) {
          Value &sum = next[chain * planes + plane];
          sum = steps.add(sum, plane, decoded, parts, code);
          b.store(sum, after, b.add(to, plane * planeLanes() + chain * 16));
        }
      }
      next.back() = b.add(to, chains * 16);
      return next;
    };
    b.loop(b.index(0), units, std::max<int64_t>(1, strideUnits), state, [&](Value unit, ValueRange before) {
      auto unitBegin = [&](int64_t i) -> Value {
        Value grains = arith::IndexCastUIOp::create(b, b.getIndexType(), b.loadScalar(positions, b.add(unit, i)));
        return b.mul(grains, size / 8);
      };
      auto unitGroups = [&](int64_t i) { return steps.groupsFrom(list, b.mul(b.add(unit, i), places.parts)); };
      if (strideUnits) {
        Value last;
        auto begin = [&](int64_t chain) {
          return last = chain % places.unitSteps ? b.addI(last, stepBytes) : unitBegin(chain / places.unitSteps);
        };
        return stride(begin, [&](int64_t chain) { return unitGroups(chain / places.unitSteps); }, b.index(0), before);
      }
      const SmallVector<Value> groups = unitGroups(0);
      SmallVector<Value> carried(before);
      carried.push_back(unitBegin(0));
      carried = b.loop(b.index(0), b.index(size), step * chains, carried, [&](Value inGroup, ValueRange inner) {
        Value last = inner.back();
        auto begin = [&](int64_t chain) { return last = chain ? b.addI(last, stepBytes) : last; };
        SmallVector<Value> next = stride(begin, [&](int64_t) { return groups; }, inGroup, inner.drop_back());
        next.push_back(b.addI(last, stepBytes));
        return next;
      });
      carried.pop_back();
      return carried;
    });
  }

  /// What comes after this block of rows, which is far away from what is read before it.
  void prefetch(Value codes, Value byte, int64_t bytes) {
    for (int64_t line = 0; line < bytes; line += 64)
      memref::PrefetchOp::create(b, codes, ValueRange{b.add(byte, prefetched + line)}, /*isWrite=*/false,
                                 /*localityHint=*/2, /*isDataCache=*/true);
  }

  /// What a width adds to each row: sums at its end less those at its beginning. To list the next width's groups at
  /// once keeps more of a CPU's units busy.
  Listed addRows(Value width, Value count) {
    const int64_t planes = plan.activationPlanes();
    const int64_t inShare = places.chains / places.shares, wholes = planes * places.shares;
    SmallVector<Value> state(wholes, b.zero(b.i32s())), units;
    state.append({b.index(0), b.index(0)});
    const Width next(*this, b.add(width, 1));
    Value power = b.sub(arith::ShLIOp::create(b, i64(1), toI64(width)), i64(1));
    Value levels = arith::UIToFPOp::create(b, b.getF32Type(), power);
    for (float unit : plan.planeUnits())
      units.push_back(b.broadcast(b.divF(b.f32(unit), levels)));
    state = b.loop(b.index(0), count, 1, state, [&](Value i, ValueRange before) {
      Value end = b.mul(toIndex(b.loadScalar(ends, i)), places.unitSteps);
      Value row = b.mul(i, 16), sum = b.load(b.f32s(), sums, row);
      SmallVector<Value> now;
      for (int64_t share = 0; share < wholes; ++share) {
        const int64_t plane = share / places.shares, first = share % places.shares * inShare;
        Value whole;
        for (int64_t chain = first; chain < first + inShare; ++chain) {
          Value own = b.load(b.i32s(), after, b.add(b.mul(lastBefore(end, chain), 16), plane * planeLanes()));
          whole = whole ? b.addI(whole, own) : own;
        }
        now.push_back(whole);
        sum = b.fma(b.toFloat(b.subI(whole, before[share])), units[plane], sum);
      }
      b.store(sum, sums, row);
      lists.loadWidths(i);
      now.append(listRow(i, next, Listed(before.drop_front(wholes))).values());
      return now;
    });
    return Listed(ValueRange(state).drop_front(wholes));
  }

  /// The place of a chain's last sum before step `end`. Where all chains are added it does not matter which is which:
  /// they are the places before that of `end`.
  Value lastBefore(Value end, int64_t chain) {
    const int64_t chains = places.chains;
    if (places.shares == 1)
      return b.add(end, chain);
    return b.add(b.mul(b.div(b.add(end, chains - 1 - chain), chains), chains), chain);
  }

  KernelBuilder &b;
  const LinearPlan &plan;
  const int64_t size; ///< Of a group.
  const Places places;
  MixedFrame frame;
  MixedDecoder decoder;
  MixedLists lists;
  MixedRowSums wideSums;
  MixedSteps steps;
  Value after;     ///< i32, a vector of each plane after each step
  Value sums;      ///< f32, a vector for each row of the block
  Value ends;      ///< i64, units before the end of each row
  Value list;      ///< i8
  Value positions; ///< i16, grains from the block's first of the width on
};

} // namespace

bool bq::hasMixedBlocks(const LinearPlan &plan) {
  const int64_t size = plan.format.group;
  return plan.rows == 1 && plan.layout.segments() == 1 && abi::MixedIndex::hasWholeSteps(size) &&
         plan.layout.k % size == 0 && Places(plan).fit(plan);
}

void bq::writeMixedBlocks(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers) {
  MixedBlocks(b, plan, buffers).write();
}

int64_t bq::mixedBlockBytes(const LinearPlan &plan) { return Places(plan).bytes + MixedLists::bytes(plan, blockRows); }
