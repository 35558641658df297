// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/KernelAbi.h"
#include "passes/Passes.h"
#include "passes/Schedules.h"
#include "passes/SoleOp.h"
#include "passes/cpu/PackedStep.h"

#include "mlir/IR/TypeUtilities.h"

namespace bq {
#define GEN_PASS_DEF_LOWERUPDATE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

/// What a kernel does of a step; a scale that spans the tensor takes two kernels.
enum class StepPart { Whole, Moments, Codes };

/// Writes abi::UpdateFn.
class UpdateRows {
public:
  UpdateRows(KernelBuilder &b, UpdateOp op, StringRef name, StepPart part)
      : b(b), memory(b), op(op), packed(op.getPackedType()), part(part) {
    Type f32 = b.getF32Type(), i8 = b.getI8Type(), index = b.getIndexType();
    Type gradientType = getElementTypeOrSelf(op.getGradient().getType());
    Type weightType = packed ? f32 : getElementTypeOrSelf(op.getWeight().getType());
    Type scaleType = packed ? packed.getScale() : f32;
    Type zeroType = packed && packed.getZero() == ZeroPointType::F32 ? f32 : i8;
    Type momentType = op.getMomentType() == MomentType::None ? f32 : getElementTypeOrSelf(op.getState().front());
    func = makeFunction(b, name,
                        {b.pointer(gradientType), b.pointer(weightType), b.pointer(i8), b.pointer(scaleType),
                         b.pointer(zeroType), b.pointer(i8), b.pointer(momentType), b.pointer(f32),
                         b.pointer(momentType), b.pointer(f32), b.pointer(f32), b.pointer(b.getI32Type()),
                         b.pointer(f32), b.pointer(f32), index, index, index});
    count = func.getArgument(14), begin = func.getArgument(15), end = func.getArgument(16);
  }

  void write() {
    Value far = b.index(std::numeric_limits<int64_t>::max());
    auto flat = [&](unsigned argument) { return b.view(func.getArgument(argument), {ShapedType::kDynamic}, far); };
    Value optionValues = b.view(func.getArgument(10), {abi::updateOptions});
    StepOptions options(b, op, optionValues);
    PhiloxRows philox(b, b.view(func.getArgument(11), {4}));
    MomentStep moments(b, memory, op, options, flat(0), flat(6), flat(7), flat(8), flat(9));
    if (!packed)
      return writeDense(options, philox, moments, flat(1));
    Value scratch = b.view(func.getArgument(13), {PackedStep::scratchFloats(op)});
    PackedStep weights(b, memory, op, options, flat(2), flat(3), flat(4), flat(5), scratch);
    Value rowScales = flat(12);
    if (part == StepPart::Whole && !moments.hasBlocks() && weights.hasEqualTiles())
      return writeChain(philox, moments, weights);
    const int64_t k = packed.getK();
    const bool isStored = part == StepPart::Codes;
    b.loop(begin, end, 1, [&](Value row) {
      Value rowFirst = b.mul(row, k), words = isStored ? Value() : weights.momentWords();
      weights.forEachTile([&](Value first, int64_t columns) {
        if (words && moments.hasBlocks())
          philox.writeFirst(row, first, b.index(columns), words);
        else if (words)
          philox.write(row, first, b.index(columns), words);
        Value start = b.add(rowFirst, first);
        weights.begin(row, first, columns);
        if (moments.hasBlocks()) {
          Value firstBlock = b.add(b.mul(row, llvm::divideCeil(k, abi::momentBlock)), b.div(first, abi::momentBlock));
          auto begin = [&](Value i, Value length, Value unit) { weights.countIn(unit, i, length); };
          auto step = [&](Value i, Value count, Value direction) {
            weights.move(weights.load(row, b.add(first, i), count), i, direction);
          };
          moments.blocks(start, b.index(columns), firstBlock, words, isStored, {begin, step, [](Value) {}});
          // Here, since the loops before have asked for the gradient and the moments.
          weights.prefetch(row, b.add(first, columns), columns);
        } else {
          memory.forEachStep(b.index(columns), [&](Value i, Value count) {
            moveStep(moments, weights, {row, first}, i, count, isStored);
          });
        }
        if (part == StepPart::Moments)
          return;
        rescale(philox, weights, {row, first}, columns);
        weights.encodeTile(row, first, columns);
      });
      if (part == StepPart::Moments)
        b.storeScalar(weights.wantedScale(row), rowScales, row);
    });
  }

private:
  struct Tile {
    Value row, first;
  };

  void moveStep(MomentStep &moments, PackedStep &weights, const Tile &tile, Value i, Value count, bool isStored) {
    Value words = isStored ? Value() : weights.momentWords(), column = b.add(tile.first, i);
    PackedStep::Old old = weights.load(tile.row, column, count);
    Value random = words ? PhiloxRows::load(b, words, i) : Value();
    Value at = b.add(b.mul(tile.row, packed.getK()), column);
    weights.move(old, i, moments.direction(at, count, random, isStored));
  }

  void rescale(PhiloxRows &philox, PackedStep &weights, const Tile &tile, int64_t columns) {
    if (weights.weightCarries())
      philox.writeFirstCarries(tile.row, tile.first, b.index(columns), weights.weightCarries());
    weights.rescale(tile.row, tile.first, columns);
  }

