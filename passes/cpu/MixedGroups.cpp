// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Groups of whole bytes on CPUs with AVX2: each is decoded in registers by what is kept for its width. Codes of up to 8
// bits become words, which a dot product follows; others, and those that meet floats, become eight floats at a time.
#include "passes/cpu/MixedLinear.h"
#include "passes/cpu/MixedRecords.h"

#include "llvm/Support/MathExtras.h"

#include <limits>

using namespace mlir;
using namespace bq;

namespace {

/// Codes of a step: as words, and as floats.
constexpr int64_t wordStep = 16, floatStep = 8;
/// Bytes of each width's codes that are asked for ahead: no CPU foresees which width is next.
constexpr int64_t prefetched = 512;

/// Scratch: records of widths, sums of rows of activations, widths of the groups of a row, and activations.
struct Places {
  bool hasWords; ///< Sums are of words.
  int64_t rowGroups, rowColumns, totals = MixedRecords::allBytes, groups, activations, bytes;

  explicit Places(const LinearPlan &plan)
      : hasWords(plan.isInteger() && plan.format.group % wordStep == 0),
        rowGroups(plan.format.group > 0 ? plan.layout.k / plan.format.group : 0),
        rowColumns(llvm::alignTo(plan.layout.segments() * plan.layout.segmentCodes, wordStep)),
        groups(totals + llvm::alignTo(plan.rows * 4, 64)), activations(groups + llvm::alignTo(rowGroups, 16) * 4),
        bytes(activations + (plan.isInteger() ? plan.rows * rowColumns * (hasWords ? 2 : 4) : 0)) {}
};

class MixedGroups {
public:
  MixedGroups(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers)
      : b(b), plan(plan), buffers(buffers), size(plan.format.group), places(plan), frame(b, plan, buffers),
        records(b, frame.scratch(b.getI8Type(), MixedRecords::allBytes),
                places.hasWords ? MixedRecords::Narrow::Words : MixedRecords::Narrow::None) {
    totals = frame.scratch(b.getF32Type(), plan.rows, places.totals);
    groups = frame.scratch(b.getI32Type(), (places.activations - places.groups) / 4, places.groups);
    if (plan.isInteger())
      activations = frame.scratch(places.hasWords ? Type(b.getI16Type()) : b.getF32Type(),
                                  plan.rows * places.rowColumns, places.activations);
  }

  void write() {
    if (!plan.hasPaddedRows)
      keepActivations(b.index(0));
    frame.writeTasks([&](Value firstRow, Value rows, Value firstX) {
      if (plan.hasPaddedRows)
        keepActivations(firstX);
      records.begin(frame.positions());
      b.loop(b.index(0), rows, 1, [&](Value i) {
        const SmallVector<Value> sums = sumRow(b.add(firstRow, i), firstX);
        for (int64_t x = 0; x < plan.rows; ++x)
          frame.keep(x, i, finish(sums[x], x));
      });
    });
  }

private:
  VectorType eightInts() { return b.vec(b.getI32Type(), 8); }
  VectorType eightFloats() { return b.vec(b.getF32Type(), 8); }
  VectorType sixteenWords() { return b.vec(b.getI16Type(), 16); }
  Value sixteenAt(Value byte) { return b.load(b.vec(b.getI8Type(), 16), buffers.codes, byte); }

  /// Of floats the sum of each row; of integers what steps read of them.
  void keepActivations(Value firstX) {
    for (int64_t x = 0; x < plan.rows; ++x) {
      Value at = b.add(firstX, x), sum = b.zero(eightFloats());
      sum = b.loop(b.index(0), b.index(plan.layout.segments()), 1, ValueRange{sum}, [&](Value segment, ValueRange of) {
        return b.loop(b.index(0), b.index(plan.layout.segmentCodes), floatStep, of, [&](Value i, ValueRange before) {
          Value column = b.add(b.mul(segment, plan.layout.segmentCodes), i);
          return SmallVector<Value>{keepEight(segment, at, i, b.add(column, x * places.rowColumns), before[0])};
        });
      })[0];
      if (!plan.isInteger())
        b.storeScalar(reduce(sum), totals, b.index(x));
    }
  }

