// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedDecoder.h"

#include <numeric>

using namespace mlir;
using namespace bq;

namespace {

/// One in every byte of a quad, and 0 to 7 in its bytes.
constexpr int64_t everyByte = 0x0101010101010101, byteNumbers = 0x0706050403020100;

/// A float of 1 to 2 has a last byte of 0x3f, an upper bit of one in the byte before, and a mantissa behind it.
constexpr int64_t floatPlace = 2;

/// Whether so many codes in a row, of up to `most` bits, lie in `bytes` bytes wherever the quad that they belong to
/// makes them begin.
bool fit(int64_t codes, int64_t most, int64_t bytes) {
  for (int64_t width = 1; width <= most; ++width)
    for (int64_t quad = 0; quad < 8; ++quad)
      if (quad * codes * width % 8 + codes * width > 8 * bytes)
        return false;
  return true;
}

/// The quad that has these bytes.
template <typename Byte>
int64_t quadOf(Byte byte) {
  uint64_t quad = 0;
  for (int64_t i = 0; i < 8; ++i)
    quad |= static_cast<uint64_t>(byte(i) & 0xff) << 8 * i;
  return static_cast<int64_t>(quad);
}

} // namespace

Value MixedDecoder::i64(int64_t value) { return arith::ConstantIntOp::create(b, b.getI64Type(), value); }

Value MixedDecoder::load(Value at, int64_t count) {
  Value some = b.load(b.vec(b.getI8Type(), count), codes, at);
  if (count == 64)
    return some;
  SmallVector<int64_t> order(64, vector::ShuffleOp::kPoisonIndex);
  std::iota(order.begin(), order.begin() + count, 0);
  return vector::ShuffleOp::create(b, some, some, order);
}

Value MixedDecoder::permute(Value data, Value order) {
  return writeIntrinsic(b, "llvm.x86.avx512.permvar.qi.512", data.getType(), {data, order});
}

Value MixedDecoder::compress(Value values, Value mask) {
  Value none = b.zero(cast<VectorType>(values.getType()));
  return writeIntrinsic(b, "llvm.x86.avx512.mask.compress", values.getType(), {values, none, mask});
}

MixedDecoder::Lanes::Lanes(Type element, int64_t most, bool isDeinterleaved)
    : element(element), bits(element.getIntOrFloatBitWidth()), stride(isDeinterleaved ? 2 : 1),
      codes(64 / bits * stride), vectors(bits / 8), runs(vectors / stride), slots(runs),
      isFloat(isa<FloatType>(element)), areSpread(isDeinterleaved && most < 8) {
  while (!fit(codes, most, 8 / slots))
    slots /= 2;
}

MixedDecoder::Narrow MixedDecoder::narrow(Value width, int64_t most, Type element, bool isDeinterleaved) {
  const Lanes lanes(element, most, isDeinterleaved);
  // Where the first code of a quad begins; its byte and its bit are in both bytes of a word.
  SmallVector<int16_t> numbers;
  for (int64_t word = 0; word < 32; ++word)
    numbers.push_back(static_cast<int16_t>(word / 4 * lanes.codes));
  Value begins = b.mulI(arith::ConstantOp::create(b, DenseElementsAttr::get(b.words(), ArrayRef<int16_t>(numbers))),
                        b.broadcast(b.words(), arith::TruncIOp::create(b, b.getI16Type(), width)));
  auto toBytes = [&](Value words) { return b.bitcast(quads(), b.mulI(words, b.splat(b.words(), 0x0101))); };

  Narrow narrow{lanes,
                ordersOf(lanes, width, toBytes(b.shiftRight(begins, 3))),
                shiftsOf(lanes, width, toBytes(b.bitAnd(begins, 7))),
                bytesOf(most),
                {},
                {},
                {}};
  const VectorType integers = lanes.areSpread ? b.bytes() : lanes.integers(b);
  Value ones = b.sub(arith::ShLIOp::create(b, i64(1), width), i64(1));
  if (lanes.isFloat)
    ones = arith::ShLIOp::create(b, ones, b.subI(i64(lanes.areSpread ? 7 : 23), width));
  narrow.mask = b.broadcast(integers, arith::TruncIOp::create(b, integers.getElementType(), ones));
  if (lanes.areSpread) {
    narrow.others = b.splat(integers, 0x80);
    // Where the mask has bits. A constant would be brought to a register of masks by every step.
    Value ofPlaces = b.bitAnd(b.bitcast(b.i32s(), narrow.mask), 0xff << 8 * floatPlace);
    narrow.places = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, b.bitcast(integers, ofPlaces), b.zero(integers));
  } else if (lanes.isFloat) {
    narrow.others = b.splat(integers, 0x3f800000);
  }
  return narrow;
}

