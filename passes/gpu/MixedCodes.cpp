// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/MixedCodes.h"

#include "dialect/core/CudaMixedAbi.h"
#include "passes/gpu/RowKernel.h"

using namespace mlir;
using namespace bq;

static_assert(cuda::mixedRow == RowRound::columns, "a block of threads does a row in one round");

namespace {

/// Eight codes of up to fifteen bits in two words of 64 bits, the first of them lowest, and how this thread finds them.
/// All groups of a launch have one width, which no branch depends on.
class MixedPiece {
public:
  MixedPiece(GpuBuilder &b, int64_t group, Value order, Value bits, Value begin, Value firstGroup, Value count)
      : b(b), group(group), order(order), bits(bits), wideBits(b.wide(bits)), begin(begin), firstGroup(firstGroup),
        count(count) {}

  /// body() where there is a code for this thread.
  void whenThere(function_ref<void()> body) {
    first =
        b.add(b.mul(b.wide(b.block(gpu::Dimension::X)), cuda::mixedRow), b.mul(b.wide(b.thread()), RowPiece::columns));
    b.when(b.lessThan(first, count), [&] {
      codes = narrow(b.min(b.sub(count, first), b.i64(RowPiece::columns)));
      bytes = b.shiftRight(b.add(b.mul(codes, bits), 7), 3);
      place = b.add(begin, b.mul(b.shiftRight(first, 3), wideBits));
      body();
    });
  }

  /// The element of the weight that code i is of; i64.
  Value elementOf(Value i) {
    Value code = b.add(first, b.wide(i));
    if (!group)
      return code;
    Value slot = b.div(code, group);
    Value number = b.load(order, b.add(firstGroup, slot));
    return b.add(b.mul(b.wide(number), b.i64(group)), b.sub(code, b.mul(slot, b.i64(group))));
  }

  /// The greatest level.
  Value greatest() { return b.sub(arith::ShLIOp::create(b, b.i32(1), bits), 1); }
  /// 1 / greatest()
  Value step() { return b.divF(b.f32(1.0f), b.toFloat(greatest())); }

  void store(Value stream, function_ref<Value(Value i)> levelOf) {
    // From the last code to the first, so that each goes in at the low end.
    Value none = b.i64(0), spare = b.sub(b.i64(64), wideBits);
    SmallVector<Value> words = b.loop(b.i32(0), codes, b.i32(1), {none, none}, [&](Value i, ValueRange held) {
      Value level = levelOf(b.sub(b.sub(codes, 1), i));
      Value low = b.bitOr(left(held[0], wideBits), b.wide(level));
      Value high = b.bitOr(left(held[1], wideBits), b.shiftRight(held[0], spare));
      return SmallVector<Value>{low, high};
    });
    b.loop(b.i32(0), bytes, b.i32(1), words, [&](Value i, ValueRange held) {
      b.store(narrow(held[0]), stream, b.add(place, b.wide(i)));
      Value low = b.bitOr(b.shiftRight(held[0], 8), b.shiftLeft(held[1], 56));
      return SmallVector<Value>{low, b.shiftRight(held[1], 8)};
    });
  }

private:
  Value narrow(Value wide) { return arith::TruncIOp::create(b, b.getI32Type(), wide); }
  Value left(Value word, Value by) { return arith::ShLIOp::create(b, word, by); }

  GpuBuilder &b;
  int64_t group;
  Value order, bits, wideBits, begin, firstGroup, count;
  Value first, codes, bytes, place; ///< Of this thread: i64, i32, i32, and the byte of the stream, i64.
};

} // namespace

