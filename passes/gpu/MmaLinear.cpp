// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weights are operand A of tensor instructions: from memory to registers, decoded there, without shared memory. A warp
// goes along K segment by segment, with the words of the next one on their way. Activations, operand B, are in shared
// memory in their natural order: staged by the threads from x, or copied asynchronously from a prepared panel.
#include "passes/gpu/FragmentDecoder.h"
#include "passes/gpu/Lane.h"
#include "passes/gpu/StagedActivations.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

namespace {

class MmaLinear {
public:
  MmaLinear(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers)
      : b(b), plan(plan), layout(plan.layout), buffers(buffers), decoder(b, plan, buffers), lane(b),
        isInteger(plan.form == FragmentPlan::Form::I8) {
    firstBlock = b.mul(b.add(b.mul(b.block(gpu::Dimension::Y), FragmentPlan::warps), lane.warp), plan.blocks);
    if (decoder.hasOffset())
      ones = b.splat(b.i32(isInteger ? 0x01010101 : 0x3f803f80), 4);
  }

  void write() {
    SmallVector<Value> carried(plan.blocks * plan.tiles(), b.splat(b.f32(0.0f), 4));
    StagedActivations staged(b, plan, buffers);
    for (int64_t block = 0; block < plan.blocks; ++block)
      carried.append(decoder.load(blockAt(block), staged.begin(), lane.number));
    carried = staged.forEachSegment(carried, [&](const StagedActivations::Segment &segment, ValueRange state) {
      return multiplySegment(segment, b.min(b.add(segment.index, 1), b.sub(staged.end(), 1)), state);
    });

    SmallVector<Partial> partials;
    for (int64_t block = 0; block < plan.blocks; ++block)
      for (int64_t tile = 0; tile < plan.tiles(); ++tile)
        for (int64_t i = 0; i < 4; ++i) {
          Value blockInTile = b.add(b.mul(lane.warp, plan.blocks), block);
          Value column = b.add(b.mul(blockInTile, FragmentLayout::blockRows), lane.sumRow(b, i));
          Value row = lane.sumColumn(b, tile, i);
          Value isKept = plan.rows % 8 ? b.lessThan(row, b.i32(plan.rows)) : Value();
          partials.push_back({b.element(carried[block * plan.tiles() + tile], i), row, column, isKept});
        }
    writeResults(b, plan, buffers, partials);
  }

private:
  using Words = FragmentDecoder::Words;
  /// Units times blocks times tiles in the body of a loop; looking codes up takes more code than decoding them.
  int64_t maxUnitTiles() const { return plan.format.isTable() ? 8 : 16; }

  /// As i64. The last warps may have fewer blocks: they read the last one again, and do not store.
  Value blockAt(int64_t block) {
    if (layout.blocks() % (FragmentPlan::warps * plan.blocks))
      return b.wide(b.min(b.add(firstBlock, block), b.i32(layout.blocks() - 1)));
    return b.add(b.wide(firstBlock), block);
  }

  /// The B operands of a unit for each tile of eight rows, [tile][step]; i8 has one step.
  SmallVector<SmallVector<Value>> loadActivations(const StagedActivations::Segment &segment, Value unit) {
    SmallVector<SmallVector<Value>> result;
    const int64_t unitWords = FragmentLayout::unitCodes * plan.activationBytes() / 4, each = unitWords / 4;
    for (int64_t tile = 0; tile < plan.tiles(); ++tile) {
      Value row = b.add(lane.g, 8 * tile);
      if (plan.rows % 8)
        row = b.min(row, b.i32(plan.rows - 1));
      Value at =
          b.add(b.add(segment.first, b.mul(row, segment.stride)), b.add(b.mul(lane.t, each), b.mul(unit, unitWords)));
      Value loaded = b.load(b.vec(b.getI32Type(), each), segment.memory, at);
      result.emplace_back();
      for (int64_t step = 0; step < each / 2; ++step)
        result.back().push_back(each == 2 ? loaded
                                          : b.pack({b.element(loaded, 2 * step), b.element(loaded, 2 * step + 1)}));
    }
    return result;
  }

  Value mma(Value a, Value x, Value sum) {
    gpu::MmaKind kind = isInteger ? gpu::MmaKind::U8S8 : gpu::MmaKind::BF16;
    return gpu::MmaOp::create(b, sum.getType(), kind, a, x, sum);
  }

