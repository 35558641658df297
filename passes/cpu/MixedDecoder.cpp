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

MixedDecoder::Narrow MixedDecoder::narrow(Value width, int64_t most, bool areMantissas, ArrayRef<int64_t> eights) {
  Value shifts = b.mulI(width, i64(byteNumbers)), mask = b.sub(arith::ShLIOp::create(b, i64(1), width), i64(1));
  auto everywhere = [&](Value byte) { return b.broadcast(b.bytes(), arith::TruncIOp::create(b, b.getI8Type(), byte)); };
  if (areMantissas) {
    // Seven bits, of which the last is the code's: they begin at bit width - 7, where bits are counted in circles.
    shifts = b.addI(shifts, b.mulI(b.addI(width, i64(64 - 7)), i64(everyByte)));
    mask = arith::ShLIOp::create(b, mask, b.subI(i64(7), width));
  }
  return {orderOf(width, eights), b.bitcast(b.bytes(), quadsOf(shifts)), everywhere(mask),
          b.splat(b.bytes(), areMantissas ? 0x80 : 0), 8 * most <= 32 ? 32 : 64};
}

Value MixedDecoder::fields(const Narrow &narrow, Value at) {
  Value some = b.load(b.vec(b.getI8Type(), narrow.loaded), codes, at);
  if (narrow.loaded < 64) {
    SmallVector<int64_t> order(64, vector::ShuffleOp::kPoisonIndex);
    std::iota(order.begin(), order.begin() + narrow.loaded, 0);
    some = vector::ShuffleOp::create(b, some, some, order);
  }
  Value bits = arith::AndIOp::create(b, extract(permute(some, narrow.order), narrow.shifts), narrow.mask);
  return b.bitOr(bits, narrow.others);
}

Value MixedDecoder::orderOf(Value bits, ArrayRef<int64_t> eights) {
  // Eight fields are as many whole bytes as a field has bits: a quad each.
  SmallVector<int64_t> numbers;
  for (int64_t eight : eights)
    numbers.push_back(eight * everyByte);
  Value quad = arith::ConstantOp::create(b, DenseElementsAttr::get(quads(), ArrayRef<int64_t>(numbers)));
  return b.bitcast(b.bytes(), b.addI(b.mulI(quad, quadsOf(bits)), b.splat(quads(), byteNumbers)));
}

SmallVector<Value> MixedDecoder::halves(Value fields) { return interleaved(fields, 0x3f); }

SmallVector<Value> MixedDecoder::byteHalves(Value fields) {
  auto mantissas = [&](Value nibble) {
    return b.bitOr(b.bitAnd(b.bitcast(b.bytes(), nibble), 0x78), b.splat(b.bytes(), 0x80));
  };
  // 16 + the high nibble, and 1 + the low one / 16.
  Value some = b.bitcast(b.words(), fields);
  SmallVector<Value> high = interleaved(mantissas(b.shiftRight(some, 1)), 0x41);
  SmallVector<Value> low = interleaved(mantissas(b.shiftLeft(some, 3)), 0x3f);
  return {high[0], low[0], high[1], low[1]};
}

SmallVector<Value> MixedDecoder::interleaved(Value low, int64_t high) {
  SmallVector<Value> result;
  for (int64_t half = 0; half < 2; ++half) {
    SmallVector<int64_t> order;
    for (int64_t quad = half; quad < 8; quad += 2)
      for (int64_t byte = 8 * quad; byte < 8 * quad + 8; ++byte)
        order.append({byte, 64 + byte});
    Value both = vector::ShuffleOp::create(b, low, b.splat(b.bytes(), high), order);
    result.push_back(b.bitcast(b.bf16s(), both));
  }
  return result;
}

Value MixedDecoder::constant(ArrayRef<int8_t> bytes) {
  return arith::ConstantOp::create(b, DenseElementsAttr::get(b.bytes(), bytes));
}

Value MixedDecoder::spread(Value data, ArrayRef<int64_t> numbers, int64_t byte, int64_t around) {
  SmallVector<int8_t> order(64, 0);
  SmallVector<bool> isByte(64, false);
  for (int64_t lane = 0; lane < 16; ++lane) {
    order[4 * lane + byte] = static_cast<int8_t>(numbers[lane]);
    isByte[4 * lane + byte] = true;
  }
  Value mask = arith::ConstantOp::create(b, DenseElementsAttr::get(b.vec(b.getI1Type(), 64), ArrayRef<bool>(isByte)));
  Value rest = b.bitcast(b.bytes(), b.splat(b.i32s(), around));
  return b.bitcast(b.i32s(), b.select(mask, permute(data, constant(order)), rest));
}

Value MixedDecoder::widened(Value fields, ArrayRef<int64_t> numbers) { return spread(fields, numbers, 0, 0); }

Value MixedDecoder::floats(Value fields, ArrayRef<int64_t> numbers) {
  return b.bitcast(b.f32s(), spread(fields, numbers, 2, 0x3f000000));
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
  return {orderOf(bits, {0, 1, 2, 3, 4, 5, 6, 7}), b.mulI(bits, i64(byteNumbers)),
          b.broadcast(b.bytes(), arith::TruncIOp::create(b, b.getI8Type(), ones)), b.broadcast(b.bytes(), least)};
}

Value MixedDecoder::widths(const Fields &fields, Value at, Value bit) {
  Value shifts = quadsOf(b.addI(fields.shifts, b.mulI(bit, i64(everyByte))));
  Value above = extract(permute(load(at), fields.order), b.bitcast(b.bytes(), shifts));
  return b.addI(arith::AndIOp::create(b, above, fields.mask), fields.least);
}
