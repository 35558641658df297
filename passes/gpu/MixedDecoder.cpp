// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/MixedDecoder.h"

#include "dialect/core/MixedIndex.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

MixedDecoder::MixedDecoder(GpuBuilder &b, const Format &format, int64_t k, const Memory &memory)
    : b(b), format(format), k(k), memory(memory) {
  constexpr int64_t widths = abi::MixedIndex::widths;
  begins = b.shared(b.getI64Type(), widths);
  scales = b.shared(b.getF32Type(), widths);
  least = b.load(memory.scales, b.i32(0));
  firstRow = arith::TruncIOp::create(b, b.getI32Type(), b.load(memory.index, b.i32(0)));
  Value thread = b.thread();
  b.when(b.lessThan(thread, b.i32(widths)), [&] {
    b.store(b.load(memory.index, thread), begins, thread);
    // A code is 2^-23 of what decode() makes of it. The entry for no bits is not used.
    Value range = b.mulF(b.subF(b.load(memory.scales, b.i32(1)), least), b.f32(0x1p23f));
    b.store(b.divF(range, b.toFloat(mask(thread))), scales, thread);
  });
  b.barrier();
}

Value MixedDecoder::shiftLeft(Value l, Value bits) { return arith::ShLIOp::create(b, l, bits); }

Value MixedDecoder::window(Value low, Value high, Value shift) {
  auto wide = [&](Value word) -> Value { return arith::ExtUIOp::create(b, b.getI64Type(), word); };
  Value words = b.bitOr(wide(low), b.shiftLeft(wide(high), 32));
  return arith::TruncIOp::create(b, b.getI32Type(), b.shiftRight(words, wide(shift)));
}

Value MixedDecoder::weightOf(Value bits, Value mask, Value scale) {
  // As the last bits of 1 a code needs no conversion, of which a GPU does few at a time.
  Value above1 = b.bitOr(arith::AndIOp::create(b, bits, mask), 0x3f800000);
  return b.fma(b.subF(b.asFloat(above1), b.f32(1.0f)), scale, least);
}

//===----------------------------------------------------------------------===//
// Whole pieces
//===----------------------------------------------------------------------===//

Value MixedDecoder::loadPlace(Value number) {
  Value group = format.group ? b.div(number, format.group / 8) : b.i32(0);
  return b.load(memory.places, group);
}

SmallVector<Value> MixedDecoder::loadCodes(Value number, Value place) {
  Value width = widthOf(place);
  // Among the pieces of this width.
  if (format.group)
    number = b.add(b.mul(b.shiftRight(place, 4), format.group / 8), b.rem(number, format.group / 8));
  Value byte = b.add(b.load(begins, width), b.mul(b.wide(number), b.wide(width)));
  Value word = b.shiftRight(byte, 2);
  auto load = [&](int64_t i) { return b.load(memory.codes, b.add(word, i)); };
  SmallVector<Value> codes = {load(0), load(1), load(2)};
  codes.append(b.chooseAll(
      b.lessThan(b.i32(8), width), [&] { return SmallVector<Value>{load(3), load(4)}; },
      [&] { return SmallVector<Value>(2, b.i32(0)); }));
  codes.push_back(b.shiftLeft(b.bitAnd(arith::TruncIOp::create(b, b.getI32Type(), byte), 3), 3));
  codes.push_back(width);
  return codes;
}

MixedDecoder::Piece MixedDecoder::align(ValueRange codes) {
  Piece piece{{}, codes[6]};
  for (int64_t i = 0; i < 4; ++i)
    piece.words.push_back(window(codes[i], codes[i + 1], codes[5]));
  return piece;
}

SmallVector<Value> MixedDecoder::decode(const Piece &piece) {
  const auto &[words, width] = piece;
  // The fifth code begins at bit 4 * width, up to 60.
  Value isLong = b.lessThan(b.i32(8), width), half = b.shiftLeft(width, 2);
  Value skipped = b.select(isLong, b.sub(half, 32), half);
  SmallVector<Value> upper;
  for (int64_t i = 0; i < 3; ++i)
    upper.push_back(b.select(isLong, words[i + 1], words[i]));
  Value halves[2][2] = {{words[0], words[1]},
                        {window(upper[0], upper[1], skipped), window(upper[1], upper[2], skipped)}};

  Value ones = mask(width), scale = b.load(scales, width);
  SmallVector<Value> weights;
  for (auto &[low, high] : halves)
    for (int64_t i = 0; i < 4; ++i)
      weights.push_back(weightOf(i ? window(low, high, b.mul(width, i)) : low, ones, scale));
  return weights;
}

//===----------------------------------------------------------------------===//
// Code by code
//===----------------------------------------------------------------------===//

SmallVector<Value> MixedDecoder::decodeEach(Value row, Value piece) {
  Value rowBegin = b.mul(b.wide(row), k), first = b.mul(piece, 8);
  return b.loop(b.i32(0), b.i32(8), b.i32(1), SmallVector<Value>(8, b.f32(0.0f)), [&](Value i, ValueRange carried) {
    Value inRow = b.min(b.add(first, i), b.i32(k - 1)), element = b.add(rowBegin, b.wide(inRow));
    Value group = format.group ? b.div(element, format.group) : b.i64(0);
    Value place = b.load(memory.places, group), width = widthOf(place);
    Value number = element;
    if (format.group)
      number = b.add(b.mul(b.wide(b.shiftRight(place, 4)), format.group), b.sub(element, b.mul(group, format.group)));
    Value bit = b.add(b.shiftLeft(b.load(begins, width), 3), b.mul(number, b.wide(width)));
    Value word = b.shiftRight(bit, 5), shift = arith::TruncIOp::create(b, b.getI32Type(), b.bitAnd(bit, 31));
    Value bits = window(b.load(memory.codes, word), b.load(memory.codes, b.add(word, 1)), shift);
    SmallVector<Value> next(carried.drop_front());
    next.push_back(weightOf(bits, mask(width), b.load(scales, width)));
    return next;
  });
}
