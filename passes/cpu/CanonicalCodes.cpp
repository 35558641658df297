// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/CanonicalCodes.h"

using namespace mlir;
using namespace bq;

/// Lane i gets the two bytes that hold bits [i * bits, (i + 1) * bits), then each is shifted by what it is off: the
/// codes in the lower bits of lanes, or in the upper ones.
static Value unpack(KernelBuilder &b, Value bytes, int64_t bits, bool isHigh) {
  const int64_t count = 2 * bits;
  Value zeros = b.zero(b.vec(b.getI8Type(), count));
  SmallVector<int64_t> source;
  SmallVector<int32_t> shifts;
  for (int64_t lane = 0; lane < codesPerStep; ++lane) {
    int64_t first = lane * bits / 8;
    source.append({first, std::min(first + 1, count - 1), count, count});
    const int64_t shift = lane * bits % 8;
    shifts.push_back(isHigh ? 32 - bits - shift : shift);
  }
  Value pairs = vector::ShuffleOp::create(b, bytes, zeros, source);
  Value lanes = b.bitcast(b.vec(b.getI32Type(), codesPerStep), pairs);
  if (!isHigh)
    return arith::ShRUIOp::create(b, lanes, b.ints(shifts));
  return arith::ShLIOp::create(b, lanes, b.ints(shifts));
}

Value bq::writeUnpackCodes(KernelBuilder &b, Value bytes, int64_t bits) {
  return b.bitAnd(unpack(b, bytes, bits, false), (1 << bits) - 1);
}

Value bq::writeUnpackHigh(KernelBuilder &b, Value bytes, int64_t bits) {
  return b.bitAnd(unpack(b, bytes, bits, true), -(int64_t(1) << (32 - bits)));
}

/// The codes in the lowest bits of lanes, below anything, where all of them fill a part of 64 bits.
static Value unpackFromAll(KernelBuilder &b, Value bytes, int64_t bits) {
  Type i8 = b.getI8Type(), all = b.getIntegerType(codesPerStep * bits);
  Value whole = vector::ExtractOp::create(b, b.bitcast(b.vec(all, 1), bytes), ArrayRef<int64_t>{0});
  VectorType wide = b.vec(i8, 4 * codesPerStep);
  Value copies = b.bitcast(wide, b.broadcast(b.vec(all, 32 / bits), whole));
  // Each byte takes eight bits of those that hold it, from any of them on.
  SmallVector<int8_t> first;
  for (int64_t byte = 0; byte < 4 * codesPerStep; ++byte)
    first.push_back(static_cast<int8_t>(byte / 4 * bits));
  Value places = arith::ConstantOp::create(b, DenseElementsAttr::get(wide, ArrayRef<int8_t>(first)));
  return b.bitcast(b.vec(b.getI32Type(), codesPerStep), b.extractBits(copies, places));
}

Value bq::writeLookUpCodes(KernelBuilder &b, Value bytes, int64_t bits, Value table) {
  if (8 % bits == 0 && b.target.has(CpuTarget::AVX512VBMI))
    return LookupOp::create(b, table.getType(), table, unpackFromAll(b, bytes, bits));
  return LookupOp::create(b, table.getType(), table, unpack(b, bytes, bits, false));
}

/// For widths that divide a byte: neighbours are joined, two lanes to one of twice the width, until a lane has a byte.
static Value joinNeighbours(KernelBuilder &b, Value codes, int64_t bits) {
  auto narrow = [&](Value lanes, int64_t width) -> Value {
    auto type = cast<VectorType>(lanes.getType());
    if (type.getElementTypeBitWidth() <= width)
      return lanes;
    return arith::TruncIOp::create(b, type.clone(b.getIntegerType(width)), lanes);
  };
  for (; bits < 8; bits *= 2) {
    auto type = cast<VectorType>(codes.getType());
    const int64_t width = type.getElementTypeBitWidth();
    Value pairs = b.bitcast(b.vec(b.getIntegerType(2 * width), type.getNumElements() / 2), codes);
    codes = b.bitOr(pairs, b.shiftRight(pairs, width - bits));
    if (bits < 4)
      codes = narrow(codes, 16);
  }
  return narrow(codes, 8);
}

Value bq::writePackCodes(KernelBuilder &b, Value codes, int64_t bits) {
  if (8 % bits == 0)
    return joinNeighbours(b, codes, bits);
  // Eight codes fill `bits` bytes: shifted into place as 64-bit integers and joined, once for each half.
  VectorType half = b.vec(b.getI64Type(), 8);
  SmallVector<int64_t> shifts;
  for (int64_t lane = 0; lane < 8; ++lane)
    shifts.push_back(lane * bits);
  Value places = arith::ConstantOp::create(b, DenseElementsAttr::get(half, ArrayRef<int64_t>(shifts)));
  Value packed = b.zero(b.vec(b.getI64Type(), 2));
  for (int64_t i = 0; i < 2; ++i) {
    Value part = b.slice(codes, 8 * i, 8);
    Value placed = arith::ShLIOp::create(b, arith::ExtUIOp::create(b, half, part), places);
    Value joined = vector::ReductionOp::create(b, vector::CombiningKind::OR, placed);
    packed = vector::InsertOp::create(b, joined, packed, i);
  }
  Value bytes = b.bitcast(b.vec(b.getI8Type(), 16), packed);
  SmallVector<int64_t> order;
  for (int64_t i = 0; i < 2 * bits; ++i)
    order.push_back(i < bits ? i : 8 + i - bits);
  return vector::ShuffleOp::create(b, bytes, bytes, order);
}

Value bq::writeLoadCode(KernelBuilder &b, Value buffer, Value rowBegin, Value k, int64_t bits) {
  Value position = b.mul(k, bits);
  Value at = b.add(rowBegin, b.div(position, 8));
  Value shift = arith::IndexCastOp::create(b, b.getI32Type(), b.rem(position, 8));
  auto byteAt = [&](Value index) -> Value {
    return arith::ExtUIOp::create(b, b.getI32Type(), b.loadScalar(buffer, index));
  };
  Value word = byteAt(at);
  if (8 % bits != 0) {
    // The second byte where the code reaches into it, else the first again, whose bits fall to the mask.
    Value crosses = arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, shift, b.i32(8 - bits));
    Value second = byteAt(b.select(crosses, b.add(at, 1), at));
    word = b.bitOr(word, arith::ShLIOp::create(b, second, b.i32(8)));
  }
  Value code = arith::ShRUIOp::create(b, word, shift);
  return arith::AndIOp::create(b, code, b.i32((1 << bits) - 1));
}
