// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Converts rows of activations to the panel that kernels read: abi::PrepareFn.
#include "passes/cpu/PatchGather.h"

#include "llvm/ADT/bit.h"

using namespace mlir;
using namespace bq;

namespace {

/// Codes of 16 columns are converted at a time; segments are a multiple of that.
constexpr int64_t width = Layout::segmentAlign;

/// Whether every segment is full and made of whole vectors of columns in order.
bool isEven(const LinearPlan &plan) {
  const Layout &layout = plan.layout;
  return !plan.permuted && layout.segmentCodes == layout.segmentSize &&
         layout.k == layout.segments() * layout.segmentSize;
}

/// Whether a patch as it is gathered is the row in the order of the layout's segments.
bool isPatchRow(const LinearPlan &plan) { return plan.hasPatches() && isEven(plan) && !plan.hasColumnScale; }

int64_t rowWords(const LinearPlan &plan) { return plan.layout.segments() * plan.layout.segmentSize; }

/// Where a patch begins in scratch: at the row, or behind it.
int64_t patchBase(const LinearPlan &plan) { return isPatchRow(plan) ? 0 : rowWords(plan); }

int64_t scratchWords(const LinearPlan &plan) {
  return plan.hasPatches() ? patchBase(plan) + PatchGather::words(plan) : rowWords(plan);
}

class PrepareActivations {
public:
  PrepareActivations(KernelBuilder &b, const LinearPlan &plan, func::FuncOp func) : b(b), plan(plan) {
    Block &entry = func.front();
    const int64_t segments = plan.layout.segments(), k = plan.layout.k;
    firstRow = entry.getArgument(10), m = entry.getArgument(11), paddedRows = entry.getArgument(12),
    begin = entry.getArgument(13), end = entry.getArgument(14);
    if (plan.permuted)
      permutation = b.view(entry.getArgument(1), {k});
    if (plan.hasColumnScale)
      columnScale = b.view(entry.getArgument(2), {k});
    if (plan.staticBits)
      quantizer.emplace(b, plan.staticBits, b.loadScalar(entry.getArgument(3), ValueRange()));
    if (plan.hasPatches())
      patches.emplace(b, plan, entry.getArgument(0), entry.getArgument(4), quantizer ? &*quantizer : nullptr);
    else
      x = b.view(entry.getArgument(0), {ShapedType::kDynamic, k}, m, entry.getArgument(9));
    data = b.view(entry.getArgument(5),
                  {plan.activationPlanes(), segments, ShapedType::kDynamic, plan.layout.segmentSize}, paddedRows);
    sums = b.view(entry.getArgument(6), {segments, ShapedType::kDynamic}, paddedRows);
    scales = b.view(entry.getArgument(7), {ShapedType::kDynamic}, paddedRows);
    row = b.view(entry.getArgument(8), {scratchWords(plan)});
  }

  void write() {
    b.loop(begin, end, 1, [&](Value r) {
      if (!plan.hasPaddedRows) {
        writeRow(r);
        return;
      }
      Value isReal = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, r, m);
      auto branch = scf::IfOp::create(b, isReal, /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(branch.thenBlock());
      writeRow(r);
      b.setInsertionPointToStart(branch.elseBlock());
      writePadding(r);
    });
  }

private:
  VectorType f32x16() { return b.vec(b.getF32Type(), width); }
  VectorType i32x16() { return b.vec(b.getI32Type(), width); }
  VectorType i16x16() { return b.vec(b.getI16Type(), width); }
  Value splatF(float value) { return arith::ConstantOp::create(b, DenseElementsAttr::get(f32x16(), value)); }

