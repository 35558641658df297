// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/CudaNoiseAbi.h"
#include "passes/Passes.h"
#include "passes/SoleOp.h"
#include "passes/cpu/ExpandPhilox.h"
#include "passes/gpu/NoiseNumbers.h"
#include "passes/gpu/RowKernel.h"

#include "mlir/IR/TypeUtilities.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

#include <optional>

namespace bq {
#define GEN_PASS_DEF_GPULOWERDIFFQNOISE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

constexpr int64_t chunkSize = abi::noiseChunk, warp = 32;
constexpr int64_t threads = RowRound::columns / RowPiece::columns;
static_assert(chunkSize == RowRound::columns, "a block of threads does a chunk in one round");

/// What cuda::DiffqNoiseFn and cuda::DiffqNoiseGradFn have in common. Elements and groups of a chunk are counted from
/// its start: a group of it is `size` elements, of which the first and the last may have fewer there.
class NoiseChunk {
protected:
  template <typename OpTy>
  NoiseChunk(GpuBuilder &b, OpTy op, Value elements, StringRef name, TypeRange results)
      : b(b), dataType(getElementTypeOrSelf(elements.getType())), group(op.getGroup()),
        size(group ? std::min(group, chunkSize) : chunkSize), rows(b, chunkSize, chunkSize) {
    Type f32 = b.getF32Type(), i32 = b.getI32Type();
    SmallVector<Type> arguments = {b.floatPointer(dataType), b.pointer(f32), f32, i32, i32, i32, i32};
    llvm::append_range(arguments, results);
    arguments.push_back(b.getI64Type());
    func = rows.begin(name, arguments);
    input = func.getArgument(0), bits = func.getArgument(1), scale = func.getArgument(2);
    noise.emplace(
        b, op.getNoise().getValue(), op.getRounds(),
        std::array<Value, 4>{func.getArgument(3), func.getArgument(4), func.getArgument(5), func.getArgument(6)});
    chunk = b.block(gpu::Dimension::X);
    first = b.mul(b.wide(chunk), chunkSize);
    length = narrow(b.min(b.sub(func.getArguments().back(), first), b.i64(chunkSize)));
    findGroups();
    units = b.shared(f32, isAligned() ? chunkSize / size : (chunkSize + size - 2) / size + 1);
    b.loop(b.thread(), groups, b.i32(threads),
           [&](Value g) { b.store(NoiseNumbers::unit(b, b.load(bits, b.add(firstGroup, b.wide(g)))), units, g); });
    b.barrier();
  }

  /// body(i, x, noise) for the elements of the chunk.
  void forEachElement(function_ref<void(Value i, Value x, Value noise)> body) {
    constexpr int64_t counters = chunkSize / NoiseNumbers::perCounter, apart = NoiseNumbers::apart;
    b.loop(b.thread(), b.i32(counters), b.i32(threads), [&](Value counter) {
      Value i = b.add(b.mul(b.div(counter, apart), abi::noiseBlock), b.rem(counter, apart));
      // In place of an element that is not there the last is read, so that nothing branches before the noise.
      SmallVector<Value> values;
      for (int64_t part = 0; part < NoiseNumbers::perCounter; ++part)
        values.push_back(
            b.loadFloat(dataType, input, b.add(first, b.wide(b.min(b.add(i, part * apart), b.sub(length, 1))))));
      const auto numbers = noise->of(b.add(b.mul(b.wide(chunk), counters), b.wide(counter)));
      for (int64_t part = 0; part < NoiseNumbers::perCounter; ++part) {
        Value at = b.add(i, part * apart);
        b.when(b.lessThan(at, length), [&] { body(at, values[part], numbers[part]); });
      }
    });
  }

  /// The step of an element in units of the scale.
  Value unitAt(Value i) {
    return b.load(units, size < chunkSize || !isAligned() ? b.div(b.sub(i, begin), size) : b.i32(0));
  }

  Value narrow(Value wide) { return arith::TruncIOp::create(b, b.getI32Type(), wide); }
  /// Whether chunks are whole groups, or parts of one.
  bool isAligned() const { return !group || group % chunkSize == 0 || chunkSize % group == 0; }
  /// Whether a group can begin before a chunk and go on in it.
  bool hasHeads() const { return !group || chunkSize % group != 0; }

