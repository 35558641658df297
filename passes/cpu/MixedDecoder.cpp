// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedDecoder.h"

#include <numeric>

using namespace mlir;
using namespace bq;

namespace {

/// One in every byte of a quad, and 0 to 7 in its bytes.
constexpr int64_t everyByte = 0x0101010101010101, byteNumbers = 0x0706050403020100;

Value intrinsic(KernelBuilder &b, StringRef name, ValueRange operands) {
  Type type = operands.front().getType();
  return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(name), operands).getResult(0);
}

/// Whether codes of up to `most` bits, so many in a row, lie in `bytes` bytes wherever they begin in a quad.
bool fit(int64_t codes, int64_t most, int64_t bytes) {
  for (int64_t width = 1; width <= most; ++width)
    for (int64_t quad = 0; quad < 8; ++quad)
      if (quad * codes * width % 8 + codes * width > 8 * bytes)
        return false;
  return true;
}

/// Bytes of a quad.
template <typename Byte>
int64_t quadOf(Byte byte) {
  uint64_t quad = 0;
  for (int64_t i = 0; i < 8; ++i)
    quad |= static_cast<uint64_t>(byte(i) & 0xff) << 8 * i;
  return static_cast<int64_t>(quad);
}

} // namespace

Value MixedDecoder::i64(int64_t value) { return arith::ConstantIntOp::create(b, b.getI64Type(), value); }

Value MixedDecoder::permute(Value data, Value order) {
  return intrinsic(b, "llvm.x86.avx512.permvar.qi.512", {data, order});
}

Value MixedDecoder::extract(Value data, Value shifts) {
  return intrinsic(b, "llvm.x86.avx512.pmultishift.qb.512", {shifts, data});
}

Value MixedDecoder::compress(Value values, Value mask) {
  Value none = b.zero(cast<VectorType>(values.getType()));
  return LLVM::CallIntrinsicOp::create(b, values.getType(), b.getStringAttr("llvm.x86.avx512.mask.compress"),
                                       ValueRange{values, none, mask})
      .getResult(0);
}

MixedDecoder::Narrow MixedDecoder::narrow(Value width, int64_t most, Type element) {
  const int64_t bits = element.getIntOrFloatBitWidth(), vectors = bits / 8, codes = 64 / bits;
  const bool isFloat = isa<FloatType>(element), isHalved = element.isBF16() && most == 8;
  int64_t slots = vectors;
  while (!fit(codes, most, 8 / slots))
    slots /= 2;
  Narrow narrow{element, {}, {}, {}, {}, 8 * most <= 32 ? 32 : 64};

  // Numbers below 256, in both bytes of a word: the byte in which the quad's first code begins, and the bit in it.
  SmallVector<int16_t> firsts;
  for (int64_t word = 0; word < 32; ++word)
    firsts.push_back(static_cast<int16_t>(word / 4 * codes));
  auto both = [&](Value words) { return b.mulI(words, b.splat(b.words(), 0x0101)); };
  Value begins = b.mulI(constant(firsts), wordsOf(width));
  Value bytes = b.bitcast(quads(), both(b.shiftRight(begins, 3)));
  Value bit = b.bitcast(quads(), both(b.bitAnd(begins, 7)));

  const int64_t slotBytes = 8 / slots;
  Value slotOrder = b.addI(b.mulI(width, i64(quadOf([&](int64_t i) { return i / slotBytes * codes; }))),
                           i64(quadOf([&](int64_t i) { return i % slotBytes; })));
  for (int64_t order = 0; order < vectors / slots; ++order) {
    Value first = b.mulI(width, i64(order * slots * codes * everyByte));
    narrow.orders.push_back(b.bitcast(b.bytes(), b.addI(bytes, quadsOf(b.addI(slotOrder, first)))));
  }

  // Seven bits of a mantissa are those of a lane's last byte but one, the code's highest bit first: they begin at bit
  // width - 7 of the code, where bits of a quad are counted in circles. An eighth bit is in the byte before, of f32.
  Value inLanes = b.mulI(width, i64(quadOf([&](int64_t i) { return i / (bits / 8); })));
  if (isFloat)
    inLanes = b.addI(inLanes, b.mulI(b.addI(width, i64(64 - 7)), i64(everyByte)));
  for (int64_t slot = 0; slot < slots; ++slot)
    for (int64_t part = 0; part < (isHalved ? 2 : 1); ++part) {
      const int64_t begin = quadOf([&](int64_t i) {
        const int64_t below = isFloat && bits == 32 && i % 4 < 2 ? 64 - 8 : 0;
        return slot * 8 * slotBytes + below + (part ? 64 - 4 : 0);
      });
      narrow.shifts.push_back(b.bitcast(b.bytes(), b.addI(bit, quadsOf(b.addI(inLanes, i64(begin))))));
    }

  Value ones = b.sub(arith::ShLIOp::create(b, i64(1), width), i64(1));
  if (isFloat)
    ones = arith::ShLIOp::create(b, ones, b.subI(i64(bits == 32 ? 23 : 7), width));
  const VectorType lanes = lanesOf(narrow);
  narrow.mask =
      isHalved ? b.splat(lanes, 0x78) : b.broadcast(lanes, arith::TruncIOp::create(b, lanes.getElementType(), ones));
  if (isHalved)
    narrow.others.push_back(b.splat(lanes, 0x4180));
  if (isFloat)
    narrow.others.push_back(b.splat(lanes, bits == 32 ? 0x3f800000 : 0x3f80));
  return narrow;
}

VectorType MixedDecoder::lanesOf(const Narrow &narrow) {
  const int64_t bits = narrow.element.getIntOrFloatBitWidth();
  return b.vec(b.getIntegerType(bits), 8 * 64 / bits);
}

SmallVector<Value> MixedDecoder::codesFrom(Value at, const Narrow &narrow) {
  Value some = b.load(b.vec(b.getI8Type(), narrow.loaded), codes, at);
  if (narrow.loaded < 64) {
    SmallVector<int64_t> order(64, vector::ShuffleOp::kPoisonIndex);
    std::iota(order.begin(), order.begin() + narrow.loaded, 0);
    some = vector::ShuffleOp::create(b, some, some, order);
  }
  const VectorType lanes = lanesOf(narrow);
  SmallVector<Value> result;
  for (Value order : narrow.orders) {
    Value quads = permute(some, order);
    for (auto [i, shifts] : llvm::enumerate(narrow.shifts)) {
      Value code = arith::AndIOp::create(b, b.bitcast(lanes, extract(quads, shifts)), narrow.mask);
      if (!narrow.others.empty())
        code = b.bitOr(code, narrow.others[i % narrow.others.size()]);
      result.push_back(b.bitcast(b.vec(narrow.element, lanes.getNumElements()), code));
    }
  }
  return result;
}

Value MixedDecoder::wordsOf(Value scalar) {
  return b.broadcast(b.words(), arith::TruncIOp::create(b, b.getI16Type(), scalar));
}

Value MixedDecoder::constant(ArrayRef<int16_t> words) {
  return arith::ConstantOp::create(b, DenseElementsAttr::get(b.words(), words));
}

Value MixedDecoder::lookup(Value table, Value numbers) {
  return intrinsic(b, "llvm.x86.avx512.permvar.sf.512", {table, numbers});
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
  Value fields = extract(permute(load(at), wide.order), wide.shifts);
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
  Value above = extract(permute(load(at), fields.order), b.bitcast(b.bytes(), shifts));
  return b.addI(arith::AndIOp::create(b, above, fields.mask), fields.least);
}
