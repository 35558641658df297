// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"
#include "passes/Schedules.h"
#include "passes/SoleOp.h"
#include "passes/cpu/CanonicalCodes.h"

namespace bq {
#define GEN_PASS_DEF_LOWERDEQUANTIZE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

/// Writes abi::DequantizeFn, or abi::EmbeddingFn, whose first argument holds the rows to take.
class DequantizeRows {
public:
  DequantizeRows(KernelBuilder &b, WeightType weight, StringRef name, bool isGather)
      : b(b), weight(weight), format(weight.getFormat()), k(weight.getK()), group(format.groupSize(k)) {
    Type index = b.getIndexType(), f32 = b.getF32Type();
    Type zeroType = weight.getZero() == ZeroPointType::F32 ? f32 : Type(b.getI8Type());
    SmallVector<Type> arguments;
    if (isGather)
      arguments.push_back(b.pointer(b.getI64Type()));
    arguments.append({b.pointer(b.getI8Type()), b.pointer(weight.getScale()), b.pointer(zeroType), b.pointer(f32),
                      b.pointer(f32), b.pointer(weight.getScale()), index, index});
    func::FuncOp func = makeFunction(b, name, arguments);
    unsigned next = 0;
    Value far = b.index(ShapedType::isDynamic(weight.getN()) ? std::numeric_limits<int32_t>::max() : weight.getN());
    auto rows = [&](int64_t columns) { return b.view(func.getArgument(next++), {ShapedType::kDynamic, columns}, far); };
    if (isGather)
      indices = b.view(func.getArgument(next++), {ShapedType::kDynamic}, far);
    codes = b.view(func.getArgument(next++), {ShapedType::kDynamic}, far);
    scales = rows(format.hasColumnScale() ? 1 : format.groupCount(k));
    zeros = rows(format.groupCount(k));
    table = b.view(func.getArgument(next++), {int64_t(1) << format.bits});
    columnScale = b.view(func.getArgument(next++), {k});
    y = rows(k);
    begin = func.getArgument(next++);
    end = func.getArgument(next++);
  }

  void write() {
    if (format.isTable())
      entries = loadTable();
    b.loop(begin, end, 1, [&](Value i) {
      Value row = i;
      if (indices)
        row = arith::IndexCastOp::create(b, b.getIndexType(), b.loadScalar(indices, i));
      Value rowBegin = b.mul(row, format.rowBytes(k));
      b.loop(b.index(0), b.index(format.groupCount(k)), 1, [&](Value g) { writeGroup(row, rowBegin, i, g); });
    });
  }

private:
  VectorType floats() { return b.vec(b.getF32Type(), codesPerStep); }

  /// The table as 16 lanes; shorter ones are repeated.
  Value loadTable() {
    const int64_t size = int64_t(1) << format.bits;
    Value loaded = b.load(b.vec(b.getF32Type(), size), table, b.index(0));
    SmallVector<int64_t> order;
    for (int64_t i = 0; i < 16; ++i)
      order.push_back(i % size);
    return vector::ShuffleOp::create(b, loaded, loaded, order);
  }

  void writeGroup(Value row, Value rowBegin, Value to, Value g) {
    Value first = b.mul(g, group);
    Value last = b.min(b.add(first, group), b.index(k));
    Value scale = b.extendFloat(b.loadScalar(scales, {row, format.hasColumnScale() ? b.index(0) : g}));
    Value zero;
    if (weight.getZero() == ZeroPointType::F32)
      zero = b.loadScalar(zeros, {row, g});
    else if (weight.getZero() == ZeroPointType::U8)
      zero = arith::UIToFPOp::create(b, b.getF32Type(), b.loadScalar(zeros, {row, g}));
    // A step starts at a whole byte where groups do.
    Value whole = first;
    if (group * format.bits % 8 == 0) {
      Value steps = b.div(b.sub(last, first), codesPerStep);
      whole = b.add(first, b.mul(steps, codesPerStep));
      b.loop(first, whole, codesPerStep, [&](Value column) {
        Value at = b.add(rowBegin, b.div(b.mul(column, format.bits), 8));
        Value bytes = b.load(b.vec(b.getI8Type(), 2 * format.bits), codes, at);
        Value weights = decode(writeUnpackCodes(b, bytes, format.bits), b.broadcast(floats(), scale),
                               zero ? b.broadcast(floats(), zero) : Value());
        if (format.hasColumnScale())
          weights = b.mulF(weights, b.load(floats(), columnScale, column));
        b.store(b.truncateFloat(weights, weight.getScale()), y, {to, column});
      });
    }
    b.loop(whole, last, 1, [&](Value column) {
      // One lane of a vector, so that the table is read as elsewhere.
      Value code =
          b.broadcast(b.vec(b.getI32Type(), codesPerStep), writeLoadCode(b, codes, rowBegin, column, format.bits));
      Value weights = decode(code, b.broadcast(floats(), scale), zero ? b.broadcast(floats(), zero) : Value());
      Value one = vector::ExtractOp::create(b, weights, int64_t(0));
      if (format.hasColumnScale())
        one = b.mulF(one, b.loadScalar(columnScale, column));
      b.storeScalar(b.truncateFloat(one, weight.getScale()), y, {to, column});
    });
  }

  /// scale * value of each code, in f32.
  Value decode(Value codes, Value scale, Value zero) {
    if (format.isTable())
      return b.mulF(LookupOp::create(b, floats(), entries, codes), scale);
    if (format.kind == Format::Kind::Int) {
      // Sign-extended from the top.
      Value up = b.shiftLeft(codes, 32 - format.bits);
      codes = arith::ShRSIOp::create(b, up, b.splat(cast<VectorType>(up.getType()), 32 - format.bits));
    }
    if (format.kind == Format::Kind::Sign)
      codes = b.subI(b.addI(codes, codes), b.splat(cast<VectorType>(codes.getType()), 1));
    Value value = b.toFloat(codes);
    return b.mulF(zero ? b.subF(value, zero) : value, scale);
  }

  KernelBuilder &b;
  WeightType weight;
  Format format;
  int64_t k, group;
  Value indices, codes, scales, zeros, table, columnScale, y, begin, end;
  Value entries;
};

struct LowerDequantize : bq::impl::LowerDequantizeBase<LowerDequantize> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<CpuTarget> target = targetOf(getOperation(), cpu);
    if (failed(target))
      return signalPassFailure();
    auto write = [](KernelBuilder &b, auto op, StringRef name) {
      DequantizeRows(b, op.getWeight().getType(), name, /*isGather=*/std::is_same_v<decltype(op), EmbeddingOp>).write();
    };
    if (failed(lowerToOneFunction<EmbeddingOp, KernelBuilder>(getOperation(), write, *target, target->lanes())) ||
        failed(lowerToOneFunction<DequantizeOp, KernelBuilder>(getOperation(), write, *target, target->lanes())))
      signalPassFailure();
  }
};

} // namespace
