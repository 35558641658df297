// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"
#include "passes/Schedules.h"
#include "passes/SoleOp.h"
#include "passes/cpu/NoiseVectors.h"

#include "mlir/IR/TypeUtilities.h"

#include <numeric>

namespace bq {
#define GEN_PASS_DEF_LOWERDIFFQNOISE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

/// Elements whose noise is made at once.
constexpr int64_t noiseStep = 2 * rowStep;
/// Elements from one of which something is asked for ahead, as in LowerWeightRange.cpp.
constexpr int64_t prefetched = 4 * abi::noiseChunk;

/// What abi::DiffqNoiseFn and abi::DiffqNoiseGradFn have in common: chunks, their groups and their noise.
class NoiseChunks {
protected:
  template <typename OpTy>
  NoiseChunks(KernelBuilder &b, OpTy op, Value elements, StringRef name, TypeRange results)
      : b(b), memory(b), dataType(getElementTypeOrSelf(elements.getType())), group(op.getGroup()) {
    Type f32 = b.getF32Type(), index = b.getIndexType();
    SmallVector<Type> arguments = {b.pointer(dataType), b.pointer(f32), b.pointer(f32), b.pointer(b.getI32Type())};
    llvm::append_range(arguments, results);
    arguments.append(3, index);
    func = makeFunction(b, name, arguments);
    far = b.index(std::numeric_limits<int64_t>::max());
    input = flat(0), bits = flat(1);
    scale = b.loadScalar(b.view(func.getArgument(2), {1}), b.index(0));
    count = func.getArgument(arguments.size() - 3);
    noise.emplace(b, op.getNoise().getValue(), op.getRounds(), b.view(func.getArgument(3), {4}));
    memory.prepare(f32);
    units = memory.onStack(f32, abi::noiseChunk + rowStep);
    words = memory.onStack(b.getI32Type(), abi::noiseChunk);
    rest = memory.onStack(f32, noiseStep);
    if (!isSplat() && !dividesStep())
      spread = memory.onStack(f32, abi::noiseChunk);
  }

  /// body() for each chunk; `task`, `first`, `length` and `firstGroup` are its, and `units` holds those of its groups.
  void forEachChunk(function_ref<void()> body) {
    const unsigned last = func.getNumArguments() - 1;
    b.loop(func.getArgument(last - 1), func.getArgument(last), 1, [&](Value chunk) {
      task = chunk;
      first = b.mul(task, abi::noiseChunk);
      length = b.min(b.sub(count, first), b.index(abi::noiseChunk));
      firstGroup = groupOf(first);
      groups = b.add(b.sub(groupOf(b.sub(b.add(first, length), b.index(1))), firstGroup), 1);
      memory.forEachStep(groups, [&](Value g, Value partial) {
        Value ofGroups = memory.load(b.getF32Type(), bits, b.add(firstGroup, g), partial);
        Value unit = NoiseVectors::unit(b, ofGroups);
        b.store(unitFactor ? b.mulF(unitFactor, unit) : unit, units, g);
      });
      if (spread)
        forEachGroup([&](Value g, Value begin, Value end) {
          Value unit = b.loadScalar(units, g);
          b.loop(begin, end, 1, [&](Value i) { b.storeScalar(unit, spread, i); });
        });
      body();
    });
  }

  /// body(i, noise) for the elements of the chunk, `i` counting from its start: sixteen at a time, then one by one.
  void forEachNoise(function_ref<void(Value i, Value noise)> body) {
    noise->fill(first, length, words);
    auto noiseAt = [&](Value i) {
      VectorType integers = b.vec(b.getI32Type(), rowStep);
      return noise->noise(b.load(integers, words, i), b.load(integers, words, b.add(i, rowStep)));
    };
    Value whole = b.mul(b.div(length, noiseStep), noiseStep);
    b.loop(b.index(0), whole, noiseStep, [&](Value i) {
      auto [low, high] = noiseAt(i);
      body(i, low);
      body(b.add(i, rowStep), high);
    });
    b.when(arith::CmpIOp::create(b, arith::CmpIPredicate::ne, whole, length), [&] {
      auto [low, high] = noiseAt(whole);
      b.store(low, rest, b.index(0));
      b.store(high, rest, b.index(rowStep));
      b.loop(whole, length, 1, [&](Value i) { body(i, b.loadScalar(rest, b.sub(i, whole))); });
    });
  }

