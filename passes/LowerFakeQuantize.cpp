// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"
#include "passes/Schedules.h"
#include "passes/SoleOp.h"

#include "dialect/core/Half.h"
#include "dialect/core/KernelAbi.h"

#include "mlir/IR/TypeUtilities.h"

namespace bq {
#define GEN_PASS_DEF_LOWERFAKEQUANTIZE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

/// Elements that are done at once.
constexpr int64_t step = 16;

/// Writes abi::FakeQuantizeFn, or abi::FakeQuantizeGradFn.
class FakeQuantizeChunks {
public:
  template <typename OpTy>
  FakeQuantizeChunks(KernelBuilder &b, OpTy op, StringRef name)
      : b(b), dataType(getElementTypeOrSelf(op.getInput().getType())), format(op.getFormat().getFormat()),
        hasZero(op.getZero() != nullptr), isGradient(std::is_same_v<OpTy, FakeQuantizeGradOp>) {
    Type index = b.getIndexType(), f32 = b.getF32Type();
    SmallVector<Type> arguments(isGradient ? 2 : 1, b.pointer(dataType));
    arguments.append({b.pointer(f32), b.pointer(f32), b.pointer(dataType)});
    if (isGradient)
      arguments.push_back(b.pointer(f32));
    arguments.append({index, index, index});
    func::FuncOp func = makeFunction(b, name, arguments);
    unsigned next = 0;
    Value far = b.index(std::numeric_limits<int32_t>::max());
    auto view = [&] { return b.view(func.getArgument(next++), {ShapedType::kDynamic}, far); };
    if (isGradient)
      gradient = view();
    input = view();
    scale = view();
    zero = view();
    output = view();
    if (isGradient)
      partials = view();
    columns = func.getArgument(next++);
    begin = func.getArgument(next++);
    end = func.getArgument(next++);
  }

  void write() {
    Value chunks = b.div(b.add(columns, abi::fakeQuantizeChunk - 1), abi::fakeQuantizeChunk);
    b.loop(begin, end, 1, [&](Value task) {
      Value row = arith::DivUIOp::create(b, task, chunks);
      Value rowStart = arith::MulIOp::create(b, row, columns);
      Value inRow = b.mul(b.sub(task, arith::MulIOp::create(b, row, chunks)), abi::fakeQuantizeChunk);
      Value length = b.min(b.sub(columns, inRow), b.index(abi::fakeQuantizeChunk));
      Value first = b.add(rowStart, inRow), last = b.add(first, length);
      Value whole = b.add(first, b.mul(b.div(length, step), step));

      const Row scalars = loadRow(row);
      const Row vectors{b.broadcast(floats(), scalars.scale), hasZero ? b.broadcast(floats(), scalars.zero) : Value()};
      if (!isGradient) {
        b.loop(first, whole, step, [&](Value i) { store(quantized(load(input, i, true), vectors), i); });
        b.loop(whole, last, 1, [&](Value i) { store(quantized(load(input, i, false), scalars), i); });
        return;
      }
      auto differentiate = [&](Value i, const Row &of, Value sum) {
        const bool isVector = isa<VectorType>(of.scale.getType());
        Value term = writeGradient(load(gradient, i, isVector), load(input, i, isVector), of, i);
        return SmallVector<Value>{b.addF(sum, term)};
      };
      SmallVector<Value> lanes = b.loop(first, whole, step, {splat(0.0f)}, [&](Value i, ValueRange carried) {
        return differentiate(i, vectors, carried[0]);
      });
      Value sum = vector::ReductionOp::create(b, vector::CombiningKind::ADD, lanes[0]);
      SmallVector<Value> all = b.loop(
          whole, last, 1, {sum}, [&](Value i, ValueRange carried) { return differentiate(i, scalars, carried[0]); });
      b.storeScalar(all[0], partials, task);
    });
  }

private:
  /// What the elements of a row have in common: scalars, or the same in every lane.
  struct Row {
    Value scale;
    Value zero; ///< Null where there is none.
  };

