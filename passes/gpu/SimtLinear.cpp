// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Products in f32, which tensor instructions do not have: the same packed weights, decoded in registers, and
// multiply-adds. A lane has columns 8 t .. 8 t + 7 of each unit, of rows g and g + 8; four lanes share a sum.
#include "passes/gpu/FragmentDecoder.h"
#include "passes/gpu/Lane.h"
#include "passes/gpu/StagedActivations.h"

using namespace mlir;
using namespace bq;

namespace {

class SimtLinear {
public:
  SimtLinear(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers)
      : b(b), plan(plan), layout(plan.layout), buffers(buffers), decoder(b, plan, buffers), lane(b) {
    block = b.add(b.mul(b.block(gpu::Dimension::Y), FragmentPlan::warps), lane.warp);
  }

  void write() {
    // The last warps may have no block: they read the last one again, and do not store.
    Value readBlock = layout.blocks() % FragmentPlan::warps ? b.min(block, b.i32(layout.blocks() - 1)) : block;
    StagedActivations staged(b, plan, buffers);
    SmallVector<Value> carried(2 * plan.rows, b.f32(0.0f));
    carried.append(decoder.load(readBlock, staged.begin(), lane.number));
    carried = staged.forEachSegment(carried, [&](const StagedActivations::Segment &segment, ValueRange state) {
      return multiplySegment(readBlock, segment, b.min(b.add(segment.index, 1), b.sub(staged.end(), 1)), state);
    });

    SmallVector<Partial> partials;
    for (int64_t row = 0; row < plan.rows; ++row)
      for (int64_t upper = 0; upper < 2; ++upper) {
        Value sum = carried[2 * row + upper];
        for (int64_t mask : {1, 2})
          sum = b.addF(sum, b.shuffleXor(sum, mask));
        // One of the four lanes that now have the sum keeps it.
        Value column = b.add(b.mul(lane.warp, FragmentLayout::blockRows), b.add(lane.g, 8 * upper));
        partials.push_back({sum, b.i32(row), column, b.equal(lane.t, b.i32(row % 4))});
      }
    writeResults(b, plan, buffers, partials);
  }

private:
  using Words = FragmentDecoder::Words;
  /// Rows times units, of 16 multiply-adds each, in the body of a loop.
  static constexpr int64_t maxRowUnits = 8;
  /// With more rows than these the body of the innermost loop is half a unit.
  static constexpr int64_t maxStepRows = 4;

  SmallVector<Value> multiplySegment(Value readBlock, const StagedActivations::Segment &segment, Value next,
                                     ValueRange state) {
    SmallVector<Value> following = decoder.load(readBlock, next, lane.number);
    FragmentDecoder::Pair scales = decoder.loadScales(readBlock, segment.index, lane.g);
    FragmentDecoder::Pair zeros = decoder.loadZeros(readBlock, segment.index, lane.g);
    Words words = decoder.words(state.drop_front(2 * plan.rows));
    SmallVector<Value> sums(2 * plan.rows, b.f32(0.0f));
    const int64_t atATime = decoder.unitsAtATime(std::max<int64_t>(1, maxRowUnits / plan.rows));
    sums = decoder.forEachUnits(atATime, words, sums, [&](Value first, ArrayRef<Words> current, ValueRange partial) {
      SmallVector<Value> totals(partial);
      for (int64_t unit = 0; unit < atATime; ++unit)
        multiplyUnit(segment, first, unit, current.front(), zeros, totals);
      return totals;
    });
    SmallVector<Value> result;
    for (int64_t i = 0; i < 2 * plan.rows; ++i)
      result.push_back(b.fma(i % 2 ? scales.upper : scales.lower, sums[i], state[i]));
    result.append(following);
    return result;
  }

  /// Adds what unit `first + unit`, the words' `unit`, gives to sums [row][upper].
  void multiplyUnit(const StagedActivations::Segment &segment, Value first, int64_t unit, const Words &words,
                    const FragmentDecoder::Pair &zeros, SmallVectorImpl<Value> &sums) {
    Value column = b.add(b.mul(b.add(first, unit), FragmentLayout::unitCodes), b.mul(lane.t, 8));
    Value x = b.add(segment.first, column);
    SmallVector<Value> codes;
    for (int64_t reg = 0; reg < 4; ++reg)
      codes.push_back(decoder.codes(words, unit, reg));
    auto step = [&](Value i, ValueRange partial) { return multiplyStep(segment, x, i, codes, zeros, partial); };
    if (plan.rows > maxStepRows)
      sums = b.loop(b.i32(0), b.i32(2), b.i32(1), sums, step);
    else
      for (int64_t i : {0, 1})
        sums = step(b.i32(i), sums);
  }

  /// Four columns of each lane: bytes `step` and `step + 2` of a unit's registers.
  SmallVector<Value> multiplyStep(const StagedActivations::Segment &segment, Value column, Value step,
                                  ArrayRef<Value> codes, const FragmentDecoder::Pair &zeros, ValueRange partial) {
    SmallVector<Value> sums(partial), x;
    Value first = b.add(column, b.mul(step, 4)), shift = b.mul(step, 8);
    for (int64_t row = 0; row < plan.rows; ++row)
      x.push_back(b.load(b.vec(b.getI32Type(), 4), segment.memory, b.add(first, row * segment.stride)));
    for (int64_t reg = 0; reg < 4; ++reg) {
      const int64_t upper = reg % 2;
      Value shifted = b.shiftRight(codes[reg], shift);
      for (int64_t half = 0; half < 2; ++half) {
        Value code = b.bitAnd(b.shiftRight(shifted, 16 * half), 255);
        Value weight = decoder.f32Weight(code, upper ? zeros.upper : zeros.lower);
        for (int64_t row = 0; row < plan.rows; ++row) {
          Value &sum = sums[2 * row + upper];
          sum = b.fma(weight, b.asFloat(b.element(x[row], reg / 2 * 2 + half)), sum);
        }
      }
    }
    return sums;
  }

  GpuBuilder &b;
  const FragmentPlan &plan;
  const FragmentLayout &layout;
  const FragmentBuffers &buffers;
  FragmentDecoder decoder;
  const Lane lane;
  Value block;
};

} // namespace

void bq::writeSimtLinear(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers) {
  SimtLinear(b, plan, buffers).write();
}
