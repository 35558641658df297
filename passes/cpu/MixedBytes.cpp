// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedBytes.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace bq;

namespace {

/// Codes that are decoded at a time: as words, and as 32-bit integers.
constexpr int64_t wordStep = 16, intStep = 8;
/// Bytes of each width's codes that are asked for ahead.
constexpr int64_t prefetched = 512;

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

Value lowBytes(KernelBuilder &b, Value vector) {
  const int64_t count = cast<VectorType>(vector.getType()).getNumElements();
  return arith::TruncIOp::create(b, b.vec(b.getI8Type(), count), vector);
}

/// As many vectors as each has lanes, a power of two: blocks of the matrix that lie across its diagonal change places,
/// larger ones from step to step.
void transpose(KernelBuilder &b, MutableArrayRef<Value> rows) {
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

} // namespace

LinearPlan MixedBytes::planOf(const LinearPlan &plan) {
  LinearPlan bytes = plan;
  bytes.format = {Format::Kind::UInt, 8, segmentOf(plan.format.group)};
  bytes.scaleType = Float32Type::get(plan.dataType.getContext());
  bytes.zero = ZeroPointType::None;
  bytes.layout.bits = 8;
  bytes.layout.n = 2 * plan.vectors * plan.layout.lanes;
  static_cast<Segments &>(bytes.layout) = Segments::get(bytes.format, plan.layout.k, intStep, Layout::maxSegment);
  return bytes;
}

MixedBytes::Places::Places(const LinearPlan &plan, int64_t offset)
    : rowGroups(plan.layout.k / plan.format.group), // Rows are so far apart that caches hold a block of them.
      rowBytes(llvm::alignTo(plan.layout.k, plan.layout.lineBytes()) + 64), groups(offset + MixedRecords::allBytes),
      scales(groups + llvm::alignTo(plan.vectors * plan.layout.lanes * rowGroups, 16) * 4) {
  const Layout layout = planOf(plan).layout;
  rows = scales + llvm::alignTo(layout.scaleCount() * 4, 64);
  ordered = rows + 2 * layout.lanes * rowBytes;
  end = ordered + layout.codeBytes();
}

int64_t MixedBytes::scratchBytes(const LinearPlan &plan) { return Places(plan, 0).end; }

MixedBytes::MixedBytes(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers, MixedFrame &frame,
                       int64_t offset)
    : b(b), buffers(buffers), frame(frame), bytes(planOf(plan)), lanes(plan.layout.lanes), size(plan.format.group),
      narrow(narrowOf(size, b.target)), places(plan, offset),
      records(b, frame.scratch(b.getI8Type(), {MixedRecords::allBytes}, offset), narrow) {
  const Layout &layout = bytes.layout;
  groups = frame.scratch(b.getI32Type(), {(places.scales - places.groups) / 4}, places.groups);
  scales = frame.scratch(b.getF32Type(), {layout.blocks(), layout.segments(), lanes}, places.scales);
  rows = frame.scratch(b.getI8Type(), {places.ordered - places.rows}, places.rows);
  ordered = frame.scratch(b.getI32Type(), {layout.blocks(), layout.k / 4, lanes}, places.ordered);
}

LinearBuffers MixedBytes::buffersOf(const LinearBuffers &buffers) const {
  const Layout &layout = bytes.layout;
  LinearBuffers own = buffers;
  own.codes = frame.scratch(b.getI8Type(), {layout.blocks(), layout.segments(), layout.segmentBytes()}, places.ordered);
  own.scales = scales;
  return own;
}

void MixedBytes::begin(Value task) {
  frame.beginTask(task);
  records.begin(frame.positions());
  // Lanes without a row are multiplied too.
  const Layout &layout = bytes.layout;
  b.loop(b.index(0), b.index(layout.blocks()), 1, [&](Value block) {
    b.loop(b.index(0), b.index(layout.segments()), 1,
           [&](Value segment) { b.store(b.splat(0.0f), scales, {block, segment, b.index(0)}); });
  });
}

Value MixedBytes::decode(Value first, Value count) {
  Value group = b.mul(frame.streamRow(first), places.rowGroups);
  Value greatest = records.list(frame, buffers.codes, group, b.mul(count, places.rowGroups), groups);
  Value hasUpper = arith::CmpIOp::create(b, arith::CmpIPredicate::ugt, greatest, b.i32(MixedRecords::greatestNarrow));
  b.loop(b.index(0), count, lanes, [&](Value row) {
    Value block = b.div(row, lanes), upper = b.add(block, bytes.vectors);
    b.when(hasUpper, [&] {
      b.loop(b.index(upperRows()), b.index(2 * upperRows()), 64,
             [&](Value at) { b.store(b.zero(b.vec(b.getI8Type(), 64)), rows, at); });
    });
    b.loop(b.index(0), b.min(b.sub(count, row), b.index(lanes)), 1,
           [&](Value lane) { decodeRow(b.add(row, lane), block, lane); });
    order(b.index(0), block);
    b.when(hasUpper, [&] {
      order(b.index(upperRows()), upper);
      b.loop(b.index(0), b.index(bytes.layout.segments()), 1, [&](Value segment) {
        Value own = b.load(b.f32s(), scales, {block, segment, b.index(0)});
        b.store(b.mulF(own, b.splat(256.0f)), scales, {upper, segment, b.index(0)});
      });
    });
  });
  return b.select(hasUpper, b.index(2), b.index(1));
}

/// Group after group of a row to its place in `rows`, and its scale to all its segments.
void MixedBytes::decodeRow(Value row, Value block, Value lane) {
  const int64_t parts = size / bytes.layout.segmentCodes;
  Value listed = b.mul(row, places.rowGroups), to = b.mul(lane, places.rowBytes);
  b.loop(b.index(0), b.index(places.rowGroups), 1, [&](Value number) {
    const Group group = records.take(groups, b.add(listed, number), size);
    Value scale = vector::ExtractOp::create(b, records.unit(group.record), int64_t(0));
    for (int64_t part = 0; part < parts; ++part)
      b.storeScalar(scale, scales, {block, b.add(b.mul(number, parts), part), lane});
    b.prefetch(buffers.codes, {b.add(group.byte, prefetched)});
    decodeGroup(group, b.add(to, b.mul(number, size)));
  });
}

void MixedBytes::decodeGroup(const Group &group, Value to) {
  if (narrow == MixedRecords::Narrow::None) {
    decodeInts(group, to);
    return;
  }
  auto branch = scf::IfOp::create(b, records.isNarrow(group.record), /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  decodeNarrow(group, to);
  b.setInsertionPointToStart(branch.elseBlock());
  decodeInts(group, to);
}

void MixedBytes::decodeNarrow(const Group &group, Value to) {
  auto bytesAt = [&](Value at, int64_t count) { return b.load(b.vec(b.getI8Type(), count), buffers.codes, at); };
  if (narrow == MixedRecords::Narrow::Bytes) {
    const MixedRecords::Bytes form = records.bytes(group.record);
    const int64_t step = size % 32 == 0 ? 32 : size % 16 == 0 ? 16 : 8;
    overGroup(step, group, to,
              [&](Value at, Value to) { b.store(b.slice(form.codesOf(b, bytesAt(at, 32)), 0, step), rows, to); });
    return;
  }
  const MixedRecords::Words form = records.words(group.record);
  overGroup(wordStep, group, to,
            [&](Value at, Value to) { b.store(lowBytes(b, form.codesOf(b, bytesAt(at, 16))), rows, to); });
}

/// Codes of any width; the upper bytes too.
void MixedBytes::decodeInts(const Group &group, Value to) {
  const MixedEights eights = records.eights(group.record);
  overGroup(intStep, group, to, [&](Value at, Value to) {
    Value fields = eights.fieldsOf(b, b.load(b.vec(b.getI8Type(), 16), buffers.codes, at));
    b.store(lowBytes(b, fields), rows, to);
    b.store(lowBytes(b, b.shiftRight(fields, 8)), rows, b.add(to, upperRows()));
  });
}

/// `decode` gets where each `step` codes of a group begin, and where they go.
void MixedBytes::overGroup(int64_t step, const Group &group, Value to, function_ref<void(Value at, Value to)> decode) {
  int64_t span = step;
  while (span < 64 && size % (2 * span) == 0)
    span *= 2;
  Value stepBytes = b.mul(group.eightBytes, step / 8);
  auto decodeSpan = [&](Value at, Value to) {
    for (int64_t first = 0; first < span; first += step, at = b.add(at, stepBytes))
      decode(at, b.add(to, first));
    return at;
  };
  if (span == size) {
    decodeSpan(group.byte, to);
    return;
  }
  b.loop(b.index(0), b.index(size), span, ValueRange{group.byte},
         [&](Value inGroup, ValueRange at) { return SmallVector<Value>{decodeSpan(at[0], b.add(to, inGroup))}; });
}

/// A block, which begins at byte `from` of `rows`, to the order of the layout: lane after lane of each four codes.
void MixedBytes::order(Value from, Value block) {
  const int64_t words = bytes.layout.k / 4;
  auto orderWords = [&](Value first, int64_t count) {
    SmallVector<Value> lines;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      Value at = b.add(b.add(from, lane * places.rowBytes), b.mul(first, 4));
      lines.push_back(b.bitcast(b.i32s(), b.load(b.bytes(), rows, at)));
    }
    transpose(b, lines);
    for (int64_t word = 0; word < count; ++word)
      b.store(lines[word], ordered, {block, b.add(first, word), b.index(0)});
  };
  const int64_t whole = words / lanes * lanes;
  b.loop(b.index(0), b.index(whole), lanes, [&](Value first) { orderWords(first, lanes); });
  if (whole < words)
    orderWords(b.index(whole), words - whole);
}