  /// The new values of a tile wait for roots and quotients: what they do not use of the CPU is for the codes of the
  /// tile before, whose values they take the place of.
  void writeChain(PhiloxRows &philox, MomentStep &moments, PackedStep &weights) {
    const int64_t columns = weights.columnsPerTile(), perRow = packed.getK() / columns;
    auto tileAt = [&](Value number) { return Tile{b.div(number, perRow), b.mul(b.rem(number, perRow), columns)}; };
    auto open = [&](const Tile &tile) {
      if (Value words = weights.momentWords())
        philox.write(tile.row, tile.first, b.index(columns), words);
      weights.begin(tile.row, tile.first, columns);
    };
    const int64_t atOnce = weights.columnsAtOnce();
    auto forEachSteps = [&](function_ref<void(Value)> body) { b.loop(b.index(0), b.index(columns), atOnce, body); };
    auto move = [&](const Tile &tile, Value i) {
      for (int64_t offset = 0; offset < atOnce; offset += rowStep)
        moveStep(moments, weights, tile, b.add(i, offset), Value(), /*isStored=*/false);
    };
    auto encode = [&](const Tile &tile, Value i) { weights.encodeAtOnce(tile.row, b.add(tile.first, i), i); };

    Value first = b.mul(begin, perRow), last = b.mul(end, perRow);
    b.when(arith::CmpIOp::create(b, arith::CmpIPredicate::slt, first, last), [&] {
      const Tile start = tileAt(first);
      open(start);
      forEachSteps([&](Value i) { move(start, i); });
      rescale(philox, weights, start, columns);
      b.loop(b.add(first, 1), last, 1, [&](Value number) {
        const Tile tile = tileAt(number), before = tileAt(b.sub(number, b.index(1)));
        open(tile);
        forEachSteps([&](Value i) {
          encode(before, i);
          move(tile, i);
        });
        rescale(philox, weights, tile, columns);
      });
      const Tile end = tileAt(b.sub(last, b.index(1)));
      forEachSteps([&](Value i) { encode(end, i); });
    });
  }

  void writeDense(const StepOptions &options, PhiloxRows &philox, MomentStep &moments, Value weight) {
    Type weightType = getElementTypeOrSelf(op.getWeight().getType());
    memory.prepare(weightType);
    const int64_t size = abi::denseUpdateRow;
    Value words;
    if (moments.isRandom())
      words = memory.onStack(b.getF32Type(), moments.hasBlocks() ? size / philoxBlock * rowStep : size);
    VectorType floats = b.vec(b.getF32Type(), rowStep);
    Value rate = b.broadcast(floats, options.rate), keep = b.broadcast(floats, options.keep);
    auto load = [&](Value at, Value partial) { return b.extendFloat(memory.load(weightType, weight, at, partial)); };
    auto move = [&](Value w, Value direction, Value rate, Value at, Value partial) {
      Value moved = b.mulF(b.fma(arith::NegFOp::create(b, direction), rate, w), keep);
      memory.store(b.truncateFloat(moved, weightType), weight, at, partial);
    };
    auto stepBlocks = [&](Value row, Value columns) {
      Value first = b.mul(row, size);
      philox.writeFirst(row, b.index(0), columns, words);
      Value blockRate;
      auto begin = [&](Value, Value, Value unit) { blockRate = b.broadcast(floats, b.mulF(options.rate, unit)); };
      auto step = [&](Value i, Value partial, Value direction) {
        Value at = b.add(first, i);
        move(load(at, partial), direction, blockRate, at, partial);
      };
      moments.blocks(first, columns, b.mul(row, size / abi::momentBlock), words, /*isStored=*/false,
                     {begin, step, [&](Value i) { b.prefetch(weight, b.add(first, i)); }});
    };
    auto step = [&](Value row, Value columns) {
      if (words)
        philox.write(row, b.index(0), columns, words);
      memory.forEachStep(columns, [&](Value column, Value partial) {
        Value at = b.add(b.mul(row, size), column);
        // Before anything is stored: a load behind a store to the same place in another page waits for it.
        Value w = load(at, partial);
        Value random = words ? PhiloxRows::load(b, words, column) : Value();
        move(w, moments.direction(at, partial, random, /*isStored=*/false), rate, at, partial);
      });
    };
    b.loop(begin, end, 1, [&](Value row) {
      Value whole = b.index(size), rest = b.sub(count, b.mul(row, size));
      if (!moments.hasBlocks())
        return step(row, b.min(rest, whole));
      // Known lengths make plain loops.
      auto is = [&](arith::CmpIPredicate predicate) { return arith::CmpIOp::create(b, predicate, rest, whole); };
      b.when(is(arith::CmpIPredicate::sge), [&] { stepBlocks(row, whole); });
      b.when(is(arith::CmpIPredicate::slt), [&] { stepBlocks(row, rest); });
    });
  }

  KernelBuilder &b;
  RowMemory memory;
  UpdateOp op;
  WeightType packed;
  StepPart part;
  func::FuncOp func;
  Value count, begin, end;
};

struct LowerUpdate : bq::impl::LowerUpdateBase<LowerUpdate> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<CpuTarget> target = targetOf(getOperation(), cpu);
    if (failed(target))
      return signalPassFailure();
    auto lower = [&](func::FuncOp func, UpdateOp op) {
      auto write = [&](const Twine &name, StepPart part) {
        OpBuilder builder(func);
        KernelBuilder b(op.getLoc(), builder, *target, target->lanes());
        UpdateRows(b, op, name.str(), part).write();
      };
      const bool isApart = op.getScaling().getValue() == ScaleUpdate::Tensor;
      if (isApart)
        write(func.getName() + "_prepare", StepPart::Moments);
      write(func.getName(), isApart ? StepPart::Codes : StepPart::Whole);
      return success();
    };
    if (failed(lowerSoleOps<UpdateOp>(getOperation(), lower)))
      signalPassFailure();
  }
};

} // namespace
