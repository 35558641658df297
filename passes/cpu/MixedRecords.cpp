// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedRecords.h"

using namespace mlir;
using namespace bq;

using abi::MixedIndex;

namespace {

/// Bytes of a record's parts.
constexpr int64_t order = 0, shifts = 32, narrowOrder = 64, narrowFields = 96, mask = 128, narrowMask = 132,
                  unitPart = 136, position = 144;

int64_t bytesOf(VectorType type) { return type.getNumElements() * type.getElementTypeBitWidth() / 8; }

} // namespace

MixedRecords::MixedRecords(KernelBuilder &b, Value memory, Narrow narrow)
    : b(b), memory(memory), eightInts(b.vec(b.getI32Type(), 8)), sixteenWords(b.vec(b.getI16Type(), 16)),
      orders(b.vec(b.getI8Type(), 32)) {
  b.loop(b.index(1), b.index(MixedIndex::widths), 1, [&](Value width) {
    auto i64 = [&](Value index) { return arith::IndexCastOp::create(b, b.getI64Type(), index); };
    const MixedEights eights = MixedEights::get(b, i64(b.index(0)), i64(width));
    Value ones = b.splat(eightInts, 0x3f800000), record = b.mul(width, recordBytes);
    Value unit = b.divF(b.bitcast(b.vec(b.getF32Type(), 8), ones), b.toFloat(eights.mask));
    keep(eights.order, record, order);
    keep(eights.shifts, record, shifts);
    keep(b.slice(eights.mask, 0, 1), record, mask);
    keep(b.slice(unit, 0, 1), record, unitPart);
  });
  for (int64_t width = 1; narrow != Narrow::None && width <= maxNarrow; ++width)
    narrow == Narrow::Words ? keepWords(width) : keepBytes(width);
}

void MixedRecords::keepWords(int64_t width) {
  SmallVector<int8_t> bytes;
  SmallVector<int16_t> factors;
  for (int64_t bit = 0; bit < 16 * width; bit += width) {
    // A code that begins with a byte ends in it; the byte stands in the upper half too.
    const int64_t byte = bit / 8, within = bit % 8;
    bytes.append({static_cast<int8_t>(byte), static_cast<int8_t>(within ? byte + 1 : byte)});
    factors.push_back(static_cast<int16_t>(1 << (16 - (within ? within : 8))));
  }
  Value at = b.index(width * recordBytes);
  keep(arith::ConstantOp::create(b, DenseElementsAttr::get(orders, ArrayRef(bytes))), at, narrowOrder);
  keep(arith::ConstantOp::create(b, DenseElementsAttr::get(sixteenWords, ArrayRef(factors))), at, narrowFields);
  keep(b.splat(b.vec(b.getI16Type(), 2), (1 << width) - 1), at, narrowMask);
}

void MixedRecords::keepBytes(int64_t width) {
  SmallVector<int8_t> bytes, fields;
  for (int64_t code = 0; code < 32; ++code) {
    bytes.push_back(static_cast<int8_t>((code / 8 * width + code % 8) % 32));
    fields.push_back(static_cast<int8_t>(code % 8 * width));
  }
  Value at = b.index(width * recordBytes);
  keep(arith::ConstantOp::create(b, DenseElementsAttr::get(orders, ArrayRef(bytes))), at, narrowOrder);
  keep(arith::ConstantOp::create(b, DenseElementsAttr::get(orders, ArrayRef(fields))), at, narrowFields);
  keep(b.splat(b.vec(b.getI8Type(), 4), (1 << width) - 1), at, narrowMask);
}

Value MixedRecords::part(VectorType type, Value record, int64_t offset) {
  return b.bitcast(type, b.load(b.vec(b.getI8Type(), bytesOf(type)), memory, b.add(record, offset)));
}

/// The 32 bits there, as often as `type` has room for.
Value MixedRecords::splat(VectorType type, Value record, int64_t offset) {
  Value one = vector::ExtractOp::create(b, part(b.vec(b.getI32Type(), 1), record, offset), int64_t(0));
  return b.bitcast(type, b.broadcast(eightInts, one));
}

/// The 64 bits there as an index.
Value MixedRecords::number(Value record, int64_t offset) {
  Value one = vector::ExtractOp::create(b, part(b.vec(b.getI64Type(), 1), record, offset), int64_t(0));
  return arith::IndexCastOp::create(b, b.getIndexType(), one);
}

