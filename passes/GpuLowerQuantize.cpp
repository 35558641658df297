// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"
#include "passes/SoleOp.h"
#include "passes/gpu/MixedCodes.h"
#include "passes/gpu/PieceCodes.h"

#include "dialect/core/Half.h"

#include "mlir/IR/TypeUtilities.h"

#include <cmath>

namespace bq {
#define GEN_PASS_DEF_GPULOWERQUANTIZE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

/// The last float on the way from the entry `near` up to `far` that is not nearer to `far`. Distances are rounded, but
/// do not decrease on the way, so that there is one.
static float lastNearer(float near, float far) {
  float last = near, beyond = far;
  while (std::nextafter(last, beyond) != beyond) {
    const float middle = last + (beyond - last) / 2;
    (std::fabs(middle - far) < std::fabs(middle - near) ? beyond : last) = middle;
  }
  return last;
}

namespace {

/// Writes cuda::QuantizeFn: scales and zero points of a block's groups, then its codes by what is stored.
class QuantizeRows {
public:
  QuantizeRows(GpuBuilder &b, Type dataType, WeightType weight, StringRef name)
      : b(b), dataType(dataType), scaleType(weight.getScale()), format(weight.getFormat()), k(weight.getK()),
        greatest((1 << format.bits) - 1), rows(b, k, hasScales() ? format.groupSize(k) : 0) {
    Type i8 = b.getI8Type(), i64 = b.getI64Type();
    func::FuncOp func =
        rows.begin(name, {b.floatPointer(dataType), b.pointer(i8), b.floatPointer(scaleType), b.pointer(i8), i64, i64});
    input = func.getArgument(0);
    codes = func.getArgument(1);
    scales = func.getArgument(2);
    zeros = func.getArgument(3);
    stride = func.getArgument(4);
    count = func.getArgument(5);
  }

  void write() {
    if (hasScales()) {
      blockScales = b.shared(b.getF32Type(), rows.groupsPerBlock());
      if (format.hasZeroPoints())
        blockZeros = b.shared(b.getF32Type(), rows.groupsPerBlock());
      rows.forEachGroup([&](const RowGroup &group) { writeScale(group); });
      b.barrier();
    }
    rows.forEachPiece(count, [&](const RowPiece &piece) {
      SmallVector<Value> values;
      StoredGroup group;
      for (int64_t i = 0; i < piece.count; ++i) {
        Value column = b.add(piece.first, i);
        if (hasScales() && (i == 0 || !RowKernel::keepsPieces(k, format.groupSize(k))))
          group = loadGroup(column);
        values.push_back(writeCode(load(piece.row, column), group));
      }
      storeCodes(b, values, codes, piece, format, k);
    });
  }

private:
  bool hasScales() const { return format.kind != Format::Kind::Sign; }
  float tableLimit() const { return format.kind == Format::Kind::NF4 ? 1.0f : 6.0f; }

  Value load(Value row, Value column) {
    return b.loadFloat(dataType, input, b.add(b.mul(b.wide(row), stride), b.wide(column)));
  }
  Value clamp(Value x, Value low, Value high) { return b.minF(b.maxF(x, low), high); }
  Value clamp(Value x, float limit, float high) { return clamp(x, b.f32(-limit), b.f32(high)); }

  /// Range of the group, then its scale and zero point as they are stored.
  void writeScale(const RowGroup &group) {
    Value none = b.f32(0.0f);
    auto combine = [&](size_t index, Value l, Value r) { return index == 0 ? b.minF(l, r) : b.maxF(l, r); };
    SmallVector<Value> range = rows.fold(
        group, {none, none}, [&](Value column) { return SmallVector<Value>(2, load(group.row, column)); }, combine);
    rows.once([&] {
      Value low = range[0], high = range[1];
      Value magnitude = b.maxF(high, b.negF(low));
      Value raw;
      switch (format.kind) {
      case Format::Kind::Int:
        raw = b.divF(magnitude, b.f32(static_cast<float>(greatest / 2)));
        break;
      case Format::Kind::UInt:
        raw = b.divF(b.subF(high, low), b.f32(static_cast<float>(greatest)));
        break;
      default:
        raw = b.divF(magnitude, b.f32(tableLimit()));
      }
      ElementType type = toElementType(scaleType);
      Value clamped = clamp(raw, b.f32(minNormal(type)), b.f32(maxFinite(type)));
      Value isZero = b.compareF(arith::CmpFPredicate::OEQ, magnitude, none);
      Value scale = b.roundTo(scaleType, b.select(isZero, b.f32(1.0f), clamped));
      Value at = b.add(b.mul(b.wide(group.row), format.groupCount(k)), b.wide(group.number));
      b.storeFloat(scaleType, scale, scales, at);
      b.store(scale, blockScales, group.inBlock);
      if (format.hasZeroPoints()) {
        Value offset = b.divF(b.negF(low), scale);
        Value zero = b.roundEven(b.minF(offset, b.f32(static_cast<float>(greatest))));
        b.store(b.toInt(zero), zeros, at);
        b.store(zero, blockZeros, group.inBlock);
      }
    });
  }

