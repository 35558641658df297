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

/// The elements of a piece lie in these words: 32-bit ones as they are, others four or two in an i32.
static int64_t wordsOf(Value pointer) { return bytesOf(pointer) * columns / 4; }

/// As load() of GpuBuilder gives them.
StepMemory::Values StepMemory::load(Value pointer, const StepPiece &piece) {
  Type element = cast<gpu::PtrType>(pointer.getType()).getElement();
  const int64_t bytes = bytesOf(pointer), words = wordsOf(pointer), perWord = 4 / bytes, bits = 8 * bytes;
  auto vectors = [&] {
    Values loaded;
    const int64_t count = std::min<int64_t>(words, 4);
    for (int64_t first = 0; first < words; first += count) {
      Value vector = b.load(b.vec(bytes == 4 ? element : b.getI32Type(), count), pointer, b.add(piece.at, first));
      for (int64_t i = 0; i < count; ++i)
        loaded.push_back(b.element(vector, i));
    }
    return loaded;
  };
  Values loaded = b.chooseAll(canBeVector(pointer, piece), vectors, [&] { return loadHalves(pointer, piece); });
  if (bytes == 4)
    return loaded;
  Values values;
  for (int64_t i = 0; i < columns; ++i) {
    Value shifted = b.shiftRight(loaded[i / perWord], i % perWord * bits);
    values.push_back(i % perWord == perWord - 1 ? shifted : b.bitAnd(shifted, (1 << bits) - 1));
  }
  return values;
}

/// One by one, four at a time in a loop: what a kernel's body holds decides how long it takes to compile.
StepMemory::Values StepMemory::loadHalves(Value pointer, const StepPiece &piece) {
  constexpr int64_t half = columns / 2;
  const int64_t bytes = bytesOf(pointer), words = wordsOf(pointer), perWord = 4 / bytes;
  Value zero = cast<gpu::PtrType>(pointer.getType()).getElement().isF32() ? b.f32(0.0f) : b.i32(0);
  // In place of an element that is not there the row's last is read, so that nothing branches.
  Value most = b.sub(b.sub(piece.last, piece.first), 1);
  return b.loop(b.i32(0), b.i32(columns), b.i32(half), Values(words, zero), [&](Value first, ValueRange carried) {
    // The words of the first half come to the front when those of the second are appended.
    Values next(carried.drop_front(words / 2));
    for (int64_t i = 0; i < half; ++i) {
      Value number = b.add(first, i);
      Value value = b.load(pointer, b.add(piece.at, b.wide(b.min(number, most))));
      value = b.select(b.lessThan(most, number), zero, value);
      if (i % perWord)
        next.back() = b.bitOr(next.back(), b.shiftLeft(value, i % perWord * 8 * bytes));
      else
        next.push_back(value);
    }
    return next;
  });
}

void StepMemory::store(ValueRange values, Value pointer, const StepPiece &piece) {
  const int64_t bytes = bytesOf(pointer), words = wordsOf(pointer), perWord = 4 / bytes, bits = 8 * bytes;
  Values packed;
  for (int64_t i = 0; i < columns; ++i) {
    Value low = i % perWord == perWord - 1 ? values[i] : b.bitAnd(values[i], (1 << bits) - 1);
    if (i % perWord)
      packed.back() = b.bitOr(packed.back(), b.shiftLeft(low, i % perWord * bits));
    else
      packed.push_back(low);
  }
  auto vectors = [&] {
    const int64_t count = std::min<int64_t>(words, 4);
    for (int64_t first = 0; first < words; first += count)
      b.store(b.pack(ValueRange(packed).slice(first, count)), pointer, b.add(piece.at, first));
  };
  auto oneByOne = [&] {
    Value count = b.min(b.sub(piece.last, piece.first), b.i32(columns));
    b.loop(b.i32(0), count, b.i32(1), packed, [&](Value i, ValueRange carried) {
      b.store(carried[0], pointer, b.add(piece.at, b.wide(i)));
      // The next element comes to the front.
      Values next(carried.drop_front());
      next.push_back(carried[0]);
      if (bytes == 4)
        return next;
      next.clear();
      for (int64_t word = 0; word < words; ++word) {
        Value above = b.shiftRight(carried[word], bits);
        next.push_back(word + 1 < words ? b.bitOr(above, b.shiftLeft(carried[word + 1], 32 - bits)) : above);
      }
      return next;
    });
  };
  b.when(canBeVector(pointer, piece), vectors, oneByOne);
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
