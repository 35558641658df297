// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedDecoder.h"

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
  if (width == 8)
    return load(at);
  // Eight codes are `width` whole bytes: a quad each.
  SmallVector<int8_t> order, shifts;
  for (int64_t quad = 0; quad < 8; ++quad)
    for (int64_t byte = 0; byte < 8; ++byte) {
      order.push_back(static_cast<int8_t>(quad * width + byte));
      shifts.push_back(static_cast<int8_t>(byte * width));
    }
  auto constant = [&](ArrayRef<int8_t> values) -> Value {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(b.bytes(), values));
  };
  return b.bitAnd(extract(permute(load(at), constant(order)), constant(shifts)), (int64_t(1) << width) - 1);
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
