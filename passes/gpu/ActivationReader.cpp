// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of x or patches of images, eight columns at a time: by wide loads or copies where they are aligned, else one by
// one.
#include "passes/gpu/FragmentPlan.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

ActivationReader::ActivationReader(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers)
    : b(b), plan(plan), buffers(buffers), patches(b, plan, buffers) {
  if (plan.staticBits)
    staticScale = b.load(buffers.activationScale, b.i32(0));
  const FragmentLayout &layout = plan.layout;
  if (plan.permuted || layout.segmentCodes % 8 || layout.groupSize % 8)
    return;
  if (plan.hasPatches()) {
    if (plan.channels() % 8 == 0)
      isAligned = patches.isAligned();
    return;
  }
  const int64_t elementBytes = plan.dataType.getIntOrFloatBitWidth() / 8;
  Value address = gpu::AddressOp::create(b, buffers.x);
  Value bits = b.bitAnd(b.bitOr(address, b.mul(buffers.xStride, elementBytes)), 15);
  isAligned = b.equal(bits, b.i64(0));
}

ActivationReader::Row ActivationReader::rowOf(Value row) {
  if (plan.hasPatches())
    return {Value(), patches.patchOf(row)};
  return {b.mul(b.wide(row), buffers.xStride), {}};
}

SmallVector<Value> ActivationReader::read(const Row &row, Value column) {
  const ColumnPiece piece = locateColumns(b, plan.layout, column);
  if (!isAligned)
    return readEach(row, piece);
  if (plan.hasPatches()) {
    auto channels = [&] { return readChannels(row, piece.begin); };
    // Segments and channels are eights: a piece is padding as a whole or not at all.
    return piece.end ? b.chooseAll(b.lessThan(piece.begin, piece.end), channels,
                                   [&] { return SmallVector<Value>(8, b.f32(0.0f)); })
                     : channels();
  }
  Value isWhole = isAligned;
  if (piece.end)
    isWhole = b.both(isWhole, b.lessThan(b.add(piece.begin, 7), piece.end));
  Value at = b.add(row.first, b.wide(piece.begin));
  return b.chooseAll(isWhole, [&] { return loadAligned(at, piece.begin); }, [&] { return readFours(row, piece); });
}

/// Channels of one pixel of a patch.
SmallVector<Value> ActivationReader::readChannels(const Row &row, Value column) {
  const PatchReader::Place place = patches.locate(row.patch, column);
  auto each = [&] {
    SmallVector<Value> values;
    for (int64_t i = 0; i < 8; ++i)
      values.push_back(convert(b.loadFloat(plan.dataType, buffers.x, b.add(place.at, i)), b.add(column, i)));
    return values;
  };
  return b.chooseAll(
      place.isInside, [&] { return b.chooseAll(isAligned, [&] { return loadAligned(place.at, column); }, each); },
      [&] { return SmallVector<Value>(8, patches.padding()); });
}

SmallVector<Value> ActivationReader::readEach(const Row &row, const ColumnPiece &piece) {
  // Where an element of a patch is takes more code than reading it: one after the other, each appended to the last.
  if (plan.hasPatches())
    return b.loop(b.i32(0), b.i32(8), b.i32(1), SmallVector<Value>(8, b.f32(0.0f)), [&](Value i, ValueRange carried) {
      SmallVector<Value> next(carried.drop_front());
      next.push_back(readOne(row, piece, i));
      return next;
    });
  SmallVector<Value> values;
  for (int64_t i = 0; i < 8; ++i)
    values.push_back(readOne(row, piece, b.i32(i)));
  return values;
}

/// The same in two turns of four, for what is mostly read at once: less to compile.
SmallVector<Value> ActivationReader::readFours(const Row &row, const ColumnPiece &piece) {
  return b.loop(b.i32(0), b.i32(8), b.i32(4), SmallVector<Value>(8, b.f32(0.0f)), [&](Value first, ValueRange carried) {
    SmallVector<Value> next(carried.drop_front(4));
    for (int64_t i = 0; i < 4; ++i)
      next.push_back(readOne(row, piece, b.add(first, i)));
    return next;
  });
}