  SmallVector<Value> multiplySegment(const StagedActivations::Segment &segment, Value next, ValueRange state) {
    const int64_t tiles = plan.tiles(), loads = decoder.loads(), sumCount = plan.blocks * tiles;
    SmallVector<Words> weights;
    SmallVector<FragmentDecoder::Pair> scales, zeros;
    for (int64_t block = 0; block < plan.blocks; ++block) {
      Value at = blockAt(block);
      scales.push_back(decoder.loadScales(at, segment.index, lane.g));
      zeros.push_back(decoder.loadZeros(at, segment.index, lane.g));
      weights.push_back(decoder.words(state.slice(sumCount + block * loads, loads)));
    }
    const int64_t atATime = decoder.unitsAtATime(std::max<int64_t>(1, maxUnitTiles() / sumCount));
    const bool isUnrolled = atATime == layout.units();
    // The words of the next segment: where it can be, each is loaded when what is in its registers has been used up.
    SmallVector<Value> following(plan.blocks * loads);
    auto load = [&](int64_t i) { following[i] = decoder.loadPiece(blockAt(i / loads), next, lane.number, i % loads); };
    for (int64_t i = 0; !isUnrolled && i < plan.blocks * loads; ++i)
      load(i);

    SmallVector<Value> sums(sumCount + (decoder.hasOffset() ? tiles : 0),
                            b.splat(isInteger ? b.i32(0) : b.f32(0.0f), 4));
    sums = decoder.forEachUnits(atATime, weights, sums, [&](Value first, ArrayRef<Words> current, ValueRange partial) {
      SmallVector<Value> totals(partial);
      for (int64_t unit = 0; unit < atATime; ++unit) {
        multiplyUnit(loadActivations(segment, b.add(first, unit)), unit, current, totals);
        for (int64_t i = 0; isUnrolled && i < plan.blocks * loads; ++i)
          if (decoder.lastUnit(i % loads) == unit)
            load(i);
      }
      return totals;
    });
    SmallVector<Value> result;
    for (int64_t block = 0; block < plan.blocks; ++block)
      for (int64_t tile = 0; tile < tiles; ++tile) {
        SmallVector<Value> totals;
        for (int64_t i = 0; i < 4; ++i) {
          const bool isUpper = i / 2;
          Value activationSum = decoder.hasOffset() ? b.element(sums[sumCount + tile], i % 2) : Value();
          Value part = decoder.finish(b.element(sums[block * tiles + tile], i), activationSum,
                                      isUpper ? zeros[block].upper : zeros[block].lower, isUpper);
          totals.push_back(b.fma(isUpper ? scales[block].upper : scales[block].lower, part,
                                 b.element(state[block * tiles + tile], i)));
        }
        result.push_back(b.pack(totals));
      }
    result.append(following);
    return result;
  }

  /// Adds what a unit gives to the sums [block][tile], and its activations x [tile][step] to their sums behind those.
  void multiplyUnit(const SmallVector<SmallVector<Value>> &x, int64_t unit, ArrayRef<Words> weights,
                    MutableArrayRef<Value> sums) {
    const int64_t tiles = plan.tiles();
    for (size_t step = 0; step < x.front().size(); ++step) {
      // A matrix of ones sums the activations, in the lanes where they are wanted.
      if (decoder.hasOffset())
        for (int64_t tile = 0; tile < tiles; ++tile) {
          Value &sum = sums[plan.blocks * tiles + tile];
          sum = mma(ones, x[tile][step], sum);
        }
      for (int64_t block = 0; block < plan.blocks; ++block) {
        Value a =
            isInteger ? decoder.bytesFragment(weights[block], unit) : decoder.bf16Fragment(weights[block], unit, step);
        for (int64_t tile = 0; tile < tiles; ++tile) {
          Value &sum = sums[block * tiles + tile];
          sum = mma(a, x[tile][step], sum);
        }
      }
    }
  }

  GpuBuilder &b;
  const FragmentPlan &plan;
  const FragmentLayout &layout;
  const FragmentBuffers &buffers;
  FragmentDecoder decoder;
  const Lane lane;
  const bool isInteger;
  Value firstBlock, ones;
};

} // namespace

void bq::writeMmaLinear(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers) {
  MmaLinear(b, plan, buffers).write();
}
