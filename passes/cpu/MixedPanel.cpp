// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// For many rows of activations: a few blocks of rows of the weight are decoded to bytes in the order of a weight of
// 8 bits (Layout), the upper bytes of wider codes beside them, and meet the activations as such a weight does.
#include "passes/cpu/MixedRecords.h"
#include "passes/cpu/PanelProduct.h"

using namespace mlir;
using namespace bq;

using abi::MixedIndex;

namespace {

/// Codes that are decoded at a time: as words, and as 32-bit integers.
constexpr int64_t wordStep = 16, intStep = 8;

int64_t roundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

/// The longest part of a group, in whole words of integer forms, that Layout has for a segment.
int64_t segmentOf(int64_t group) {
  int64_t longest = intStep;
  for (int64_t codes = intStep; codes <= std::min(group, Layout::maxSegment); codes += intStep)
    if (group % codes == 0)
      longest = codes;
  return longest;
}

MixedRecords::Narrow narrowOf(int64_t group, const CpuTarget &target) {
  if (target.has(CpuTarget::AVX512VBMI))
    return MixedRecords::Narrow::Bytes;
  return group % wordStep ? MixedRecords::Narrow::None : MixedRecords::Narrow::Words;
}

/// The plan for the bytes: task 0 is the lower ones, task 1 the upper ones. Every segment is a group.
LinearPlan planOfBytes(const LinearPlan &plan) {
  LinearPlan bytes = plan;
  const int64_t segment = segmentOf(plan.format.group);
  bytes.format = {Format::Kind::UInt, 8, segment};
  bytes.zero = ZeroPointType::None;
  bytes.layout.bits = 8;
  bytes.layout.n = 2 * plan.vectors * plan.layout.lanes;
  static_cast<Segments &>(bytes.layout) = Segments::get(bytes.format, plan.layout.k, intStep, Layout::maxSegment);
  return bytes;
}

/// Scratch, in bytes.
struct Places {
  int64_t rows;      ///< Of the weight, that are decoded at a time.
  int64_t rowGroups; ///< Groups of a row.
  int64_t rowBytes;  ///< Of a row of codes before they are put in order, so far apart that caches hold a block of them.
  int64_t groups = MixedRecords::allBytes, sums, panel, scales, codes, ordered, bytes;

  explicit Places(const LinearPlan &plan)
      : rows(plan.vectors * plan.layout.lanes), rowGroups(plan.layout.k / plan.format.group),
        rowBytes(roundUp(plan.layout.k, 4 * plan.layout.lanes) + 64) {
    const LinearPlan inner = planOfBytes(plan);
    sums = groups + roundUp(rows * rowGroups, 16) * 4;
    panel = sums + PanelProduct::sumWords(inner) * 4;
    scales = panel + PanelProduct::panelWords(inner) * 4;
    codes = scales + roundUp(inner.layout.scaleCount() * 4, 64);
    ordered = codes + 2 * plan.layout.lanes * rowBytes;
    bytes = ordered + inner.layout.codeBytes();
  }
};

class MixedPanel {
public:
  MixedPanel(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers)
      : b(b), plan(plan), bytes(planOfBytes(plan)), buffers(buffers), size(plan.format.group),
        narrow(narrowOf(size, b.target)), places(plan), frame(b, plan, buffers),
        records(b, frame.scratch(b.getI8Type(), MixedRecords::allBytes), narrow),
        groups(frame.scratch(b.getI32Type(), (places.sums - places.groups) / 4, places.groups)),
        codes(frame.scratch(b.getI8Type(), places.ordered - places.codes, places.codes)),
        units(scratch(b.getF32Type(), {bytes.layout.scaleCount()}, places.scales)), inner(buffersOfBytes()),
        product(b, bytes, inner, plan.layout,
                scratch(b.getF32Type(), {PanelProduct::rowBlock, places.rows}, places.sums),
                scratch(b.getF32Type(), {PanelProduct::panelWords(bytes)}, places.panel)) {}

  void write() {
    const int64_t taskRows = MixedIndex::taskRows(plan.layout.k);
    frame.beginTask(buffers.begin);
    records.begin(frame.positions());
    Value end = b.min(b.mul(buffers.end, taskRows), b.index(plan.layout.n));
    b.loop(b.mul(buffers.begin, taskRows), end, places.rows, [&](Value first) {
      Value rows = b.min(b.sub(end, first), b.index(places.rows));
      Value tasks = decode(first, rows);
      b.loop(b.index(0), buffers.paddedRows, PanelProduct::rowBlock, [&](Value firstX) {
        Value count = b.min(b.sub(buffers.paddedRows, firstX), b.index(PanelProduct::rowBlock));
        product.clear(count);
        b.loop(b.index(0), b.index(bytes.layout.segments()), 1, [&](Value segment) {
          b.loop(b.index(0), tasks, 1, [&](Value task) { product.add(task, segment, firstX, count); });
        });
        finish(first, rows, firstX);
      });
    });
  }

private:
  Value scratch(Type element, ArrayRef<int64_t> shape, int64_t offset) {
    return memref::ViewOp::create(b, MemRefType::get(shape, element), buffers.scratch,
                                  b.index(MixedFrame::frameBytes(plan) + offset), ValueRange());
  }