/// Column `number` of the eight. In place of padding the last before it is read, so that nothing branches.
Value ActivationReader::readOne(const Row &row, const ColumnPiece &piece, Value number) {
  Value column = b.add(piece.begin, number);
  if (!piece.end)
    return readOne(row, column);
  Value value = readOne(row, b.min(column, b.sub(piece.end, 1)));
  return b.select(b.lessThan(column, piece.end), value, b.f32(0.0f));
}

/// From element `at` of x on, aligned.
SmallVector<Value> ActivationReader::loadAligned(Value at, Value column) {
  SmallVector<Value> values;
  if (plan.dataType.isF32()) {
    for (int64_t half = 0; half < 2; ++half) {
      Value four = b.load(b.vec(b.getF32Type(), 4), buffers.x, b.add(at, 4 * half));
      for (int64_t i = 0; i < 4; ++i)
        values.push_back(b.element(four, i));
    }
  } else {
    const gpu::Half half = plan.dataType.isF16() ? gpu::Half::F16 : gpu::Half::BF16;
    Value eight = b.load(b.vec(b.getI32Type(), 4), buffers.x, at);
    for (int64_t i = 0; i < 8; ++i)
      values.push_back(gpu::ExtendOp::create(b, half, b.shiftRight(b.element(eight, i / 2), i % 2 * 16)));
  }
  for (auto [i, value] : llvm::enumerate(values))
    value = convert(value, b.add(column, i));
  return values;
}

Value ActivationReader::readOne(const Row &row, Value column) {
  Value source = plan.permuted ? b.load(buffers.permutation, column) : column;
  if (!plan.hasPatches())
    return convert(b.loadFloat(plan.dataType, buffers.x, b.add(row.first, b.wide(source))), column);
  const PatchReader::Place place = patches.locate(row.patch, source);
  Value value = convert(b.loadFloat(plan.dataType, buffers.x, place.at), column);
  return b.select(place.isInside, value, patches.padding());
}

Value ActivationReader::convert(Value value, Value column) {
  if (plan.format.hasColumnScale())
    return b.mulF(value, b.load(buffers.columnScale, column));
  if (!plan.staticBits)
    return value;
  // Comparisons with NaN are false, and so let it through.
  using Predicate = arith::CmpFPredicate;
  if (plan.staticBits == 1) {
    Value positive = b.select(b.compareF(Predicate::OGE, value, b.f32(0.0f)), b.f32(1.0f), value);
    return b.select(b.compareF(Predicate::OLT, value, b.f32(0.0f)), b.f32(-1.0f), positive);
  }
  const auto least = static_cast<float>(-(int64_t(1) << (plan.staticBits - 1))), greatest = -least - 1;
  Value q = b.divF(value, staticScale);
  q = b.select(b.compareF(Predicate::OLT, q, b.f32(least)), b.f32(least), q);
  return b.select(b.compareF(Predicate::OGT, q, b.f32(greatest)), b.f32(greatest), q);
}

bool ActivationReader::isCopied() const {
  return isAligned && plan.form == FragmentPlan::Form::BF16 && plan.dataType.isBF16() &&
         !plan.format.hasColumnScale() && !plan.hasPatches();
}

void ActivationReader::copy(const Row &row, Value column, Value memory, Value to,
                            function_ref<void(ArrayRef<Value>)> store) {
  const ColumnPiece piece = locateColumns(b, plan.layout, column);
  b.when(
      isAligned,
      [&] {
        Value valid = b.i32(16);
        if (piece.end)
          valid = b.mul(b.max(b.min(b.sub(piece.end, piece.begin), b.i32(8)), b.i32(0)), 2);
        Value from = b.add(row.first, b.wide(piece.begin));
        gpu::CopyAsyncOp::create(b, buffers.x, from, memory, to, valid);
      },
      [&] { store(readEach(row, piece)); });
}