void MixedRecords::keep(Value value, Value record, int64_t offset) {
  const int64_t bytes = bytesOf(cast<VectorType>(value.getType()));
  b.store(b.bitcast(b.vec(b.getI8Type(), bytes), value), memory, b.add(record, offset));
}

void MixedRecords::keepNumber(Value index, Value record, int64_t offset) {
  Value number = arith::IndexCastOp::create(b, b.getI64Type(), index);
  keep(b.broadcast(b.vec(b.getI64Type(), 1), number), record, offset);
}

Value MixedRecords::list(const MixedFrame &frame, Value codes, Value first, Value count, Value target) {
  // The widths of all eights begin at the same bit of a byte.
  auto toIndex = [&](Value i64) -> Value { return arith::IndexCastOp::create(b, b.getIndexType(), i64); };
  auto i64 = [&](int64_t value) -> Value { return arith::ConstantIntOp::create(b, b.getI64Type(), value); };
  Value start = b.mulI(arith::IndexCastOp::create(b, b.getI64Type(), first), frame.fieldBits());
  const MixedEights fields = MixedEights::get(b, start, frame.fieldBits());
  Value byte = toIndex(b.addI(arith::ShRUIOp::create(b, start, i64(3)), i64(10))), stride = toIndex(frame.fieldBits());
  Value least = b.broadcast(eightInts, arith::TruncIOp::create(b, b.getI32Type(), frame.leastWidth()));
  SmallVector<Value> state{byte, b.zero(eightInts)};
  state = b.loop(b.index(0), count, 8, state, [&](Value group, ValueRange before) {
    Value bytes = b.load(b.vec(b.getI8Type(), 16), codes, before[0]);
    Value records = b.mulI(b.addI(fields.fieldsOf(b, bytes), least), b.splat(eightInts, recordBytes));
    b.store(records, target, group);
    return SmallVector<Value>{b.add(before[0], stride), arith::MaxUIOp::create(b, before[1], records)};
  });
  return vector::ReductionOp::create(b, vector::CombiningKind::MAXUI, state[1]);
}

void MixedRecords::begin(Value positions) {
  b.loop(b.index(1), b.index(MixedIndex::widths), 1, [&](Value width) {
    Value bit = arith::IndexCastOp::create(b, b.getIndexType(), b.loadScalar(positions, width));
    keepNumber(b.div(bit, 8), b.mul(width, recordBytes), position);
  });
}

MixedRecords::Group MixedRecords::take(Value listed, Value entry, int64_t size) {
  Group group;
  group.record = arith::IndexCastUIOp::create(b, b.getIndexType(), b.loadScalar(listed, entry));
  group.byte = number(group.record, position);
  group.eightBytes = b.div(group.record, recordBytes);
  keepNumber(b.add(group.byte, b.mul(group.eightBytes, size / 8)), group.record, position);
  return group;
}

Value MixedRecords::isNarrow(Value record) {
  return arith::CmpIOp::create(b, arith::CmpIPredicate::ule, record, b.index(greatestNarrow));
}

MixedRecords::Words MixedRecords::words(Value record) {
  return {part(orders, record, narrowOrder), part(sixteenWords, record, narrowFields),
          splat(sixteenWords, record, narrowMask)};
}

MixedRecords::Bytes MixedRecords::bytes(Value record) {
  return {part(orders, record, narrowOrder), part(orders, record, narrowFields), splat(orders, record, narrowMask)};
}

Value MixedRecords::Bytes::codesOf(KernelBuilder &b, Value bytes) const {
  Value quads = writeIntrinsic(b, "llvm.x86.avx512.permvar.qi.256", order.getType(), {bytes, order});
  return arith::AndIOp::create(b, b.extractBits(quads, shifts), mask);
}

MixedEights MixedRecords::eights(Value record) {
  return {part(orders, record, order), part(eightInts, record, shifts), splat(eightInts, record, mask)};
}

Value MixedRecords::unit(Value record) { return splat(b.vec(b.getF32Type(), 8), record, unitPart); }

Value MixedRecords::Words::codesOf(KernelBuilder &b, Value bytes) const {
  Value words = b.bitcast(factors.getType(), LookupOp::create(b, order.getType(), bytes, order));
  return arith::AndIOp::create(b, writeIntrinsic(b, "llvm.x86.avx2.pmulhu.w", factors.getType(), {words, factors}),
                               mask);
}