  /// Activations of row `x` from `i` of a segment on, kept from `to` on; the sum with those that are floats.
  Value keepEight(Value segment, Value x, Value i, Value to, Value sum) {
    Value high = frame.activations(0, segment, x, i, floatStep);
    if (!plan.isInteger())
      return b.addF(sum, high);
    auto wide = [&](Value bytes) { return arith::ExtSIOp::create(b, b.vec(b.getI16Type(), 8), bytes); };
    Value words = wide(high);
    if (plan.form == LinearPlan::Form::I16)
      words = b.addI(b.shiftLeft(words, 7), wide(frame.activations(1, segment, x, i, floatStep)));
    b.store(places.hasWords ? words : wordsToFloats(words), activations, to);
    return sum;
  }

  Value wordsToFloats(Value words) { return b.toFloat(arith::ExtSIOp::create(b, eightInts(), words)); }
  Value reduce(Value sum) {
    return vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum, arith::FastMathFlags::reassoc);
  }

  /// Sums of level / (2^bits - 1) times activations, of each row.
  SmallVector<Value> sumRow(Value weightRow, Value firstX) {
    Value firstGroup = b.mul(frame.streamRow(weightRow), places.rowGroups);
    records.list(frame, buffers.codes, firstGroup, b.index(places.rowGroups), groups);
    const SmallVector<Value> initial(plan.rows, b.zero(eightFloats()));
    return b.loop(b.index(0), b.index(places.rowGroups), 1, initial, [&](Value group, ValueRange before) {
      const Group next{records.take(groups, group, size), b.mul(group, size)};
      b.prefetch(buffers.codes, {b.add(next.byte, prefetched)});
      if (!places.hasWords)
        return addFloats(next, firstX, before);
      auto branch = scf::IfOp::create(b, before.getTypes(), records.isNarrow(next.record), /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(branch.thenBlock());
      scf::YieldOp::create(b, addWords(next, before));
      b.setInsertionPointToStart(branch.elseBlock());
      scf::YieldOp::create(b, addFloats(next, firstX, before));
      return SmallVector<Value>(branch.getResults());
    });
  }

  /// With the column of the row that it begins at.
  struct Group : MixedRecords::Group {
    Value column;
  };

  using AddStep = function_ref<void(Value byte, Value column, MutableArrayRef<Value> products)>;

  /// The sums after a group. `addStep` adds products of `step` codes to others, which are `type`.
  SmallVector<Value> addGroup(int64_t step, VectorType type, const Group &group, ValueRange before, AddStep addStep) {
    int64_t span = step;
    while (span < 4 * step && size % (2 * span) == 0)
      span *= 2;
    auto addSpan = [&](Value inGroup, Value from, ValueRange products) {
      SmallVector<Value> next(products);
      for (int64_t first = 0; first < span; first += step)
        addStep(b.add(from, b.mul(group.eightBytes, first / 8)), b.add(group.column, b.add(inGroup, first)), next);
      return next;
    };
    SmallVector<Value> products(plan.rows, b.zero(type));
    if (span == size) {
      products = addSpan(b.index(0), group.byte, products);
    } else {
      products.push_back(group.byte);
      products = b.loop(b.index(0), b.index(size), span, products, [&](Value inGroup, ValueRange state) {
        SmallVector<Value> next = addSpan(inGroup, state.back(), state.drop_back());
        next.push_back(b.add(state.back(), b.mul(group.eightBytes, span / 8)));
        return next;
      });
    }
    SmallVector<Value> sums(before);
    Value unit = records.unit(group.record);
    for (int64_t x = 0; x < plan.rows; ++x)
      sums[x] = b.fma(type == eightInts() ? b.toFloat(products[x]) : products[x], unit, sums[x]);
    return sums;
  }

  SmallVector<Value> addWords(const Group &group, ValueRange before) {
    const MixedRecords::Words words = records.words(group.record);
    auto addStep = [&](Value at, Value column, MutableArrayRef<Value> products) {
      Value codes = words.codesOf(b, sixteenAt(at));
      for (int64_t x = 0; x < plan.rows; ++x) {
        Value own = b.load(sixteenWords(), activations, b.add(column, x * places.rowColumns));
        products[x] = b.addI(products[x], writeIntrinsic(b, "llvm.x86.avx2.pmadd.wd", eightInts(), {codes, own}));
      }
    };
    return addGroup(wordStep, eightInts(), group, before, addStep);
  }

  SmallVector<Value> addFloats(const Group &group, Value firstX, ValueRange before) {
    const MixedEights eights = records.eights(group.record);
    auto addStep = [&](Value at, Value column, MutableArrayRef<Value> products) {
      Value levels = b.toFloat(eights.fieldsOf(b, sixteenAt(at)));
      for (int64_t x = 0; x < plan.rows; ++x)
        products[x] = b.fma(levels, floatsAt(x, firstX, column), products[x]);
    };
    return addGroup(floatStep, eightFloats(), group, before, addStep);
  }

  /// Eight activations of a row as floats.
  Value floatsAt(int64_t x, Value firstX, Value column) {
    if (plan.isInteger()) {
      const VectorType type = b.vec(cast<MemRefType>(activations.getType()).getElementType(), floatStep);
      Value own = b.load(type, activations, b.add(column, x * places.rowColumns));
      return places.hasWords ? wordsToFloats(own) : own;
    }
    const Layout &layout = plan.layout;
    Value segment = b.index(0), inSegment = column;
    if (layout.segments() > 1) {
      segment = b.div(column, layout.segmentCodes);
      inSegment = b.rem(column, layout.segmentCodes);
    }
    return frame.activations(0, segment, b.add(firstX, x), inSegment, floatStep);
  }

  /// The sum of a row; of floats that of the least value, times the activations, is part of it.
  Value finish(Value parts, int64_t x) {
    Value sum = reduce(parts);
    if (plan.isInteger())
      return sum;
    return b.fma(sum, frame.range(), b.mulF(frame.min(), b.loadScalar(totals, b.index(x))));
  }

  KernelBuilder &b;
  const LinearPlan &plan;
  const LinearBuffers &buffers;
  const int64_t size; ///< Of a group.
  const Places places;
  MixedFrame frame;
  MixedRecords records;
  Value totals;      ///< f32 [rows]
  Value groups;      ///< i32 [rowGroups], the record of each, and what is left of eight
  Value activations; ///< i16 or f32 [rows, rowColumns], of integers
};

/// So many products of the greatest code, in each of the lanes of a sum of words, fit an i32.
constexpr int64_t maxGroup = wordStep / 2 * (std::numeric_limits<int32_t>::max() / (255 * 127 * 128));

} // namespace

bool bq::hasMixedBytes(const Format &format, int64_t k, const CpuTarget &target, std::string &reason) {
  const int64_t size = format.group;
  if (!target.has(CpuTarget::AVX2))
    reason = "cpu '" + target.name + "' has no AVX2, which shuffles bytes";
  else if (size <= 0 || size % floatStep)
    reason = "groups of " + std::to_string(size) + "; those of a multiple of 8 are whole bytes";
  else if (k % size)
    reason = "groups of " + std::to_string(size) + " lie in several rows of " + std::to_string(k);
  else
    return true;
  return false;
}

bool bq::canGroupMixed(const Format &format, int64_t k, const CpuTarget &target, std::string &reason) {
  if (!hasMixedBytes(format, k, target, reason))
    return false;
  if (format.group > maxGroup)
    reason =
        "groups of " + std::to_string(format.group) + "; integer sums of at most " + std::to_string(maxGroup) + " fit";
  return format.group <= maxGroup;
}

void bq::writeMixedGroups(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers) {
  MixedGroups(b, plan, buffers).write();
}

int64_t bq::mixedGroupBytes(const LinearPlan &plan) { return Places(plan).bytes; }
