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

Value MixedDecoder::narrow(int64_t width, Value at) {
  return width == 8 ? load(at) : b.bitAnd(fieldBytes(width, at, 0), (int64_t(1) << width) - 1);
}

Value MixedDecoder::mantissas(int64_t width, Value at) { return fieldBytes(width, at, width - 7); }

Value MixedDecoder::fieldBytes(int64_t width, Value at, int64_t first) {
  // Eight codes are `width` whole bytes: a quad each.
  SmallVector<int8_t> order, shifts;
  for (int64_t quad = 0; quad < 8; ++quad)
    for (int64_t byte = 0; byte < 8; ++byte) {
      order.push_back(static_cast<int8_t>(quad * width + byte));
      shifts.push_back(static_cast<int8_t>((byte * width + first) & 63));
    }
  return extract(permute(loadFields(width, at), constant(order)), constant(shifts));
}

Value MixedDecoder::constant(ArrayRef<int8_t> bytes) {
  return arith::ConstantOp::create(b, DenseElementsAttr::get(b.bytes(), bytes));
}

Value MixedDecoder::loadFields(int64_t width, Value at) {
  // A load that crosses the end of a cache line takes twice as long: none longer than the fields need.
  const int64_t count = width <= 2 ? 16 : width <= 4 ? 32 : 64;
  Value some = b.load(b.vec(b.getI8Type(), count), codes, at);
  SmallVector<int64_t> order(64, vector::ShuffleOp::kPoisonIndex);
  std::iota(order.begin(), order.begin() + count, 0);
  return count == 64 ? some : vector::ShuffleOp::create(b, some, some, order);
}

Value MixedDecoder::spread(Value data, int64_t first, int64_t byte) {
  SmallVector<int8_t> order(64, 0);
  for (int64_t lane = 0; lane < 16; ++lane)
    order[4 * lane + byte] = static_cast<int8_t>(first + lane);
  return b.bitcast(b.i32s(), permute(data, constant(order)));
}

Value MixedDecoder::widened(Value narrow, int64_t first) { return b.bitAnd(spread(narrow, first, 0), 0xff); }

Value MixedDecoder::floats(int64_t width, Value mantissas, int64_t first) {
  const int64_t fraction = ((int64_t(1) << width) - 1) << (23 - width);
  Value bits = b.bitOr(b.bitAnd(spread(mantissas, first, 2), fraction), b.splat(b.i32s(), 0x3f800000));
  return b.bitcast(b.f32s(), bits);
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
  SmallVector<int64_t> numbers;
  for (int64_t quad = 0; quad < 8; ++quad)
    numbers.push_back(quad * everyByte);
  Value quad = arith::ConstantOp::create(b, DenseElementsAttr::get(quads(), ArrayRef<int64_t>(numbers)));
  Value order = b.addI(b.mulI(quad, quadsOf(bits)), b.splat(quads(), byteNumbers));
  Value ones = b.sub(arith::ShLIOp::create(b, i64(1), bits), i64(1));
  return {b.bitcast(b.bytes(), order), b.mulI(bits, i64(byteNumbers)),
          b.broadcast(b.bytes(), arith::TruncIOp::create(b, b.getI8Type(), ones)), b.broadcast(b.bytes(), least)};
}

Value MixedDecoder::widths(const Fields &fields, Value at, Value bit) {
  Value shifts = quadsOf(b.addI(fields.shifts, b.mulI(bit, i64(everyByte))));
  Value above = extract(permute(load(at), fields.order), b.bitcast(b.bytes(), shifts));
  return b.addI(arith::AndIOp::create(b, above, fields.mask), fields.least);
}