  LinearBuffers buffersOfBytes() {
    const Layout &layout = bytes.layout;
    LinearBuffers own = buffers;
    own.codes = scratch(b.getI8Type(), {layout.blocks(), layout.segments(), layout.segmentBytes()}, places.ordered);
    own.scales = scratch(b.getF32Type(), {layout.blocks(), layout.segments(), layout.lanes}, places.scales);
    return own;
  }

  /// Rows [first, first + rows) of the weight to the ordered bytes; how many tasks these are.
  Value decode(Value first, Value rows) {
    Value group = b.mul(frame.streamRow(first), places.rowGroups), count = b.mul(rows, places.rowGroups);
    Value greatest = records.list(frame, buffers.codes, group, count, groups);
    Value isWide = arith::CmpIOp::create(b, arith::CmpIPredicate::ugt, greatest,
                                         b.i32(MixedRecords::maxNarrow * MixedRecords::recordBytes));
    b.loop(b.index(0), rows, b.lanes, [&](Value row) {
      Value block = b.div(row, b.lanes), upper = b.add(block, plan.vectors);
      b.when(isWide, [&] {
        b.loop(b.index(upperCodes()), b.index(2 * upperCodes()), 64,
               [&](Value at) { b.store(b.zero(b.vec(b.getI8Type(), 64)), codes, at); });
      });
      b.loop(b.index(0), b.min(b.sub(rows, row), b.index(b.lanes)), 1,
             [&](Value lane) { decodeRow(b.add(row, lane), block, lane); });
      order(b.index(0), block);
      b.when(isWide, [&] {
        order(b.index(upperCodes()), upper);
        b.loop(b.index(0), b.index(bytes.layout.segments()), 1, [&](Value segment) {
          Value units = b.load(b.f32s(), inner.scales, {block, segment, b.index(0)});
          b.store(b.mulF(units, b.splat(256.0f)), inner.scales, {upper, segment, b.index(0)});
        });
      });
    });
    return b.select(isWide, b.index(2), b.index(1));
  }

  /// Where upper bytes begin in `codes`.
  int64_t upperCodes() const { return plan.layout.lanes * places.rowBytes; }

  /// Group after group of a row to its place in `codes`, and its unit to those of all its segments.
  void decodeRow(Value row, Value block, Value lane) {
    const int64_t parts = size / bytes.layout.segmentCodes, segments = bytes.layout.segments();
    Value listed = b.mul(row, places.rowGroups), to = b.mul(lane, places.rowBytes);
    Value unitsAt = b.add(b.mul(block, segments * b.lanes), lane);
    b.loop(b.index(0), b.index(places.rowGroups), 1, [&](Value group) {
      Value record = arith::IndexCastUIOp::create(b, b.getIndexType(), b.loadScalar(groups, b.add(listed, group)));
      Value eightBytes = records.eightBytes(record);
      Value from = records.next(record, b.mul(eightBytes, size / 8));
      Value unit = vector::ExtractOp::create(b, records.unit(record), int64_t(0));
      for (int64_t part = 0; part < parts; ++part)
        b.storeScalar(unit, units, b.add(unitsAt, b.add(b.mul(group, parts * b.lanes), part * b.lanes)));
      b.prefetch(buffers.codes, {b.add(from, prefetched)});
      decodeGroup(record, from, eightBytes, b.add(to, b.mul(group, size)));
    });
  }

