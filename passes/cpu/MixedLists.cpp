// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedLists.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace bq;

namespace {

/// What may be read of the list behind its last entry: the rest of a step.
constexpr int64_t listSlack = 8;
/// Rows whose widths may be kept.
constexpr int64_t keptRows = 16;

} // namespace

MixedLists::MixedLists(KernelBuilder &b, const LinearPlan &plan, MixedFrame &frame, MixedDecoder &decoder,
                       int64_t offset)
    : b(b), plan(plan), frame(frame), decoder(decoder), size(plan.format.group), rowGroups(plan.layout.k / size),
      segmentGroups(plan.layout.segmentCodes / size) {
  list = frame.scratch(b.getI8Type(), bytes(plan), offset);
  kept = frame.scratch(b.getI8Type(), keptRows * vectors() * 64, offset + bytes(plan));
  fields = decoder.fields(frame.fieldBits(), arith::TruncIOp::create(b, b.getI8Type(), frame.leastWidth()));
}

int64_t MixedLists::bytes(const LinearPlan &plan, int64_t rows) {
  if (!plan.format.group)
    return 0;
  // A store writes whole vectors.
  const int64_t groups = plan.layout.segmentCodes / plan.format.group, vectors = (groups + 63) / 64;
  return (vectors + 2 + rows * vectors) * 64;
}

Value MixedLists::endWidth() {
  return toIndex(b.addI(frame.leastWidth(), arith::ShLIOp::create(b, i64(1), frame.fieldBits())));
}

void MixedLists::storeWidths(Value i) {
  for (int64_t v = 0; v < vectors(); ++v)
    b.store(widths[v], kept, b.add(b.mul(i, vectors() * 64), v * 64));
}

void MixedLists::loadWidths(Value i) {
  widths.clear();
  for (int64_t v = 0; v < vectors(); ++v)
    widths.push_back(b.load(b.bytes(), kept, b.add(b.mul(i, vectors() * 64), v * 64)));
}

Value MixedLists::append(Value width, Value target, Value at) {
  for (int64_t v = 0; v < vectors(); ++v) {
    Value mask = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, widths[v], width);
    b.store(decoder.compress(iota(64 * v), mask), target, at);
    at = b.addI(at, toIndex(math::CtPopOp::create(b, bitsOf(mask))));
  }
  return at;
}

Value MixedLists::iota(int64_t first) {
  SmallVector<int8_t> numbers;
  for (int64_t i = 0; i < 64; ++i)
    numbers.push_back(static_cast<int8_t>(first + i));
  return arith::ConstantOp::create(b, DenseElementsAttr::get(b.bytes(), ArrayRef<int8_t>(numbers)));
}

Value MixedLists::bitsOf(Value mask) {
  return vector::ExtractOp::create(b, b.bitcast(b.vec(b.getI64Type(), 1), mask), int64_t(0));
}

/// Which of the groups from `first` on are in the segment; null where all are.
Value MixedLists::isIn(int64_t first, Value segment) {
  const int64_t segments = plan.layout.segments();
  if (first + 64 <= segmentGroups && rowGroups % segmentGroups == 0)
    return {};
  Value count = b.index(segmentGroups);
  if (segments > 1)
    count = b.min(count, b.sub(b.index(rowGroups), b.mul(segment, segmentGroups)));
  Value held = arith::TruncIOp::create(b, b.getI8Type(), toI64(count));
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, iota(first), b.broadcast(b.bytes(), held));
}

Value MixedLists::load(Value row, Value segment, int64_t narrow) {
  Value group = b.add(b.mul(frame.streamRow(row), rowGroups), b.mul(segment, segmentGroups));
  Value bit = b.mulI(toI64(group), frame.fieldBits());
  Value byte = toIndex(b.addI(arith::ShRUIOp::create(b, bit, i64(3)), i64(10)));
  Value shift = arith::AndIOp::create(b, bit, i64(7)), step = toIndex(b.mulI(frame.fieldBits(), i64(8)));
  widths.clear();
  Value greatest;
  for (int64_t v = 0; v < vectors(); ++v, byte = b.addI(byte, step)) {
    Value some = decoder.widths(fields, byte, shift);
    if (Value mask = isIn(64 * v, segment))
      some = b.select(mask, some, b.zero(b.bytes()));
    widths.push_back(some);
    greatest = greatest ? arith::MaxUIOp::create(b, greatest, some) : some;
  }
  Value above = arith::CmpIOp::create(b, arith::CmpIPredicate::ugt, greatest, b.splat(b.bytes(), narrow));
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, bitsOf(above), i64(0));
}

SmallVector<Value> MixedLists::withListed(Value width, ValueRange sums,
                                          function_ref<SmallVector<Value>(Value count)> body) {
  SmallVector<Value> masks, counts;
  Value total;
  for (Value some : widths) {
    masks.push_back(arith::CmpIOp::create(b, arith::CmpIPredicate::eq, some, width));
    counts.push_back(math::CtPopOp::create(b, bitsOf(masks.back())));
    total = total ? b.addI(total, counts.back()) : counts.back();
  }
  auto branch = scf::IfOp::create(b, TypeRange(sums), arith::CmpIOp::create(b, arith::CmpIPredicate::ne, total, i64(0)),
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, sums);
  b.setInsertionPointToStart(branch.thenBlock());
  Value at = b.index(0);
  for (int64_t v = 0; v < vectors(); ++v) {
    b.store(decoder.compress(iota(64 * v), masks[v]), list, at);
    at = b.addI(at, toIndex(counts[v]));
  }
  // Behind a segment are columns of zeros.
  b.store(b.splat(b.vec(b.getI8Type(), listSlack), segmentGroups), list, at);
  scf::YieldOp::create(b, body(at));
  return SmallVector<Value>(branch.getResults());
}

Value MixedLists::columnOf(Value entry) {
  Value number = arith::ExtUIOp::create(b, b.getI64Type(), b.loadScalar(list, entry));
  return b.mul(toIndex(number), size);
}