  /// An element before it is rounded, clamped to the range, and rounded.
  struct Code {
    Value exact, clamped, rounded;
  };

  VectorType floats() { return b.vec(b.getF32Type(), step); }
  Value splat(float value) { return arith::ConstantOp::create(b, DenseElementsAttr::get(floats(), value)); }
  /// A constant like `x`, scalar or vector.
  Value like(Value x, float value) { return isa<VectorType>(x.getType()) ? splat(value) : b.f32(value); }
  Value compare(arith::CmpFPredicate predicate, Value l, Value r) { return arith::CmpFOp::create(b, predicate, l, r); }

  Row loadRow(Value row) {
    Value given = b.loadScalar(scale, row), least = b.f32(minNormal(ElementType::F32));
    // NaN stays.
    Value used = b.select(compare(arith::CmpFPredicate::OLT, given, least), least, given);
    return {used, hasZero ? b.loadScalar(zero, row) : Value()};
  }

  Value load(Value buffer, Value i, bool isVector) {
    return b.extendFloat(isVector ? b.load(b.vec(dataType, step), buffer, i) : b.loadScalar(buffer, i));
  }
  void store(Value values, Value i) {
    Value rounded = b.truncateFloat(values, dataType);
    if (isa<VectorType>(values.getType()))
      b.store(rounded, output, i);
    else
      b.storeScalar(rounded, output, i);
  }

  Code code(Value x, const Row &row) {
    Value low = like(x, static_cast<float>(format.leastValue())),
          high = like(x, static_cast<float>(format.greatestValue()));
    Code of;
    of.exact = b.divF(x, row.scale);
    if (row.zero)
      of.exact = b.addF(of.exact, row.zero);
    of.clamped = b.select(compare(arith::CmpFPredicate::OLT, of.exact, low), low, of.exact);
    of.clamped = b.select(compare(arith::CmpFPredicate::OGT, of.clamped, high), high, of.clamped);
    if (format.kind == Format::Kind::Sign) {
      Value positive = b.select(compare(arith::CmpFPredicate::OGE, x, like(x, 0.0f)), high, x);
      of.rounded = b.select(compare(arith::CmpFPredicate::OLT, x, like(x, 0.0f)), low, positive);
    } else {
      // Nearest integer, ties to even, of a number below 2^22: adding 1.5 * 2^23 leaves no bits for a fraction.
      Value magic = like(x, 0x1.8p23f);
      of.rounded = b.subF(b.addF(of.clamped, magic), magic);
    }
    return of;
  }

  Value quantized(Value x, const Row &row) {
    Value rounded = code(x, row).rounded;
    return b.mulF(row.scale, row.zero ? b.subF(rounded, row.zero) : rounded);
  }

  /// Stores the gradient of x; gives what its element adds to that of the scale.
  Value writeGradient(Value outer, Value x, const Row &row, Value i) {
    const Code of = code(x, row);
    Value isOutside = compare(arith::CmpFPredicate::ONE, of.exact, of.clamped), none = like(x, 0.0f);
    store(b.select(isOutside, none, outer), i);
    Value constant = row.zero ? row.zero : none;
    return b.mulF(outer, b.subF(of.rounded, b.select(isOutside, constant, of.exact)));
  }

  KernelBuilder &b;
  Type dataType;
  Format format;
  bool hasZero, isGradient;
  Value gradient, input, scale, zero, output, partials, columns, begin, end;
};

struct LowerFakeQuantize : bq::impl::LowerFakeQuantizeBase<LowerFakeQuantize> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<CpuTarget> target = targetOf(getOperation(), cpu);
    if (failed(target))
      return signalPassFailure();
    auto write = [](KernelBuilder &b, auto op, StringRef name) { FakeQuantizeChunks(b, op, name).write(); };
    if (failed(lowerToOneFunction<FakeQuantizeOp, KernelBuilder>(getOperation(), write, *target, target->lanes())) ||
        failed(lowerToOneFunction<FakeQuantizeGradOp, KernelBuilder>(getOperation(), write, *target, target->lanes())))
      signalPassFailure();
  }
};

} // namespace