  void decodeGroup(Value record, Value from, Value eightBytes, Value to) {
    if (narrow == MixedRecords::Narrow::None) {
      decodeInts(record, from, eightBytes, to);
      return;
    }
    Value isWord = arith::CmpIOp::create(b, arith::CmpIPredicate::ule, record,
                                         b.index(MixedRecords::maxNarrow * MixedRecords::recordBytes));
    auto branch = scf::IfOp::create(b, isWord, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    decodeNarrow(record, from, eightBytes, to);
    b.setInsertionPointToStart(branch.elseBlock());
    decodeInts(record, from, eightBytes, to);
  }

  void decodeNarrow(Value record, Value from, Value eightBytes, Value to) {
    if (narrow == MixedRecords::Narrow::Bytes) {
      const MixedRecords::Bytes bytes = records.bytes(record);
      const int64_t step = size % 32 == 0 ? 32 : size % 16 == 0 ? 16 : 8;
      overGroup(step, from, eightBytes, to,
                [&](Value at, Value to) { b.store(b.slice(bytes.codesOf(b, bytesAt(at, 32)), 0, step), codes, to); });
      return;
    }
    const MixedRecords::Words words = records.words(record);
    overGroup(wordStep, from, eightBytes, to,
              [&](Value at, Value to) { b.store(lowBytes(words.codesOf(b, bytesAt(at, 16))), codes, to); });
  }

  Value bytesAt(Value at, int64_t count) { return b.load(b.vec(b.getI8Type(), count), buffers.codes, at); }

  /// Codes of any width; the upper bytes too.
  void decodeInts(Value record, Value from, Value eightBytes, Value to) {
    const MixedEights eights = records.eights(record);
    overGroup(intStep, from, eightBytes, to, [&](Value at, Value to) {
      Value fields = eights.fieldsOf(b, bytesAt(at, 16));
      b.store(lowBytes(fields), codes, to);
      b.store(lowBytes(b.shiftRight(fields, 8)), codes, b.add(to, upperCodes()));
    });
  }

  Value lowBytes(Value vector) {
    const int64_t count = cast<VectorType>(vector.getType()).getNumElements();
    return arith::TruncIOp::create(b, b.vec(b.getI8Type(), count), vector);
  }

  /// `decode` gets where each `step` codes of a group begin, and where they go.
  void overGroup(int64_t step, Value from, Value eightBytes, Value to, function_ref<void(Value at, Value to)> decode) {
    int64_t span = step;
    while (span < 64 && size % (2 * span) == 0)
      span *= 2;
    Value stepBytes = b.mul(eightBytes, step / 8);
    auto decodeSpan = [&](Value at, Value to) {
      for (int64_t first = 0; first < span; first += step, at = b.add(at, stepBytes))
        decode(at, b.add(to, first));
      return at;
    };
    if (span == size) {
      decodeSpan(from, to);
      return;
    }
    b.loop(b.index(0), b.index(size), span, ValueRange{from},
           [&](Value inGroup, ValueRange at) { return SmallVector<Value>{decodeSpan(at[0], b.add(to, inGroup))}; });
  }

  /// A block of rows, which begins at byte `from` of `codes`, to the order of the layout: lane after lane of each four
  /// codes.
  void order(Value from, Value block) {
    const int64_t words = plan.layout.k / 4, lanes = plan.layout.lanes;
    Value ordered = scratch(b.getI32Type(), {bytes.layout.blocks(), words, lanes}, places.ordered);
    auto orderWords = [&](Value first, int64_t count) {
      SmallVector<Value> rows;
      for (int64_t lane = 0; lane < lanes; ++lane) {
        Value at = b.add(b.add(from, lane * places.rowBytes), b.mul(first, 4));
        rows.push_back(b.bitcast(b.i32s(), b.load(b.bytes(), codes, at)));
      }
      transpose(rows);
      for (int64_t word = 0; word < count; ++word)
        b.store(rows[word], ordered, {block, b.add(first, word), b.index(0)});
    };
    const int64_t whole = words / lanes * lanes;
    b.loop(b.index(0), b.index(whole), lanes, [&](Value first) { orderWords(first, lanes); });
    if (whole < words)
      orderWords(b.index(whole), words - whole);
  }

  /// As many vectors as each has lanes, a power of two: blocks of the matrix that lie across its diagonal change
  /// places, larger ones from step to step.
  void transpose(MutableArrayRef<Value> rows) {
    const int64_t lanes = static_cast<int64_t>(rows.size());
    for (int64_t distance = 1; distance < lanes; distance *= 2) {
      SmallVector<int64_t> low, high;
      for (int64_t lane = 0; lane < lanes; ++lane) {
        const bool isOther = lane & distance;
        low.push_back(isOther ? lanes + lane - distance : lane);
        high.push_back(isOther ? lanes + lane : lane + distance);
      }
      for (int64_t row = 0; row < lanes; ++row) {
        if (row & distance)
          continue;
        Value l = rows[row], h = rows[row + distance];
        rows[row] = vector::ShuffleOp::create(b, l, h, low);
        rows[row + distance] = vector::ShuffleOp::create(b, l, h, high);
      }
    }
  }

  /// Sums are over t alone (MixedFrame).
  void finish(Value first, Value rows, Value firstX) {
    Value real = b.min(b.sub(buffers.m, firstX), b.index(PanelProduct::rowBlock));
    Value range = b.broadcast(frame.range());
    b.loop(b.index(0), real, 1, [&](Value row) {
      Value m = b.add(firstX, row), scale = writeRowScale(b, plan, buffers, m);
      Value least = b.broadcast(frame.leastPart(m));
      b.loop(b.index(0), rows, b.lanes, [&](Value offset) {
        Value sum = b.fma(product.sumsAt(row, offset), range, least);
        writeEpilogue(b, plan, buffers, sum, scale, m, b.add(first, offset));
      });
    });
  }

  /// Bytes of each width's codes that are asked for ahead.
  static constexpr int64_t prefetched = 512;

  KernelBuilder &b;
  const LinearPlan &plan;
  const LinearPlan bytes;
  const LinearBuffers &buffers;
  const int64_t size; ///< Of a group.
  const MixedRecords::Narrow narrow;
  const Places places;
  MixedFrame frame;
  MixedRecords records;
  Value groups; ///< i32 [rows, rowGroups], the record of each, and what is left of eight
  Value codes;  ///< i8 [2, lanes, rowBytes]: of a block, lower and upper bytes
  Value units;  ///< f32, the scales of `inner`
  const LinearBuffers inner;
  PanelProduct product;
};

} // namespace

void bq::writeMixedPanel(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers) {
  MixedPanel(b, plan, buffers).write();
}

int64_t bq::mixedPanelBytes(const LinearPlan &plan) { return Places(plan).bytes; }