  /// Of the group that a column belongs to, as f32.
  struct StoredGroup {
    Value scale, zero;
  };
  StoredGroup loadGroup(Value column) {
    Value group = rows.groupInBlock(column);
    return {b.load(blockScales, group), format.hasZeroPoints() ? b.load(blockZeros, group) : Value()};
  }

  Value writeCode(Value weight, const StoredGroup &group) {
    if (!hasScales()) {
      Value isPositive = b.compareF(arith::CmpFPredicate::OGE, weight, b.f32(0.0f));
      return b.select(isPositive, b.i32(1), b.i32(0));
    }
    Value quotient = b.divF(weight, group.scale);
    switch (format.kind) {
    case Format::Kind::Int: {
      const float limit = static_cast<float>((greatest + 1) / 2);
      return b.bitAnd(b.toInt(b.roundEven(clamp(quotient, limit, limit - 1))), greatest);
    }
    case Format::Kind::UInt: {
      // Clamped before it is rounded, which is the same with bounds that are integers.
      Value high = b.subF(b.f32(static_cast<float>(greatest)), group.zero);
      return b.toInt(b.addF(b.roundEven(clamp(quotient, b.negF(group.zero), high)), group.zero));
    }
    default:
      return nearestEntry(clamp(quotient, tableLimit(), tableLimit()));
    }
  }

  /// The lowest code of those with the nearest entries, by halving the list of numbers where the next entry becomes the
  /// nearer. Of fp4 the entries of one sign are listed.
  Value nearestEntry(Value value) {
    const bool isSigned = format.kind == Format::Kind::FP4;
    const float *table = isSigned ? fp4Table : nf4Table;
    SmallVector<Value> limits;
    for (int64_t entry = 1; entry < (isSigned ? 8 : 16); ++entry)
      limits.push_back(b.f32(lastNearer(table[entry - 1], table[entry])));
    Value compared = isSigned ? b.absF(value) : value, code = b.i32(0);
    while (!limits.empty()) {
      const size_t half = limits.size() / 2;
      Value isBeyond = b.compareF(arith::CmpFPredicate::OGT, compared, limits[half]);
      code = b.select(isBeyond, b.add(code, half + 1), code);
      for (size_t i = 0; i < half; ++i)
        limits[i] = b.select(isBeyond, limits[half + 1 + i], limits[i]);
      limits.truncate(half);
    }
    if (!isSigned)
      return code;
    // Zero has a code for either sign.
    Value isNegative = b.both(b.compareF(arith::CmpFPredicate::OLT, value, b.f32(0.0f)), b.lessThan(b.i32(0), code));
    return b.select(isNegative, b.bitOr(code, 8), code);
  }

  GpuBuilder &b;
  Type dataType, scaleType;
  Format format;
  int64_t k;
  int64_t greatest; ///< The greatest code.
  RowKernel rows;
  Value input, codes, scales, zeros, stride, count;
  Value blockScales, blockZeros; ///< Of the block's groups, as f32.
};

struct GpuLowerQuantize : bq::impl::GpuLowerQuantizeBase<GpuLowerQuantize> {
  void runOnOperation() override {
    auto write = [](GpuBuilder &b, QuantizeOp op, StringRef name) {
      Type dataType = getElementTypeOrSelf(op.getInput().getType());
      if (const Format &format = op.getWeight().getType().getFormat(); format.isMixed())
        return writeMixedLevels(b, dataType, format.group, name);
      QuantizeRows(b, dataType, op.getWeight().getType(), name).write();
    };
    if (failed(lowerToOneFunction<QuantizeOp, GpuBuilder>(getOperation(), write)))
      signalPassFailure();
  }
};

} // namespace
