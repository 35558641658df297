// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedLinear.h"

using namespace mlir;
using namespace bq;

using abi::MixedIndex;

namespace {

int64_t keptBytes(const LinearPlan &plan) { return plan.rows * MixedIndex::taskRows(plan.layout.k) * 4; }

} // namespace

int64_t MixedFrame::frameBytes(const LinearPlan &plan) {
  // The parts behind begin at multiples of 64 bytes: a task has a multiple of 16 rows.
  return keptBytes(plan) + MixedIndex::widths * 8;
}

MixedFrame::MixedFrame(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers)
    : b(b), plan(plan), buffers(buffers), taskRows(MixedIndex::taskRows(plan.layout.k)) {
  auto at = [&](Type element, ArrayRef<int64_t> shape, int64_t byte) -> Value {
    return memref::ViewOp::create(b, MemRefType::get(shape, element), buffers.scratch, b.index(byte), ValueRange());
  };
  kept = at(b.getF32Type(), {plan.rows, taskRows}, 0);
  next = at(b.getI64Type(), {MixedIndex::widths}, keptBytes(plan));
  least = b.loadScalar(buffers.scales, b.index(0));
  spread = arith::SubFOp::create(b, b.loadScalar(buffers.scales, b.index(1)), least);
  auto headerByte = [&](int64_t byte) -> Value {
    return arith::ExtUIOp::create(b, b.getI64Type(), b.loadScalar(buffers.codes, b.index(byte)));
  };
  leastBits = headerByte(8);
  field = headerByte(9);
  firstStreamRow = arith::IndexCastOp::create(b, b.getIndexType(), b.loadScalar(buffers.table, b.index(0)));
}

Value MixedFrame::scratch(Type element, ArrayRef<int64_t> shape, int64_t offset) {
  return memref::ViewOp::create(b, MemRefType::get(shape, element), buffers.scratch, b.index(frameBytes(plan) + offset),
                                ValueRange());
}

Value MixedFrame::activations(int64_t plane, Value segment, Value x, Value column, int64_t count) {
  Type element = cast<MemRefType>(buffers.data.getType()).getElementType();
  return b.load(b.vec(element, count), buffers.data, {b.index(plane), segment, x, column});
}

Value MixedFrame::joined(ArrayRef<Value> pieces) {
  if (pieces.size() == 1)
    return pieces[0];
  const size_t half = pieces.size() / 2;
  Value low = joined(pieces.take_front(half)), high = joined(pieces.drop_front(half));
  SmallVector<int64_t> order;
  for (int64_t i = 0; i < 2 * cast<VectorType>(low.getType()).getNumElements(); ++i)
    order.push_back(i);
  return vector::ShuffleOp::create(b, low, high, order);
}

Value MixedFrame::streamRow(Value row) { return b.addI(firstStreamRow, row); }

/// Where the groups of each width go on from the one in which the task begins.
void MixedFrame::beginTask(Value task) {
  const int64_t size = plan.format.group;
  b.loop(b.index(1), b.index(MixedIndex::widths), 1, [&](Value width) {
    Value byte = b.loadScalar(buffers.table, width);
    Value begin = b.mulI(byte, arith::ConstantIntOp::create(b, b.getI64Type(), 8));
    if (size) {
      Value rank = arith::ExtUIOp::create(b, b.getI64Type(), b.loadScalar(buffers.zeros, {task, width}));
      Value bits = arith::IndexCastOp::create(b, b.getI64Type(), b.mul(width, size));
      begin = b.addI(begin, b.mulI(rank, bits));
    }
    b.storeScalar(begin, next, width);
  });
}

void MixedFrame::write(function_ref<SmallVector<Value>(Value row, Value firstX)> sumRow) {
  writeTasks([&](Value firstRow, Value rows, Value firstX) {
    b.loop(b.index(0), rows, 1, [&](Value i) {
      SmallVector<Value> sums = sumRow(b.add(firstRow, i), firstX);
      for (int64_t x = 0; x < plan.rows; ++x)
        keep(x, i, sums[x]);
    });
  });
}

void MixedFrame::keep(int64_t x, Value row, Value sum) { b.storeScalar(sum, kept, {b.index(x), row}); }

void MixedFrame::writeTasks(function_ref<void(Value firstRow, Value rows, Value firstX)> sumTask) {
  b.loop(buffers.begin, buffers.end, 1, [&](Value task) {
    Value firstRow = b.mul(task, taskRows);
    Value rows = b.min(b.sub(b.index(plan.layout.n), firstRow), b.index(taskRows));
    auto writeRows = [&](Value firstX) {
      beginTask(task);
      sumTask(firstRow, rows, firstX);
      finish(firstRow, rows, firstX);
    };
    if (plan.hasPaddedRows)
      b.loop(b.index(0), buffers.m, plan.rows, writeRows);
    else
      writeRows(b.index(0));
  });
}

Value MixedFrame::leastPart(Value m) {
  auto addSegment = [&](Value segment, ValueRange before) {
    Value part = b.loadScalar(buffers.sums, {segment, m});
    if (part.getType().isInteger())
      part = arith::SIToFPOp::create(b, b.getF32Type(), part);
    return SmallVector<Value>{b.addF(before[0], part)};
  };
  Value sum = b.loop(b.index(0), b.index(plan.layout.segments()), 1, ValueRange{b.f32(0.0f)}, addSegment)[0];
  return b.mulF(least, sum);
}

void MixedFrame::finish(Value firstRow, Value rows, Value firstX) {
  Value real = plan.hasPaddedRows ? b.min(b.sub(buffers.m, firstX), b.index(plan.rows)) : b.index(plan.rows);
  b.loop(b.index(0), real, 1, [&](Value i) {
    Value m = b.add(firstX, i), scale = writeRowScale(b, plan, buffers, m), offset, factor;
    if (plan.isInteger()) {
      offset = b.broadcast(leastPart(m));
      factor = b.broadcast(spread);
    }
    b.loop(b.index(0), rows, b.lanes, [&](Value column) {
      Value sum = b.load(b.f32s(), kept, {i, column});
      writeEpilogue(b, plan, buffers, factor ? b.fma(sum, factor, offset) : sum, scale, m, b.add(firstRow, column));
    });
  });
}
