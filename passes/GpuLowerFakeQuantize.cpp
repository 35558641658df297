// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"
#include "passes/SoleOp.h"
#include "passes/gpu/RowKernel.h"

#include "dialect/core/Half.h"
#include "dialect/core/KernelAbi.h"

#include "mlir/IR/TypeUtilities.h"

namespace bq {
#define GEN_PASS_DEF_GPULOWERFAKEQUANTIZE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

/// Writes cuda::FakeQuantizeFn, or cuda::FakeQuantizeGradFn: a block of threads for each chunk, whose columns are the
/// only group of a row.
class FakeQuantizeChunks {
public:
  template <typename OpTy>
  FakeQuantizeChunks(GpuBuilder &b, OpTy op, StringRef name)
      : b(b), dataType(getElementTypeOrSelf(op.getInput().getType())), format(op.getFormat().getFormat()),
        hasZero(op.getZero() != nullptr), isGradient(std::is_same_v<OpTy, FakeQuantizeGradOp>),
        rows(b, abi::fakeQuantizeChunk, abi::fakeQuantizeChunk) {
    Type f32 = b.getF32Type();
    SmallVector<Type> arguments(isGradient ? 2 : 1, b.floatPointer(dataType));
    arguments.append({b.pointer(f32), b.pointer(f32), b.floatPointer(dataType)});
    if (isGradient)
      arguments.push_back(b.pointer(f32));
    arguments.push_back(b.getI64Type());
    func::FuncOp func = rows.begin(name, arguments);
    unsigned next = 0;
    if (isGradient)
      gradient = func.getArgument(next++);
    input = func.getArgument(next++);
    scales = func.getArgument(next++);
    zeros = func.getArgument(next++);
    output = func.getArgument(next++);
    if (isGradient)
      partials = func.getArgument(next++);
    columns = func.getArgument(next++);
  }

  void write() {
    constexpr int64_t chunk = abi::fakeQuantizeChunk;
    auto narrow = [&](Value wide) -> Value { return arith::TruncIOp::create(b, b.getI32Type(), wide); };
    // The grid has no more than 2^31 blocks.
    Value task = b.block(gpu::Dimension::X);
    Value chunks = narrow(b.div(b.add(columns, chunk - 1), chunk));
    Value row = arith::DivUIOp::create(b, task, chunks);
    Value inRow = b.mul(b.wide(b.sub(task, b.mul(row, chunks))), chunk);
    Value length = narrow(b.min(b.sub(columns, inRow), b.i64(chunk)));
    start = b.add(b.mul(b.wide(row), columns), inRow);
    loadRow(row);
    rows.forEachGroup([&](RowGroup group) {
      group.last = length;
      SmallVector<Value> neutral;
      if (isGradient)
        neutral.push_back(b.f32(0.0f));
      SmallVector<Value> sums = rows.fold(
          group, neutral, [&](Value column) { return writeElement(b.add(start, b.wide(column))); },
          [&](size_t, Value l, Value r) { return b.addF(l, r); });
      if (isGradient)
        rows.once([&] { b.store(sums[0], partials, task); });
    });
  }

private:
  void loadRow(Value row) {
    Value given = b.load(scales, row), least = b.f32(minNormal(ElementType::F32));
    // NaN stays.
    scale = b.select(b.compareF(arith::CmpFPredicate::OLT, given, least), least, given);
    if (hasZero)
      zero = b.load(zeros, row);
  }

  /// Stores the result for an element; gives what it adds to the gradient of the scale, where that is wanted.
  SmallVector<Value> writeElement(Value at) {
    Value x = b.loadFloat(dataType, input, at), none = b.f32(0.0f);
    Value low = b.f32(static_cast<float>(format.leastValue())),
          high = b.f32(static_cast<float>(format.greatestValue()));
    Value exact = b.divF(x, scale);
    if (zero)
      exact = b.addF(exact, zero);
    Value isBelow = b.compareF(arith::CmpFPredicate::OLT, exact, low),
          isAbove = b.compareF(arith::CmpFPredicate::OGT, exact, high);
    Value rounded;
    if (format.kind == Format::Kind::Sign) {
      Value positive = b.select(b.compareF(arith::CmpFPredicate::OGE, x, none), high, x);
      rounded = b.select(b.compareF(arith::CmpFPredicate::OLT, x, none), low, positive);
    } else {
      rounded = b.roundEven(b.select(isBelow, low, b.select(isAbove, high, exact)));
    }
    if (!isGradient) {
      b.storeFloat(dataType, b.mulF(scale, zero ? b.subF(rounded, zero) : rounded), output, at);
      return {};
    }
    Value outer = b.loadFloat(dataType, gradient, at);
    auto whereInside = [&](Value inside, Value outside) {
      return b.select(isBelow, outside, b.select(isAbove, outside, inside));
    };
    b.storeFloat(dataType, whereInside(outer, none), output, at);
    return {b.mulF(outer, b.subF(rounded, whereInside(exact, zero ? zero : none)))};
  }

  GpuBuilder &b;
  Type dataType;
  Format format;
  bool hasZero, isGradient;
  RowKernel rows;
  Value gradient, input, scales, zeros, output, partials, columns;
  Value start;       ///< The first element of the chunk.
  Value scale, zero; ///< Of its row; no zero where there is none.
};

struct GpuLowerFakeQuantize : bq::impl::GpuLowerFakeQuantizeBase<GpuLowerFakeQuantize> {
  void runOnOperation() override {
    auto write = [](GpuBuilder &b, auto op, StringRef name) { FakeQuantizeChunks(b, op, name).write(); };
    if (failed(lowerToOneFunction<FakeQuantizeOp, GpuBuilder>(getOperation(), write)) ||
        failed(lowerToOneFunction<FakeQuantizeGradOp, GpuBuilder>(getOperation(), write)))
      signalPassFailure();
  }
};

} // namespace
