// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weights are operand A of tensor instructions: from memory to registers, decoded there, without shared memory. A warp
// goes along K segment by segment, with the words of the next one on their way. Activations, operand B, are in shared
// memory in their natural order: staged by the threads from x, or copied asynchronously from a prepared panel.
#include "passes/gpu/FragmentDecoder.h"
#include "passes/gpu/StagedActivations.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

namespace {

class MmaLinear {
public:
  MmaLinear(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers)
      : b(b), plan(plan), layout(plan.layout), buffers(buffers), decoder(b, plan, buffers),
        isInteger(plan.form == FragmentPlan::Form::I8) {
    Value thread = b.thread();
    lane = b.rem(thread, 32);
    g = b.div(lane, 4);
    t = b.rem(lane, 4);
    warp = b.div(thread, 32);
    firstBlock = b.mul(b.add(b.mul(b.block(gpu::Dimension::Y), FragmentPlan::warps), warp), plan.blocks);
    if (decoder.hasOffset())
      ones = b.splat(b.i32(isInteger ? 0x01010101 : 0x3f803f80), 4);
  }

  void write() {
    SmallVector<Value> carried(plan.blocks * plan.tiles(), b.splat(b.f32(0.0f), 4));
    StagedActivations staged(b, plan, buffers);
    for (int64_t block = 0; block < plan.blocks; ++block)
      carried.append(decoder.load(blockAt(block), staged.begin(), lane));
    carried = staged.forEachSegment(carried, [&](const StagedActivations::Segment &segment, ValueRange state) {
      return multiplySegment(segment, b.min(b.add(segment.index, 1), b.sub(staged.end(), 1)), state);
    });

    SmallVector<Partial> partials;
    for (int64_t block = 0; block < plan.blocks; ++block)
      for (int64_t tile = 0; tile < plan.tiles(); ++tile)
        for (int64_t i = 0; i < 4; ++i) {
          Value blockInTile = b.add(b.mul(warp, plan.blocks), block);
          Value column = b.add(b.mul(blockInTile, FragmentLayout::blockRows), b.add(g, i / 2 * 8));
          Value row = b.add(b.mul(t, 2), 8 * tile + i % 2);
          Value isKept = plan.rows % 8 ? b.lessThan(row, b.i32(plan.rows)) : b.i1(true);
          partials.push_back({b.element(carried[block * plan.tiles() + tile], i), row, column, isKept});
        }
    writeResults(b, plan, buffers, partials);
  }

private:
  /// As i64. The last warps may have fewer blocks: they read the last one again, and do not store.
  Value blockAt(int64_t block) {
    if (layout.blocks() % (FragmentPlan::warps * plan.blocks))
      return b.wide(b.min(b.add(firstBlock, block), b.i32(layout.blocks() - 1)));
    return b.add(b.wide(firstBlock), block);
  }

  /// The B operands of a unit for each tile of eight rows, [tile][step]; i8 has one step.
  SmallVector<SmallVector<Value>> loadActivations(const StagedActivations::Segment &segment, int64_t unit) {
    SmallVector<SmallVector<Value>> result;
    const int64_t unitWords = FragmentLayout::unitCodes * plan.activationBytes() / 4, each = unitWords / 4;
    for (int64_t tile = 0; tile < plan.tiles(); ++tile) {
      Value row = b.add(g, 8 * tile);
      if (plan.rows % 8)
        row = b.min(row, b.i32(plan.rows - 1));
      Value at = b.add(b.add(segment.first, b.mul(row, segment.stride)), b.add(b.mul(t, each), unit * unitWords));
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
    const int64_t tiles = plan.tiles(), loads = decoder.loads();
    // The words of the next segment, each loaded when what is in its registers has been used up.
    SmallVector<Value> following(plan.blocks * loads);
    SmallVector<FragmentDecoder::Words> weights;
    SmallVector<FragmentDecoder::Pair> scales, zeros;
    for (int64_t block = 0; block < plan.blocks; ++block) {
      Value at = blockAt(block);
      scales.push_back(decoder.loadScales(at, segment.index, g));
      zeros.push_back(decoder.loadZeros(at, segment.index, g));
      weights.push_back(decoder.words(state.slice(plan.blocks * tiles + block * loads, loads)));
    }
    Value zero = b.splat(isInteger ? b.i32(0) : b.f32(0.0f), 4);
    SmallVector<Value> sums(plan.blocks * tiles, zero), activationSums(tiles, zero);
    for (int64_t unit = 0; unit < layout.units(); ++unit) {
      SmallVector<SmallVector<Value>> x = loadActivations(segment, unit);
      for (size_t step = 0; step < x.front().size(); ++step) {
        // A matrix of ones sums the activations, in the lanes where they are wanted.
        if (decoder.hasOffset())
          for (int64_t tile = 0; tile < tiles; ++tile)
            activationSums[tile] = mma(ones, x[tile][step], activationSums[tile]);
        for (int64_t block = 0; block < plan.blocks; ++block) {
          Value a = isInteger ? decoder.bytesFragment(weights[block], unit)
                              : decoder.bf16Fragment(weights[block], unit, step);
          for (int64_t tile = 0; tile < tiles; ++tile)
            sums[block * tiles + tile] = mma(a, x[tile][step], sums[block * tiles + tile]);
        }
      }
      for (int64_t i = 0; i < plan.blocks * loads; ++i)
        if (decoder.lastUnit(i % loads) == unit)
          following[i] = decoder.loadPiece(blockAt(i / loads), next, lane, i % loads);
    }
    SmallVector<Value> result;
    for (int64_t block = 0; block < plan.blocks; ++block)
      for (int64_t tile = 0; tile < tiles; ++tile) {
        SmallVector<Value> totals;
        for (int64_t i = 0; i < 4; ++i) {
          const bool isUpper = i / 2;
          Value activationSum = decoder.hasOffset() ? b.element(activationSums[tile], i % 2) : Value();
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

  GpuBuilder &b;
  const FragmentPlan &plan;
  const FragmentLayout &layout;
  const FragmentBuffers &buffers;
  FragmentDecoder decoder;
  const bool isInteger;
  Value lane, warp, g, t, firstBlock, ones;
};

} // namespace

void bq::writeMmaLinear(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers) {
  MmaLinear(b, plan, buffers).write();
}
