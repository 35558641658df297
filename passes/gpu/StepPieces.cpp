// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/StepPieces.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

static constexpr int64_t columns = StepPiece::columns;

StepPiece::StepPiece(GpuBuilder &b, const RowRound &round, Value last, int64_t rowColumns)
    : row(round.row), last(last) {
  Value inRound = b.mul(b.thread(), columns);
  first = b.add(round.first, inRound);
  inBlock = b.add(round.inBlock, inRound);
  at = b.add(b.mul(b.wide(row), rowColumns), b.wide(first));
  isWhole = b.lessThan(b.add(first, columns - 1), last);
}

static int64_t bytesOf(Value pointer) {
  return cast<gpu::PtrType>(pointer.getType()).getElement().getIntOrFloatBitWidth() / 8;
}

Value StepMemory::canBeVector(Value pointer, const StepPiece &piece) {
  const int64_t bytes = bytesOf(pointer);
  Value address = b.add(gpu::AddressOp::create(b, pointer), b.mul(piece.at, bytes));
  Value over = b.bitAnd(address, std::min<int64_t>(16, bytes * columns) - 1);
  return b.both(piece.isWhole, b.equal(over, b.i64(0)));
}

/// As load() of GpuBuilder gives them.
StepMemory::Values StepMemory::load(Value pointer, const StepPiece &piece) {
  Type element = cast<gpu::PtrType>(pointer.getType()).getElement(), i32 = b.getI32Type();
  const int64_t bytes = bytesOf(pointer);
  auto whole = [&] {
    Values values;
    if (bytes == 4) {
      for (int64_t half = 0; half < 2; ++half) {
        Value four = b.load(b.vec(element, 4), pointer, b.add(piece.at, 4 * half));
        for (int64_t i = 0; i < 4; ++i)
          values.push_back(b.element(four, i));
      }
      return values;
    }
    Value words = b.load(b.vec(i32, 2 * bytes), pointer, piece.at);
    const int64_t perWord = 4 / bytes, bits = 8 * bytes;
    for (int64_t i = 0; i < columns; ++i) {
      Value shifted = b.shiftRight(b.element(words, i / perWord), i % perWord * bits);
      values.push_back(i % perWord == perWord - 1 ? shifted : b.bitAnd(shifted, (1 << bits) - 1));
    }
    return values;
  };
  auto oneByOne = [&] {
    Values values;
    // In place of an element that is not there the row's last is read, so that nothing branches.
    Value most = b.sub(b.sub(piece.last, piece.first), 1), none = element.isF32() ? b.f32(0.0f) : b.i32(0);
    for (int64_t i = 0; i < columns; ++i) {
      Value value = b.load(pointer, b.add(piece.at, b.wide(b.min(b.i32(i), most))));
      values.push_back(b.select(piece.isThere(b, i), value, none));
    }
    return values;
  };
  return b.chooseAll(canBeVector(pointer, piece), whole, oneByOne);
}

void StepMemory::store(ValueRange values, Value pointer, const StepPiece &piece) {
  const int64_t bytes = bytesOf(pointer);
  auto whole = [&] {
    if (bytes == 4) {
      for (int64_t half = 0; half < 2; ++half)
        b.store(b.pack(values.slice(4 * half, 4)), pointer, b.add(piece.at, 4 * half));
      return;
    }
    const int64_t perWord = 4 / bytes, bits = 8 * bytes;
    Values words;
    for (int64_t i = 0; i < columns; ++i) {
      Value low = i % perWord == perWord - 1 ? values[i] : b.bitAnd(values[i], (1 << bits) - 1);
      Value placed = b.shiftLeft(low, i % perWord * bits);
      if (i % perWord == 0)
        words.push_back(placed);
      else
        words.back() = b.bitOr(words.back(), placed);
    }
    b.store(b.pack(words), pointer, piece.at);
  };
  auto oneByOne = [&] {
    for (int64_t i = 0; i < columns; ++i)
      b.when(piece.isThere(b, i), [&] { b.store(values[i], pointer, b.add(piece.at, i)); });
  };
  b.when(canBeVector(pointer, piece), whole, oneByOne);
}

StepMemory::Values StepMemory::loadFloats(Type element, Value pointer, const StepPiece &piece) {
  Values values = load(pointer, piece);
  if (!element.isF32())
    for (Value &value : values)
      value = gpu::ExtendOp::create(b, element.isF16() ? gpu::Half::F16 : gpu::Half::BF16, value);
  return values;
}

void StepMemory::storeFloats(Type element, ValueRange values, Value pointer, const StepPiece &piece) {
  if (element.isF32())
    return store(values, pointer, piece);
  Values bits;
  for (Value value : values)
    bits.push_back(gpu::RoundOp::create(b, element.isF16() ? gpu::Half::F16 : gpu::Half::BF16, value));
  store(bits, pointer, piece);
}

StepMemory::Values StepMemory::loadBytes(Value pointer, const StepPiece &piece, bool isSigned) {
  Values values = load(pointer, piece);
  if (isSigned)
    for (Value &value : values)
      value = b.shiftRightSigned(b.shiftLeft(value, 24), 24);
  return values;
}

void StepMemory::storeBits(ValueRange values, Value pointer, const StepPiece &piece) { store(values, pointer, piece); }