  /// body(g, begin, end) for the groups of the chunk, all counting from its start.
  void forEachGroup(function_ref<void(Value g, Value begin, Value end)> body) {
    b.loop(b.index(0), groups, 1, [&](Value g) {
      if (!group)
        return body(g, b.index(0), length);
      Value begin = b.sub(b.mul(b.add(firstGroup, g), group), first);
      body(g, b.max(begin, b.index(0)), b.min(b.add(begin, group), length));
    });
  }

  /// The units of the elements that forEachNoise() has at hand.
  Value unitsAt(Value i, bool isVector) {
    auto inChunk = [&] { return group ? b.sub(groupOf(b.add(first, i)), firstGroup) : b.index(0); };
    if (!isVector)
      return b.loadScalar(units, inChunk());
    if (spread)
      return b.load(floats(), spread, i);
    if (isSplat())
      return b.broadcast(floats(), b.loadScalar(units, inChunk()));
    SmallVector<int64_t> order(rowStep);
    for (int64_t lane = 0; lane < rowStep; ++lane)
      order[lane] = lane / group;
    Value some = b.load(b.vec(b.getF32Type(), rowStep / group), units, b.div(i, group));
    return vector::ShuffleOp::create(b, some, some, order);
  }

  Value load(Value i, bool isVector) {
    Value at = b.add(first, i);
    return b.extendFloat(isVector ? b.load(b.vec(dataType, rowStep), input, at) : b.loadScalar(input, at));
  }

  VectorType floats() { return b.vec(b.getF32Type(), rowStep); }
  Value flat(unsigned argument) { return b.view(func.getArgument(argument), {ShapedType::kDynamic}, far); }
  Value groupOf(Value element) { return group ? b.div(element, group) : b.index(0); }
  /// Whether all elements of a step are of one group.
  bool isSplat() const { return group % rowStep == 0; }
  /// Whether a step is whole groups.
  bool dividesStep() const { return group && rowStep % group == 0; }

  KernelBuilder &b;
  RowMemory memory;
  Type dataType;
  int64_t group;
  func::FuncOp func;
  std::optional<NoiseVectors> noise;
  Value far, input, bits, scale, count;
  Value unitFactor;   ///< What units are multiplied by, where not null.
  Value units, words; ///< Of the chunk's groups; the random words of its elements.
  Value rest;         ///< Noise of what is less than a step.
  Value spread;       ///< Of the chunk's elements their units, where a step holds parts of groups.
  Value task, first, length, firstGroup, groups;
};

struct Forward : NoiseChunks {
  Forward(KernelBuilder &b, DiffqNoiseOp op, StringRef name)
      : NoiseChunks(b, op, op.getInput(), name, {b.pointer(getElementTypeOrSelf(op.getInput().getType()))}) {}

  void write() {
    Value output = flat(4);
    unitFactor = b.broadcast(floats(), scale);
    forEachChunk([&] {
      b.prefetch(input, b.add(first, prefetched));
      b.prefetch(output, b.add(first, prefetched));
      forEachNoise([&](Value i, Value n) {
        const bool isVector = isa<VectorType>(n.getType());
        Value at = b.add(first, i);
        Value noisy = b.truncateFloat(b.fma(unitsAt(i, isVector), n, load(i, isVector)), dataType);
        isVector ? b.store(noisy, output, at) : b.storeScalar(noisy, output, at);
      });
    });
  }
};

struct Backward : NoiseChunks {
  Backward(KernelBuilder &b, DiffqNoiseGradOp op, StringRef name)
      : NoiseChunks(b, op, op.getGradient(), name, SmallVector<Type>(3, b.pointer(b.getF32Type()))),
        products(memory.onStack(b.getF32Type(), abi::noiseChunk)) {}

  void write() {
    bitsGradient = flat(4), heads = flat(5);
    Value scaleParts = flat(6);
    forEachChunk([&] {
      forEachNoise([&](Value i, Value n) {
        const bool isVector = isa<VectorType>(n.getType());
        Value product = b.mulF(load(i, isVector), n);
        isVector ? b.store(product, products, i) : b.storeScalar(product, products, i);
      });
      b.storeScalar(dividesStep() ? sumSmallGroups() : sumGroups(), scaleParts, task);
    });
  }

private:
  /// d noisy / d bits by the noise, of groups whose units these are.
  Value slope(Value unit) {
    auto like = [&](Value scalar) { return isa<VectorType>(unit.getType()) ? b.broadcast(floats(), scalar) : scalar; };
    Value factor = b.mulF(scale, b.f32(-0.6931472f));
    return b.mulF(like(factor), b.fma(unit, unit, unit));
  }