  void writeRow(Value r) {
    Value bits = writeGather(r);
    if (!plan.isInteger()) {
      writeFloats(r);
      return;
    }
    // |x| as bits: their order is that of the values, with infinity and NaN above all, and what bf16 rounds to
    // infinity.
    const int64_t infinity = plan.roundToBF16 ? 0x7f7f8000 : 0x7f800000;
    Value isFinite = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, bits, b.i32(infinity));
    Value nan = b.f32(std::numeric_limits<float>::quiet_NaN());
    if (quantizer) {
      b.storeScalar(b.select(isFinite, quantizer->scale(), nan), scales, r);
      writeFixedPoint(r, [](Value v) { return v; });
      return;
    }
    Value isZero = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, bits, b.i32(0));
    // Small rows are lifted by 2^64 first, or the inverse of their scale would overflow.
    Value isSmall = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, bits, b.i32(llvm::bit_cast<int32_t>(0x1p-64f)));
    Value lift = b.select(isSmall, b.f32(0x1p64f), b.f32(1.0f)),
          unlift = b.select(isSmall, b.f32(0x1p-64f), b.f32(1.0f));
    Value isUsable = arith::AndIOp::create(b, isFinite, arith::XOrIOp::create(b, isZero, i1(true)));
    Value inverse, scale;
    if (plan.form == LinearPlan::Form::TwoWords) {
      // The power of two below the greatest: nothing is rounded but what is below the units.
      Value power = b.bitcast(b.getF32Type(), arith::AndIOp::create(b, bits, b.i32(0x7f800000)));
      scale = arith::MaximumFOp::create(b, power, b.f32(0x1p-126f));
      inverse = b.divF(b.f32(0.5f * plan.fixedPointMax()), b.mulF(scale, lift));
    } else {
      Value greatest = b.mulF(b.bitcast(b.getF32Type(), bits), lift), units = b.f32(plan.fixedPointMax());
      inverse = b.divF(units, greatest);
      scale = b.mulF(b.divF(greatest, units), unlift);
    }
    inverse = b.select(isUsable, inverse, b.f32(0.0f));
    b.storeScalar(b.select(isFinite, scale, nan), scales, r);
    Value finite = b.broadcast(b.vec(b.getI1Type(), width), isFinite);
    Value lifts = b.broadcast(f32x16(), lift), inverses = b.broadcast(f32x16(), inverse);
    writeFixedPoint(r, [&](Value v) { return b.mulF(b.mulF(b.select(finite, v, splatF(0.0f)), lifts), inverses); });
  }

  Value i1(bool value) { return arith::ConstantIntOp::create(b, b.getI1Type(), value); }

  /// The row in f32, in the order of the layout's segments, zeros where padded, to scratch; the bits of max|x|.
  Value writeGather(Value r) {
    const Layout &layout = plan.layout;
    const Value none = b.zero(i32x16());
    if (patches) {
      // That of a patch counts where it is the row; else its columns have yet to meet their scales.
      Value ofPatch = patches->gather(b.add(firstRow, r), row, patchBase(plan), none);
      if (isPatchRow(plan))
        return vector::ReductionOp::create(b, vector::CombiningKind::MAXUI, ofPatch);
    }
    auto gather = [&](Value segment, ValueRange most) {
      Value group = b.div(segment, layout.segmentsPerGroup);
      Value part = b.rem(segment, layout.segmentsPerGroup);
      Value first = b.add(b.mul(group, layout.groupSize), b.mul(part, layout.segmentCodes));
      Value base = b.mul(segment, layout.segmentSize);
      if (isEven(plan))
        return gatherVectors(r, first, base, b.index(layout.segmentSize), most);
      Value groupEnd = b.min(b.add(b.mul(group, layout.groupSize), layout.groupSize), b.index(layout.k));
      Value length = b.max(b.min(b.sub(groupEnd, first), b.index(layout.segmentCodes)), b.index(0));
      Value whole = plan.permuted ? b.index(0) : b.mul(b.div(length, width), width);
      SmallVector<Value> seen(most);
      if (!plan.permuted)
        seen = gatherVectors(r, first, base, whole, seen);
      seen = gatherColumns(r, first, base, whole, length, seen);
      b.loop(length, b.index(layout.segmentSize), 1, [&](Value i) { b.storeScalar(b.f32(0.0f), row, b.add(base, i)); });
      return seen;
    };
    Value greatest = b.loop(b.index(0), b.index(layout.segments()), 1, ValueRange{none}, gather)[0];
    return vector::ReductionOp::create(b, vector::CombiningKind::MAXUI, greatest);
  }

  /// Sixteen columns of the source in f32, or one: as codes where the activations are quantized with one scale.
  Value loadSource(Value r, Value column, bool isVector) {
    if (patches) {
      Value at = b.add(column, patchBase(plan));
      return isVector ? b.load(f32x16(), row, at) : b.loadScalar(row, at);
    }
    const Value at[] = {b.add(firstRow, r), column};
    Value v = b.extendFloat(isVector ? b.load(b.vec(plan.dataType, width), x, at) : b.loadScalar(x, at));
    return quantizer ? quantizer->quantize(v) : v;
  }

  /// Columns of a segment that starts at column `first` and at `base` of scratch, sixteen at a time, up to `end`.
  SmallVector<Value> gatherVectors(Value r, Value first, Value base, Value end, ValueRange most) {
    return b.loop(b.index(0), end, width, most, [&](Value i, ValueRange state) {
      Value column = b.add(first, i);
      Value v = loadSource(r, column, /*isVector=*/true);
      if (columnScale)
        v = b.mulF(v, b.load(f32x16(), columnScale, column));
      b.store(v, row, b.add(base, i));
      return SmallVector<Value>{maxMagnitude(b, state[0], v)};
    });
  }

  /// The same one at a time: what is left of a segment, or all of it where columns are permuted.
  SmallVector<Value> gatherColumns(Value r, Value first, Value base, Value begin, Value end, ValueRange most) {
    return b.loop(begin, end, 1, most, [&](Value i, ValueRange state) {
      Value column = b.add(first, i), source = column;
      if (plan.permuted)
        source = arith::IndexCastOp::create(b, b.getIndexType(), b.loadScalar(permutation, column));
      Value v = loadSource(r, source, /*isVector=*/false);
      if (columnScale)
        v = b.mulF(v, b.loadScalar(columnScale, column));
      b.storeScalar(v, row, b.add(base, i));
      return SmallVector<Value>{maxMagnitude(b, state[0], b.broadcast(f32x16(), v))};
    });
  }

  /// What `body` makes of each vector of a segment in turn, a few in a step so that the loop costs little.
  Value overSegment(Value initial, function_ref<Value(Value i, Value carried)> body) {
    int64_t unroll = 4;
    while (plan.layout.segmentSize % (unroll * width))
      unroll /= 2;
    return b.loop(b.index(0), b.index(plan.layout.segmentSize), unroll * width, ValueRange{initial},
                  [&](Value i, ValueRange state) {
                    Value carried = state[0];
                    for (int64_t vector = 0; vector < unroll; ++vector)
                      carried = body(b.add(i, vector * width), carried);
                    return SmallVector<Value>{carried};
                  })[0];
  }

  void writeFloats(Value r) {
    b.loop(b.index(0), b.index(plan.layout.segments()), 1, [&](Value segment) {
      Value base = b.mul(segment, plan.layout.segmentSize);
      Value total = overSegment(splatF(0.0f), [&](Value i, Value carried) {
        Value v = b.load(f32x16(), row, b.add(base, i));
        if (plan.form == LinearPlan::Form::BF16 || plan.roundToBF16) {
          Value rounded = b.truncateFloat(v, b.getBF16Type());
          v = b.extendFloat(rounded);
          if (plan.form == LinearPlan::Form::BF16) {
            // Pairs as the weights have them in a 32-bit lane: 0 and 2, 1 and 3.
            SmallVector<int64_t> order;
            for (int64_t lane = 0; lane < width; ++lane)
              order.push_back(lane / 4 * 4 + (lane % 4) / 2 + lane % 2 * 2);
            b.store(vector::ShuffleOp::create(b, rounded, rounded, order), data, {b.index(0), segment, r, i});
          }
        }
        if (plan.isDeinterleaved)
          storeDeinterleaved(v, segment, r, i);
        else if (plan.form == LinearPlan::Form::F32)
          b.store(v, data, {b.index(0), segment, r, i});
        return b.addF(carried, v);
      });
      if (plan.readsSums())
        b.storeScalar(vector::ReductionOp::create(b, vector::CombiningKind::ADD, total, arith::FastMathFlags::reassoc),
                      sums, {segment, r});
    });
  }

  /// Columns of a segment from `first` on, as LinearPlan::isDeinterleaved says.
  void storeDeinterleaved(Value columns, Value segment, Value r, Value first) {
    Value at = b.sub(first, b.div(b.rem(first, deinterleavedColumns), 2));
    auto parts = vector::DeinterleaveOp::create(b, columns);
    b.store(parts.getRes1(), data, {b.index(0), segment, r, at});
    b.store(parts.getRes2(), data, {b.index(0), segment, r, b.add(at, deinterleavedColumns / 2)});
  }

  /// The row as integers: `scale` gives what is rounded to them.
  void writeFixedPoint(Value r, function_ref<Value(Value v)> scale) {
    if (plan.form == LinearPlan::Form::TwoWords)
      return writeTwoWords(r, scale);
    // Adding 1.5 * 2^23 rounds to nearest, ties to even, and leaves the integer in the low bits, above those of the
    // constant. A byte of it needs no more, and the sums start from what all the constants add.
    const int64_t constant = 0x4b400000, vectors = plan.layout.segmentSize / width;
    const bool isByte = plan.form == LinearPlan::Form::I8;
    Value start = b.splat(i32x16(), isByte ? -constant * vectors : 0);
    VectorType bytes = b.vec(b.getI8Type(), width);
    b.loop(b.index(0), b.index(plan.layout.segments()), 1, [&](Value segment) {
      Value base = b.mul(segment, plan.layout.segmentSize);
      Value total = overSegment(start, [&](Value i, Value carried) {
        Value shifted = b.addF(scale(b.load(f32x16(), row, b.add(base, i))), splatF(0x1.8p23f));
        Value units = b.bitcast(i32x16(), shifted);
        if (isByte) {
          b.store(arith::TruncIOp::create(b, bytes, units), data, {b.index(0), segment, r, i});
          return b.addI(carried, units);
        }
        units = b.subI(units, b.splat(i32x16(), constant));
        if (plan.hasWords()) {
          b.store(arith::TruncIOp::create(b, i16x16(), units), data, {b.index(0), segment, r, i});
        } else {
          Value high = arith::ShRSIOp::create(b, b.addI(units, b.splat(i32x16(), 64)), b.splat(i32x16(), 7));
          Value low = b.subI(units, b.shiftLeft(high, 7));
          b.store(arith::TruncIOp::create(b, bytes, high), data, {b.index(0), segment, r, i});
          b.store(arith::TruncIOp::create(b, bytes, low), data, {b.index(1), segment, r, i});
        }
        return b.addI(carried, units);
      });
      b.storeScalar(vector::ReductionOp::create(b, vector::CombiningKind::ADD, total), sums, {segment, r});
    });
  }

  void writeTwoWords(Value r, function_ref<Value(Value v)> scale) {
    b.loop(b.index(0), b.index(plan.layout.segments()), 1, [&](Value segment) {
      Value base = b.mul(segment, plan.layout.segmentSize);
      Value total = overSegment(splatF(0.0f), [&](Value i, Value carried) {
        Value v = b.load(f32x16(), row, b.add(base, i));
        if (plan.roundToBF16)
          v = b.extendFloat(b.truncateFloat(v, b.getBF16Type()));
        Value units = b.roundToInt(scale(v));
        Value high = b.addI(units, b.splat(i32x16(), 1 << 15));
        high = arith::ShRSIOp::create(b, high, b.splat(i32x16(), 16));
        b.store(arith::TruncIOp::create(b, i16x16(), high), data, {b.index(0), segment, r, i});
        b.store(arith::TruncIOp::create(b, i16x16(), units), data, {b.index(1), segment, r, i});
        return b.addF(carried, b.toFloat(units));
      });
      total = vector::ReductionOp::create(b, vector::CombiningKind::ADD, total, arith::FastMathFlags::reassoc);
      b.storeScalar(b.mulF(total, b.f32(plan.fixedPointUnit())), sums, {segment, r});
    });
  }

  void writePadding(Value r) {
    const Layout &layout = plan.layout;
    Type element = cast<MemRefType>(data.getType()).getElementType();
    Value zeros = b.zero(b.vec(element, width));
    b.loop(b.index(0), b.index(layout.segments()), 1, [&](Value segment) {
      for (int64_t plane = 0; plane < plan.activationPlanes(); ++plane)
        b.loop(b.index(0), b.index(layout.segmentSize), width,
               [&](Value i) { b.store(zeros, data, {b.index(plane), segment, r, i}); });
      if (plan.readsSums())
        b.storeScalar(plan.sumType(b).isInteger() ? b.i32(0) : b.f32(0.0f), sums, {segment, r});
    });
    if (plan.isInteger())
      b.storeScalar(b.f32(0.0f), scales, r);
  }

  KernelBuilder &b;
  const LinearPlan &plan;
  std::optional<StaticQuantizer> quantizer;
  std::optional<PatchGather> patches;
  Value x, permutation, columnScale, data, sums, scales, row;
  Value firstRow, m, paddedRows, begin, end;
};

} // namespace

void bq::writePrepareActivations(KernelBuilder &b, const LinearPlan &plan, func::FuncOp func) {
  PrepareActivations(b, plan, func).write();
}

int64_t bq::prepareScratchBytes(const LinearPlan &plan) { return scratchWords(plan) * sizeof(float); }