SmallVector<Value> MixedDecoder::ordersOf(const Lanes &lanes, Value width, Value firstBytes) {
  const int64_t slotBytes = 8 / lanes.slots;
  Value inQuad = b.addI(b.mulI(width, i64(quadOf([&](int64_t i) { return i / slotBytes * lanes.codes; }))),
                        i64(quadOf([&](int64_t i) { return i % slotBytes; })));
  SmallVector<Value> orders;
  for (int64_t run = 0; run < lanes.runs; run += lanes.slots) {
    Value ofRun = b.mulI(width, i64(run * lanes.codes * everyByte));
    orders.push_back(b.bitcast(b.bytes(), b.addI(firstBytes, quadsOf(b.addI(inQuad, ofRun)))));
  }
  return orders;
}

SmallVector<Value> MixedDecoder::shiftsOf(const Lanes &lanes, Value width, Value firstBits) {
  // The last byte but one of a lane is the seven upper bits of a mantissa, the code's highest first: they begin at bit
  // width - 7 of the code, where bits of a quad are counted in circles. An eighth bit is in the byte before.
  Value mantissas = b.mulI(b.addI(width, i64(64 - 7)), i64(everyByte));
  SmallVector<Value> shifts;
  auto add = [&](function_ref<int64_t(int64_t byte)> code, function_ref<int64_t(int64_t byte)> bit) {
    Value begins = b.addI(b.mulI(width, i64(quadOf(code))), i64(quadOf(bit)));
    if (lanes.isFloat)
      begins = b.addI(begins, mantissas);
    shifts.push_back(b.bitcast(b.bytes(), b.addI(firstBits, quadsOf(begins))));
  };
  const int64_t slotBits = 64 / lanes.slots;
  if (lanes.areSpread) {
    add([&](int64_t i) { return i * 8 / lanes.bits * lanes.stride + i % lanes.stride; },
        [&](int64_t i) { return i % lanes.vectors / lanes.stride * slotBits; });
    return shifts;
  }
  for (int64_t slot = 0; slot < lanes.slots; ++slot)
    for (int64_t vector = 0; vector < lanes.stride; ++vector)
      add([&](int64_t i) { return i * 8 / lanes.bits * lanes.stride + vector; },
          [&](int64_t i) { return slot * slotBits + (lanes.isFloat && i % 4 < floatPlace ? 64 - 8 : 0); });
  return shifts;
}

SmallVector<Value> MixedDecoder::codesFrom(Value at, const Narrow &narrow) {
  Value some = load(at, narrow.loaded);
  if (narrow.lanes.areSpread) {
    Value bytes = b.extractBits(permute(some, narrow.orders[0]), narrow.shifts[0]);
    return spread(b.bitOr(arith::AndIOp::create(b, bytes, narrow.mask), narrow.others), narrow.places);
  }
  const VectorType integers = narrow.lanes.integers(b),
                   elements = b.vec(narrow.lanes.element, integers.getNumElements());
  SmallVector<Value> result;
  for (Value order : narrow.orders) {
    Value quads = permute(some, order);
    for (Value shifts : narrow.shifts) {
      Value code = arith::AndIOp::create(b, b.bitcast(integers, b.extractBits(quads, shifts)), narrow.mask);
      if (narrow.others)
        code = b.bitOr(code, narrow.others);
      result.push_back(b.bitcast(elements, code));
    }
  }
  return result;
}

SmallVector<Value> MixedDecoder::spread(Value mantissas, Value places) {
  // A shuffle that leaves the other bytes alone takes one instruction, as what lies in its place does. That comes last,
  // when the register may be overwritten.
  Value last = b.splat(b.i32s(), 0x3f000000);
  SmallVector<Value> result(4);
  for (int64_t byte : {0, 1, 3}) {
    SmallVector<int8_t> order;
    for (int64_t i = 0; i < 64; ++i)
      order.push_back(static_cast<int8_t>(i % 16 / 4 * 4 + byte));
    Value from = arith::ConstantOp::create(b, DenseElementsAttr::get(b.bytes(), ArrayRef<int8_t>(order)));
    Value moved = writeIntrinsic(b, "llvm.x86.avx512.pshuf.b.512", b.bytes(), {mantissas, from});
    result[byte] = b.bitcast(b.f32s(), b.select(places, moved, b.bitcast(b.bytes(), last)));
  }
  Value inPlace = b.bitAnd(b.bitcast(b.i32s(), mantissas), 0xff << 8 * floatPlace);
  result[floatPlace] = b.bitcast(b.f32s(), b.bitOr(inPlace, last));
  return result;
}