  /// Sixteen groups at a time, each of which fills a part of a step.
  Value sumSmallGroups() {
    Value none = b.zero(floats());
    b.loop(length, b.index(abi::noiseChunk), 1, [&](Value i) { b.storeScalar(b.f32(0.0f), products, i); });
    Value lanes = memory.forEachStep(groups, none, [&](Value g, Value partial, Value sum) {
      SmallVector<Value> parts;
      for (int64_t i = 0; i < group; ++i)
        parts.push_back(b.load(floats(), products, b.add(b.mul(g, group), i * rowStep)));
      while (parts.size() > 1) {
        for (size_t i = 0; i < parts.size() / 2; ++i)
          parts[i] = sumNeighbours(parts[2 * i], parts[2 * i + 1]);
        parts.resize(parts.size() / 2);
      }
      Value unit = b.load(floats(), units, g);
      memory.store(b.mulF(slope(unit), parts[0]), bitsGradient, b.add(firstGroup, g), partial);
      return b.fma(unit, parts[0], sum);
    });
    b.storeScalar(b.f32(0.0f), heads, task);
    return sumLanes(lanes);
  }

  /// The sums of neighbours in both, one after the other.
  Value sumNeighbours(Value low, Value high) {
    SmallVector<int64_t> even(rowStep), odd(rowStep);
    for (int64_t lane = 0; lane < rowStep; ++lane)
      even[lane] = 2 * lane, odd[lane] = 2 * lane + 1;
    return b.addF(vector::ShuffleOp::create(b, low, high, even), vector::ShuffleOp::create(b, low, high, odd));
  }

  Value sumLanes(Value vector) {
    for (int64_t lanes = rowStep / 2; lanes; lanes /= 2)
      vector = b.addF(b.slice(vector, 0, lanes), b.slice(vector, lanes, lanes));
    return vector::ExtractOp::create(b, vector, 0);
  }

  Value sumGroups() {
    b.storeScalar(b.f32(0.0f), heads, task);
    Value startsBefore =
        arith::CmpIOp::create(b, arith::CmpIPredicate::ne, group ? b.rem(first, group) : first, b.index(0));
    Value isInside = b.select(startsBefore, b.index(1), b.index(0));
    Value sum = b.loop(b.index(0), groups, 1, {b.f32(0.0f)}, [&](Value g, ValueRange carried) {
      Value begin = b.index(0), end = length;
      if (group) {
        begin = b.sub(b.mul(b.add(firstGroup, g), group), first);
        end = b.min(b.add(begin, group), length);
        begin = b.max(begin, b.index(0));
      }
      Value whole = b.add(begin, b.mul(b.div(b.sub(end, begin), rowStep), rowStep));
      auto add = [&](Value i, Value total, bool isVector) {
        return SmallVector<Value>{b.addF(total, isVector ? b.load(floats(), products, i) : b.loadScalar(products, i))};
      };
      Value lanes = b.loop(begin, whole, rowStep, {b.zero(floats())},
                           [&](Value i, ValueRange total) { return add(i, total[0], true); })[0];
      Value ofGroup = b.loop(whole, end, 1, {sumLanes(lanes)},
                             [&](Value i, ValueRange total) { return add(i, total[0], false); })[0];
      Value unit = b.loadScalar(units, g), part = b.mulF(slope(unit), ofGroup);
      Value isHead = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, g, isInside);
      b.when(isHead, [&] { b.storeScalar(part, heads, task); });
      Value isOwn = arith::CmpIOp::create(b, arith::CmpIPredicate::uge, g, isInside);
      b.when(isOwn, [&] { b.storeScalar(part, bitsGradient, b.add(firstGroup, g)); });
      return SmallVector<Value>{b.fma(unit, ofGroup, carried[0])};
    })[0];
    return sum;
  }

  Value products, bitsGradient, heads;
};

struct LowerDiffqNoise : bq::impl::LowerDiffqNoiseBase<LowerDiffqNoise> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<CpuTarget> target = targetOf(getOperation(), cpu);
    if (failed(target))
      return signalPassFailure();
    auto forward = [](KernelBuilder &b, DiffqNoiseOp op, StringRef name) { Forward(b, op, name).write(); };
    auto backward = [](KernelBuilder &b, DiffqNoiseGradOp op, StringRef name) { Backward(b, op, name).write(); };
    if (failed(lowerToOneFunction<DiffqNoiseOp, KernelBuilder>(getOperation(), forward, *target, target->lanes())) ||
        failed(lowerToOneFunction<DiffqNoiseGradOp, KernelBuilder>(getOperation(), backward, *target, target->lanes())))
      signalPassFailure();
  }
};

} // namespace