void bq::writeMixedLevels(GpuBuilder &b, Type dataType, int64_t group, StringRef name) {
  RowKernel rows(b, cuda::mixedRow, cuda::mixedRow);
  Type f32 = b.getF32Type(), i32 = b.getI32Type(), i64 = b.getI64Type();
  func::FuncOp func = rows.begin(
      name, {b.floatPointer(dataType), b.pointer(i32), b.pointer(b.getI8Type()), f32, f32, i32, i64, i64, i64});
  auto argument = [&](unsigned i) { return func.getArgument(i); };
  Value least = argument(3), range = b.subF(argument(4), least), none = b.f32(0.0f);
  MixedPiece piece(b, group, argument(1), argument(5), argument(6), argument(7), argument(8));
  piece.whenThere([&] {
    Value step = piece.step(), most = b.toFloat(piece.greatest());
    Value hasRange = b.compareF(arith::CmpFPredicate::OGT, range, none);
    piece.store(argument(2), [&](Value i) {
      Value x = b.loadFloat(dataType, argument(0), piece.elementOf(i));
      Value level = b.minF(b.roundEven(b.divF(b.divF(b.subF(x, least), range), step)), most);
      return b.toInt(b.select(hasRange, level, none));
    });
  });
}

void bq::writeMixedValues(GpuBuilder &b, int64_t group, StringRef name) {
  RowKernel rows(b, cuda::mixedRow, cuda::mixedRow);
  Type f32 = b.getF32Type(), i32 = b.getI32Type(), i64 = b.getI64Type();
  func::FuncOp func = rows.begin(name, {b.pointer(b.getI8Type()), b.pointer(f32), b.pointer(i32), b.pointer(i64),
                                        b.pointer(f32), i64, i64, i64, i64});
  auto argument = [&](unsigned i) { return func.getArgument(i); };
  Value codes = argument(0), places = argument(2), begins = argument(3), y = argument(4), firstElement = argument(5),
        elements = argument(6), k = argument(7), taps = argument(8);
  auto quotient = [&](Value l, Value r) -> Value { return arith::DivUIOp::create(b, l, r); };
  auto remainder = [&](Value l, Value r) -> Value { return arith::RemUIOp::create(b, l, r); };
  auto narrow = [&](Value wide) -> Value { return arith::TruncIOp::create(b, i32, wide); };
  Value least = b.load(argument(1), b.i32(0)), range = b.subF(b.load(argument(1), b.i32(1)), least);
  Value first = b.add(b.mul(b.wide(b.block(gpu::Dimension::X)), cuda::mixedRow), b.wide(b.thread()));
  // Threads beside each other have elements beside each other.
  b.loop(b.i32(0), b.i32(cuda::mixedRow), b.i32(cuda::mixedRow / RowPiece::columns), [&](Value step) {
    Value number = b.add(first, b.wide(step)), element = b.add(firstElement, number);
    b.when(b.lessThan(number, elements), [&] {
      Value inGroups = group ? b.div(element, group) : b.i64(0), place = b.load(places, inGroups);
      Value width = b.bitAnd(place, 15), code = element;
      if (group)
        code = b.add(b.mul(b.wide(b.shiftRight(place, 4)), group), b.sub(element, b.mul(inGroups, group)));
      Value bit = b.add(b.shiftLeft(b.load(begins, width), 3), b.mul(code, b.wide(width)));
      // Up to three bytes, none behind the code's last.
      Value byte = b.shiftRight(bit, 3), last = b.shiftRight(b.add(bit, b.wide(b.sub(width, 1))), 3);
      Value word = b.load(codes, byte);
      for (int64_t i : {1, 2})
        word = b.bitOr(word, b.shiftLeft(b.load(codes, b.min(b.add(byte, i), last)), 8 * i));
      Value greatest = b.sub(arith::ShLIOp::create(b, b.i32(1), width), 1);
      Value level = arith::AndIOp::create(b, b.shiftRight(word, narrow(b.bitAnd(bit, 7))), greatest);
      Value unit = b.mulF(b.toFloat(level), b.divF(b.f32(1.0f), b.toFloat(greatest)));
      Value at = b.choose(
          b.equal(taps, b.i64(1)), [&] { return number; },
          [&] {
            Value row = quotient(number, k), inRow = b.sub(number, b.mul(row, k));
            Value column = b.add(b.mul(remainder(inRow, taps), quotient(k, taps)), quotient(inRow, taps));
            return b.add(b.mul(row, k), column);
          });
      b.store(b.addF(b.mulF(unit, range), least), y, at);
    });
  });
}