MixedDecoder::Words MixedDecoder::words(Value width, int64_t most) {
  // A quad has four codes of each half, in half of its bytes: they begin in the middle of a byte where the width and
  // the quad are odd.
  Value quad =
      arith::ConstantOp::create(b, DenseElementsAttr::get(quads(), ArrayRef<int64_t>({0, 1, 2, 3, 4, 5, 6, 7})));
  Value halves = b.mulI(quad, quadsOf(width));
  Value bytes = b.mulI(b.shiftRight(halves, 1), b.splat(quads(), everyByte));
  Value inQuad = b.addI(b.mulI(width, i64(quadOf([](int64_t i) { return i / 4 * 4; }))),
                        i64(quadOf([](int64_t i) { return i % 4; })));
  // The lower byte of a word begins with its code, the upper one ends with its.
  Value begin = b.mulI(b.shiftLeft(b.bitAnd(halves, 1), 2), b.splat(quads(), everyByte));
  Value ofCodes = b.addI(b.mulI(width, i64(quadOf([](int64_t i) { return i / 2 + i % 2; }))),
                         i64(quadOf([](int64_t i) { return i % 2 * (32 - 8); })));
  auto word = [&](Value value) { return b.broadcast(b.words(), arith::TruncIOp::create(b, b.getI16Type(), value)); };
  return {b.bitcast(b.bytes(), b.addI(bytes, quadsOf(inQuad))), b.bitcast(b.bytes(), b.addI(begin, quadsOf(ofCodes))),
          word(b.sub(arith::ShLIOp::create(b, i64(1), width), i64(1))), word(b.sub(i64(16), width)), bytesOf(most)};
}

std::pair<Value, Value> MixedDecoder::wordsFrom(Value at, const Words &words) {
  Value both = b.bitcast(b.words(), b.extractBits(permute(load(at, words.loaded), words.order), words.shifts));
  // With one number for all lanes LLVM would choose a shift that takes two instructions.
  Value others = writeIntrinsic(b, "llvm.x86.avx512.psrlv.w.512", b.words(), {both, words.unused});
  return {arith::AndIOp::create(b, both, words.mask), others};
}

MixedDecoder::Wide MixedDecoder::wide(Value width) {
  // Four codes are half as many bytes as a code has bits, and begin in the middle of a byte where that is odd.
  SmallVector<int64_t> numbers{0, 1, 2, 3, 4, 5, 6, 7};
  Value quad = arith::ConstantOp::create(b, DenseElementsAttr::get(quads(), ArrayRef<int64_t>(numbers)));
  Value halves = b.mulI(quad, quadsOf(width));
  Value bytes = b.shiftRight(halves, 1);
  Value begin = b.shiftLeft(b.bitAnd(halves, 1), 2);
  Value order = b.addI(b.mulI(bytes, b.splat(quads(), everyByte)), b.splat(quads(), byteNumbers));
  // Bytes of a word: the low and the high bits of code 0, 1, 2, 3.
  Value ofCodes = b.mulI(width, i64(0x0303020201010000));
  Value shifts = b.addI(b.mulI(begin, b.splat(quads(), everyByte)), quadsOf(b.addI(ofCodes, i64(0x0800080008000800))));
  Value ones = b.sub(arith::ShLIOp::create(b, i64(1), width), i64(1));
  return {b.bitcast(b.bytes(), order), b.bitcast(b.bytes(), shifts),
          b.broadcast(b.words(), arith::TruncIOp::create(b, b.getI16Type(), ones))};
}

Value MixedDecoder::wideCodes(const Wide &wide, Value at) {
  Value fields = b.extractBits(permute(load(at), wide.order), wide.shifts);
  return arith::AndIOp::create(b, b.bitcast(b.words(), fields), wide.mask);
}

MixedDecoder::Fields MixedDecoder::fields(Value bits, Value least) {
  Value ones = b.sub(arith::ShLIOp::create(b, i64(1), bits), i64(1));
  // Eight fields are as many whole bytes as a field has bits: a quad each.
  Value quad = arith::ConstantOp::create(
      b, DenseElementsAttr::get(quads(), ArrayRef<int64_t>({0, everyByte, 2 * everyByte, 3 * everyByte, 4 * everyByte,
                                                            5 * everyByte, 6 * everyByte, 7 * everyByte})));
  Value order = b.addI(b.mulI(quad, quadsOf(bits)), b.splat(quads(), byteNumbers));
  return {b.bitcast(b.bytes(), order), b.mulI(bits, i64(byteNumbers)),
          b.broadcast(b.bytes(), arith::TruncIOp::create(b, b.getI8Type(), ones)), b.broadcast(b.bytes(), least)};
}

Value MixedDecoder::widths(const Fields &fields, Value at, Value bit) {
  Value shifts = quadsOf(b.addI(fields.shifts, b.mulI(bit, i64(everyByte))));
  Value above = b.extractBits(permute(load(at), fields.order), b.bitcast(b.bytes(), shifts));
  return b.addI(arith::AndIOp::create(b, above, fields.mask), fields.least);
}
