// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From the sums of a linear layer to its result.
#include "passes/Activation.h"
#include "passes/gpu/FragmentPlan.h"

#include "dialect/core/CudaAbi.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cstddef>

using namespace mlir;
using namespace bq;

namespace {

class LinearResults {
public:
  LinearResults(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers, Value memory)
      : b(b), plan(plan), buffers(buffers), sums(memory) {}

  void write(ArrayRef<Partial> partials) {
    stage(partials);
    Value part = b.block(gpu::Dimension::Z);
    if (plan.splits == 1) {
      forEachResult([&](Value staged, Value row, Value column) { finish(load(staged), row, column); });
      return;
    }
    forEachResult([&](Value staged, Value row, Value column) {
      b.store(load(staged), buffers.workspace, workspaceAt(part, row, column));
    });
    b.when(isLast(), [&] {
      forEachResult([&](Value, Value row, Value column) {
        Value total = b.loop(b.i32(0), b.i32(plan.splits), b.i32(1), b.f32(0.0f), [&](Value split, ValueRange carried) {
          Value sum = b.loadFresh(buffers.workspace, workspaceAt(split, row, column));
          return SmallVector<Value>{b.addF(carried[0], sum)};
        })[0];
        finish(total, row, column);
      });
    });
  }

  /// Lanes of a warp store to pairs of rows and eight columns: four words more meet all banks. Of a gradient the eight
  /// are pairs, eight columns apart: one more does.
  static int64_t strideOf(const FragmentPlan &plan) { return plan.tileColumns() + (plan.isGradient ? 1 : 4); }

private:
  int64_t stride() const { return strideOf(plan); }

  /// The block's sums in shared memory, so that results are written in the order in which they are in memory.
  void stage(ArrayRef<Partial> partials) {
    if (sums)
      b.barrier();
    else
      sums = b.shared(b.getI32Type(), resultWords(plan));
    if (plan.isGradient)
      return addWarps(partials);
    forEachKept(partials, [&](Value sum, Value at) { b.store(b.bits(sum), sums, at); });
    b.barrier();
  }

  /// The same of sums that the warps have in parts, added in their order.
  void addWarps(ArrayRef<Partial> partials) {
    b.loop(b.thread(), b.i32(plan.rows * stride()), b.i32(FragmentPlan::threads),
           [&](Value i) { b.store(b.i32(0), sums, i); });
    b.barrier();
    Value warp = b.div(b.thread(), 32);
    b.loop(b.i32(0), b.i32(FragmentPlan::warps), b.i32(1), [&](Value turn) {
      b.when(b.equal(warp, turn), [&] {
        forEachKept(partials, [&](Value sum, Value at) { b.store(b.bits(b.addF(load(at), sum)), sums, at); });
      });
      b.barrier();
    });
  }

  void forEachKept(ArrayRef<Partial> partials, function_ref<void(Value sum, Value at)> body) {
    for (const Partial &partial : partials) {
      auto place = [&] { body(partial.sum, b.add(b.mul(partial.row, stride()), partial.column)); };
      if (partial.isKept)
        b.when(partial.isKept, place);
      else
        place();
    }
  }

  Value load(Value staged) { return b.asFloat(b.load(sums, staged)); }

  /// body(where its sum is, row, column) for each result of the tile that is one of y.
  void forEachResult(function_ref<void(Value staged, Value row, Value column)> body) {
    Value firstRow = b.mul(b.block(gpu::Dimension::X), plan.rows);
    Value firstColumn = b.mul(b.block(gpu::Dimension::Y), plan.tileColumns());
    b.loop(b.thread(), b.i32(plan.rows * plan.tileColumns()), b.i32(FragmentPlan::threads), [&](Value i) {
      Value inRow = b.rem(i, plan.tileColumns()), row = b.div(i, plan.tileColumns());
      Value atRow = b.add(firstRow, row), atColumn = b.add(firstColumn, inRow);
      Value isInside = b.both(b.lessThan(atRow, buffers.m), b.lessThan(atColumn, b.i32(plan.resultColumns())));
      b.when(isInside, [&] { body(b.add(b.mul(row, stride()), inRow), atRow, atColumn); });
    });
  }

  Value workspaceAt(Value part, Value row, Value column) {
    Value first = b.add(b.mul(b.wide(part), b.wide(buffers.m)), b.wide(row));
    return b.add(b.mul(first, plan.resultColumns()), b.wide(column));
  }

  /// Whether this block of threads is the last of those that share its tile to have written its sums. Leaves the
  /// counter as it was before the first.
  Value isLast() {
    Value counter = b.add(b.mul(b.block(gpu::Dimension::X), plan.gridY()), b.block(gpu::Dimension::Y));
    Value seen = b.shared(b.getI32Type(), 1);
    gpu::FenceOp::create(b);
    b.barrier();
    b.when(b.equal(b.thread(), b.i32(0)), [&] {
      Value before = gpu::AtomicAddOp::create(b, b.i32(1), buffers.counters, counter);
      b.store(before, seen, b.i32(0));
      b.when(b.equal(before, b.i32(plan.splits - 1)), [&] { b.store(b.i32(0), buffers.counters, counter); });
      gpu::FenceOp::create(b);
    });
    b.barrier();
    return b.equal(b.load(seen, b.i32(0)), b.i32(plan.splits - 1));
  }

  /// Of a gradient, `column` is one of the layout.
  void finishGradient(Value sum, Value row, Value column) {
    const auto [source, end] = locateColumns(b, plan.layout, column);
    auto store = [&, source = source] {
      Value y = plan.format.hasColumnScale() ? b.mulF(sum, b.load(buffers.columnScale, source)) : sum;
      Value target = plan.permuted ? b.load(buffers.permutation, source) : source;
      b.storeFloat(plan.dataType, y, buffers.y, b.add(b.mul(b.wide(row), buffers.yStride), b.wide(target)));
    };
    if (end)
      b.when(b.lessThan(source, end), store);
    else
      store();
  }

  void finish(Value sum, Value row, Value column) {
    if (plan.isGradient)
      return finishGradient(sum, row, column);
    if (plan.hasRowScales) {
      Value unit = b.load(buffers.rowScales, row);
      if (plan.format.isTable()) {
        // The table's scale lies behind its i8Pairs, which the pointer is to.
        Value low = b.load(buffers.table, b.i32(offsetof(cuda::WeightTable, i8Scale) / 2));
        Value high = b.load(buffers.table, b.i32(offsetof(cuda::WeightTable, i8Scale) / 2 + 1));
        unit = b.mulF(unit, b.asFloat(b.bitOr(low, b.shiftLeft(high, 16))));
      }
      sum = b.mulF(sum, unit);
    }
    if (plan.hasBias)
      sum = b.addF(sum, b.load(buffers.bias, column));
    Value at = b.add(b.mul(b.wide(row), buffers.yStride), b.wide(column));
    Value y = writeActivation(b, plan.activation, sum, [&](float value) { return b.f32(value); });
    b.storeFloat(plan.dataType, y, buffers.y, at);
  }

  GpuBuilder &b;
  const FragmentPlan &plan;
  const FragmentBuffers &buffers;
  Value sums;
};

} // namespace

void bq::writeResults(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers,
                      ArrayRef<Partial> partials, Value memory) {
  LinearResults(b, plan, buffers, memory).write(partials);
}

int64_t bq::resultWords(const FragmentPlan &plan) { return plan.rows * LinearResults::strideOf(plan); }
