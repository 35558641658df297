// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"
#include "passes/SoleOp.h"
#include "passes/gpu/MixedCodes.h"
#include "passes/gpu/PieceCodes.h"

namespace bq {
#define GEN_PASS_DEF_GPULOWERDEQUANTIZE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

/// Writes cuda::DequantizeFn, or cuda::EmbeddingFn, whose first argument holds the rows to take.
class DequantizeRows {
public:
  DequantizeRows(GpuBuilder &b, WeightType weight, StringRef name, bool isGather)
      : b(b), weight(weight), format(weight.getFormat()), k(weight.getK()), group(format.groupSize(k)), rows(b, k) {
    const bool packsHalves = !weight.getScale().isF32() && storesFragments();
    Type f32 = b.getF32Type();
    SmallVector<Type> arguments;
    if (isGather)
      arguments.push_back(b.pointer(b.getI64Type()));
    arguments.append({b.pointer(b.getI8Type()), b.floatPointer(weight.getScale()),
                      b.pointer(weight.getZero() == ZeroPointType::F32 ? f32 : Type(b.getI8Type())), b.pointer(f32),
                      b.pointer(f32), packsHalves ? b.pointer(b.getI32Type()) : b.floatPointer(weight.getScale()),
                      b.getI64Type()});
    func::FuncOp func = rows.begin(name, arguments);
    unsigned next = 0;
    if (isGather)
      indices = func.getArgument(next++);
    codes = func.getArgument(next++);
    scales = func.getArgument(next++);
    zeros = func.getArgument(next++);
    table = func.getArgument(next++);
    columnScale = func.getArgument(next++);
    y = func.getArgument(next++);
    count = func.getArgument(next++);
  }

  void write() {
    if (format.isTable())
      copyTable();
    rows.forEachPiece(count, [&](const RowPiece &piece) { writePiece(piece); });
  }

private:
  /// Whether every piece of y starts at a multiple of 16 bytes and is whole.
  bool storesFragments() const { return k % RowPiece::columns == 0; }

  /// Makes the table shared, where each lane can read an entry of its own at once.
  void copyTable() {
    const int64_t size = int64_t(1) << format.bits;
    entries = b.shared(b.getF32Type(), size);
    Value thread = b.thread();
    b.when(b.lessThan(thread, b.i32(size)), [&] { b.store(b.load(table, thread), entries, thread); });
    b.barrier();
  }

  /// A group's scale, and its zero point in the form that decode() wants.
  struct GroupValues {
    Value scale, zero;
  };
  GroupValues loadGroup(Value row, Value column) {
    Value index = b.mul(b.wide(row), format.groupCount(k));
    if (format.groupCount(k) > 1)
      index = b.add(index, b.wide(b.div(column, group)));
    GroupValues values;
    values.scale = b.loadFloat(weight.getScale(), scales, index);
    if (weight.getZero() == ZeroPointType::F32)
      values.zero = b.load(zeros, index);
    else if (weight.getZero() == ZeroPointType::U8)
      values.zero = above2To23(b.load(zeros, index));
    return values;
  }

  void writePiece(const RowPiece &piece) {
    Value row = indices ? b.load(indices, b.wide(piece.row)) : piece.row;
    SmallVector<Value> values = loadCodes(b, codes, row, piece, format, k);
    GroupValues of;
    for (int64_t i = 0; i < piece.count; ++i) {
      Value column = b.add(piece.first, i);
      if (i == 0 || !RowKernel::keepsPieces(k, group))
        of = loadGroup(row, column);
      values[i] = b.mulF(decode(values[i], of.zero), of.scale);
      if (format.hasColumnScale())
        values[i] = b.mulF(values[i], b.load(columnScale, column));
    }
    store(values, piece);
  }

  /// The float 2^23 + n, for n below 2^23: an integer becomes a float without a conversion, of which a GPU does few at
  /// a time.
  Value above2To23(Value n) { return b.asFloat(b.bitOr(n, 0x4b000000)); }

  /// A code's value before its scale, exact but for subtracting an f32 zero point.
  Value decode(Value code, Value zero) {
    switch (format.kind) {
    case Format::Kind::Sign: // the sign of 1.0
      return b.asFloat(b.bitXor(b.shiftLeft(code, 31), 0xbf800000));
    case Format::Kind::Int: {
      // From two's complement to an offset from the least.
      const int64_t half = int64_t(1) << (format.bits - 1);
      return b.subF(above2To23(b.bitXor(code, half)), b.f32(0x1p23f + static_cast<float>(half)));
    }
    case Format::Kind::UInt:
      if (weight.getZero() == ZeroPointType::U8)
        return b.subF(above2To23(code), zero);
      return b.subF(b.subF(above2To23(code), b.f32(0x1p23f)), zero);
    default:
      return b.load(entries, code);
    }
  }

  void store(ArrayRef<Value> values, const RowPiece &piece) {
    Value first = b.add(b.mul(b.wide(piece.row), k), b.wide(piece.first));
    if (!storesFragments()) {
      for (auto [i, value] : llvm::enumerate(values))
        b.storeFloat(weight.getScale(), value, y, b.add(first, i));
      return;
    }
    if (!weight.getScale().isF32()) {
      SmallVector<Value> words;
      for (int64_t i = 0; i < RowPiece::columns; i += 2)
        words.push_back(b.roundPair(weight.getScale(), values[i], values[i + 1]));
      b.store(b.pack(words), y, b.shiftRight(first, 1));
      return;
    }
    b.store(b.pack(values.take_front(4)), y, first);
    b.store(b.pack(values.drop_front(4)), y, b.add(first, 4));
  }

  GpuBuilder &b;
  WeightType weight;
  Format format;
  int64_t k, group;
  RowKernel rows;
  Value indices, codes, scales, zeros, table, columnScale, y, count;
  Value entries; ///< The table in shared memory.
};

struct GpuLowerDequantize : bq::impl::GpuLowerDequantizeBase<GpuLowerDequantize> {
  void runOnOperation() override {
    auto write = [](GpuBuilder &b, auto op, StringRef name) {
      if (const Format &format = op.getWeight().getType().getFormat(); format.isMixed())
        return writeMixedValues(b, format.group, name);
      DequantizeRows(b, op.getWeight().getType(), name, /*isGather=*/std::is_same_v<decltype(op), EmbeddingOp>).write();
    };
    if (failed(lowerToOneFunction<EmbeddingOp, GpuBuilder>(getOperation(), write)) ||
        failed(lowerToOneFunction<DequantizeOp, GpuBuilder>(getOperation(), write)))
      signalPassFailure();
  }
};

} // namespace