  GpuBuilder &b;
  Type dataType;
  int64_t group, size;
  RowKernel rows;
  func::FuncOp func;
  std::optional<NoiseNumbers> noise;
  Value input, bits, scale, units;
  Value chunk, first, length; ///< i32, i64, i32
  Value firstGroup, into;     ///< i64: the group of the chunk's first element, and how many of it are before that.
  Value begin;                ///< i32: where that would begin if it had `size` elements until its end; 0 or less.
  Value groups;               ///< i32

private:
  void findGroups() {
    firstGroup = group ? b.div(first, group) : b.i64(0);
    into = group ? b.sub(first, b.mul(firstGroup, b.i64(group))) : first;
    begin = b.i32(0);
    if (!isAligned())
      begin = b.sub(narrow(b.min(b.sub(b.i64(group), into), b.i64(size))), size);
    groups = b.add(b.div(b.sub(b.sub(length, 1), begin), size), 1);
  }
};

struct Forward : NoiseChunk {
  Forward(GpuBuilder &b, DiffqNoiseOp op, StringRef name)
      : NoiseChunk(b, op, op.getInput(), name, {b.floatPointer(getElementTypeOrSelf(op.getInput().getType()))}) {}

  void write() {
    Value output = func.getArgument(7);
    forEachElement([&](Value i, Value x, Value n) {
      Value noisy = b.fma(b.mulF(scale, unitAt(i)), n, x);
      b.storeFloat(dataType, noisy, output, b.add(first, b.wide(i)));
    });
  }
};

struct Backward : NoiseChunk {
  Backward(GpuBuilder &b, DiffqNoiseGradOp op, StringRef name)
      : NoiseChunk(b, op, op.getGradient(), name, SmallVector<Type>(3, b.pointer(b.getF32Type()))),
        products(b.shared(b.getF32Type(), chunkSize + chunkSize / warp)) {}

  void write() {
    Value bitsGradient = func.getArgument(7), heads = func.getArgument(8), scaleParts = func.getArgument(9);
    forEachElement([&](Value i, Value g, Value n) { b.store(b.mulF(g, n), products, placeOf(i)); });
    b.barrier();

    // A thread for each short group, a warp for each long one.
    const int64_t team = size > warp ? warp : 1;
    Value member = b.rem(b.thread(), team), isFirst = b.equal(member, b.i32(0)), none = b.f32(0.0f);
    auto add = [&](Value l, Value r) { return b.addF(l, r); };
    Value total =
        b.loop(b.div(b.thread(), team), groups, b.i32(threads / team), none, [&](Value g, ValueRange carried) {
          Value low = b.add(begin, b.mul(g, size)), high = b.min(b.add(low, size), length);
          Value sum =
              b.loop(b.add(b.max(low, b.i32(0)), member), high, b.i32(team), none, [&](Value i, ValueRange sums) {
                return SmallVector<Value>{b.addF(sums[0], b.load(products, placeOf(i)))};
              })[0];
          if (team == warp)
            sum = b.reduceWarp(sum, add);
          Value unit = b.load(units, g);
          Value part = b.mulF(b.mulF(b.mulF(scale, b.f32(-0.6931472f)), b.fma(unit, unit, unit)), sum);
          auto storeOwn = [&] { b.store(part, bitsGradient, b.add(firstGroup, b.wide(g))); };
          auto storeHead = [&] { b.store(part, heads, chunk); };
          b.when(isFirst, [&] {
            if (hasHeads())
              b.when(b.both(b.equal(g, b.i32(0)), b.lessThan(b.i64(0), into)), storeHead, storeOwn);
            else
              storeOwn();
          });
          return SmallVector<Value>{b.fma(unit, sum, carried[0])};
        })[0];
    total = b.reduceBlock(b.select(isFirst, total, none), threads, add);
    b.when(b.equal(b.thread(), b.i32(0)), [&] {
      b.store(total, scaleParts, chunk);
      auto storeNone = [&] { b.store(none, heads, chunk); };
      hasHeads() ? b.when(b.equal(into, b.i64(0)), storeNone) : storeNone();
    });
  }

private:
  /// Where the product of an element waits: threads that read short groups use banks of their own.
  Value placeOf(Value i) { return b.add(i, b.div(i, warp)); }

  Value products;
};

struct GpuLowerDiffqNoise : bq::impl::GpuLowerDiffqNoiseBase<GpuLowerDiffqNoise> {
  void runOnOperation() override {
    auto forward = [](GpuBuilder &b, DiffqNoiseOp op, StringRef name) { Forward(b, op, name).write(); };
    auto backward = [](GpuBuilder &b, DiffqNoiseGradOp op, StringRef name) { Backward(b, op, name).write(); };
    if (failed(lowerToOneFunction<DiffqNoiseOp, GpuBuilder>(getOperation(), forward)) ||
        failed(lowerToOneFunction<DiffqNoiseGradOp, GpuBuilder>(getOperation(), backward)))
      return signalPassFailure();
    RewritePatternSet patterns(&getContext());
    populateExpandPhiloxPatterns(patterns);
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};

} // namespace
