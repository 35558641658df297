// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Products with the transposed weight, from the words that products with the weight read: decoded to the same operand
// A, whose 8x8 matrices are transposed in registers. What rows of the weight have of their own meets the gradient
// before it becomes operand B: its products with their scales are rounded to bf16, or are three bf16 that together are
// an f32. Zero points are taken off in f32, times what operand B was rounded to, so that what cancels does.
#include "passes/gpu/FragmentDecoder.h"
#include "passes/gpu/Lane.h"

using namespace mlir;
using namespace bq;

namespace {

class MmaGradient {
public:
  MmaGradient(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers)
      : b(b), plan(plan), layout(plan.layout), buffers(buffers), decoder(b, plan, buffers), lane(b) {
    firstSegment = b.mul(b.block(gpu::Dimension::Y), plan.blocks);
    // Rows after the last repeat it: their results are not stored.
    for (int64_t tile = 0; tile < plan.tiles(); ++tile) {
      Value row = b.add(b.mul(b.block(gpu::Dimension::X), plan.rows), b.add(lane.g, 8 * tile));
      rowStarts.push_back(b.mul(b.wide(b.min(row, b.sub(buffers.m, 1))), buffers.xStride));
    }
  }

  void write() {
    Value first = b.i32(0), end = b.i32(layout.blocks());
    if (plan.splits > 1) {
      first = b.mul(b.block(gpu::Dimension::Z), plan.blocksPerSplit());
      end = b.min(b.add(first, plan.blocksPerSplit()), end);
    }
    first = b.add(first, lane.warp);
    Value last = b.sub(end, 1);

    SmallVector<Value> carried(sumCount(), b.splat(b.f32(0.0f), 4));
    carried.append(zeroSumCount(), b.f32(0.0f));
    carried.append(load(b.min(first, last)));
    carried = b.loop(first, end, b.i32(FragmentPlan::warps), carried, [&](Value block, ValueRange state) {
      const SmallVector<Value> next = load(b.min(b.add(block, FragmentPlan::warps), last));
      SmallVector<Value> result = multiply(state);
      result.append(next);
      return result;
    });
    MutableArrayRef<Value> state(carried);
    if (hasZeros())
      takeOffZeros(state.take_front(sumCount()), state.slice(sumCount(), zeroSumCount()));
    writeResults(b, plan, buffers, partials(state.take_front(sumCount())));
  }

private:
  using Words = FragmentDecoder::Words;
  /// What a lane has of four rows of a block: those of its elements of operand B, 2 t, 2 t + 1, 2 t + 8 and 2 t + 9.
  using Four = std::array<Value, 4>;
  static bool isUpper(int64_t row) { return row / 2; }

  bool hasZeros() const { return plan.zero != ZeroPointType::None; }
  /// Operands A of a segment.
  int64_t fragments() const { return 2 * layout.units(); }
  /// Sums are [segment][fragment][tile], those for zero points [segment][tile].
  int64_t sumCount() const { return plan.blocks * fragments() * plan.tiles(); }
  int64_t sumAt(int64_t segment, int64_t fragment, int64_t tile) const {
    return (segment * fragments() + fragment) * plan.tiles() + tile;
  }
  int64_t zeroSumCount() const { return hasZeros() ? plan.blocks * plan.tiles() : 0; }

  //===--------------------------------------------------------------------===//
  // What is loaded of a block: gradients [tile][row]; of each segment scales, zero points, words
  //===--------------------------------------------------------------------===//

  SmallVector<Value> load(Value block) {
    SmallVector<Value> loaded;
    for (Value start : rowStarts)
      for (int64_t row = 0; row < 4; ++row)
        loaded.push_back(loadGradient(start, b.add(b.mul(block, 16), b.add(b.mul(lane.t, 2), row % 2 + row / 2 * 8))));
    for (int64_t segment = 0; segment < plan.blocks; ++segment) {
      // The last blocks of threads may have fewer segments: they read the last one again, and do not store.
      Value index = b.add(firstSegment, segment);
      if (layout.segments() % plan.blocks)
        index = b.min(index, b.i32(layout.segments() - 1));
      Value rows =
          b.add(b.mul(b.add(b.mul(b.wide(block), layout.segments()), b.wide(index)), 16), b.wide(b.mul(lane.t, 4)));
      if (plan.scaleType.isF32())
        loaded.push_back(b.load(b.vec(b.getF32Type(), 4), buffers.scales, rows));
      else
        loaded.push_back(b.load(b.vec(b.getI32Type(), 2), buffers.scales, b.div(rows, 2)));
      if (plan.zero == ZeroPointType::F32)
        loaded.push_back(b.load(b.vec(b.getF32Type(), 4), buffers.zeros, rows));
      for (int64_t pair = 0; plan.zero == ZeroPointType::U8 && pair < 2; ++pair)
        loaded.push_back(b.load(buffers.zeros, b.add(b.div(rows, 2), pair)));
      loaded.append(decoder.load(b.wide(block), b.wide(index), lane.number));
    }
    return loaded;
  }

  /// Zero behind the last column.
  Value loadGradient(Value start, Value column) {
    if (layout.n % FragmentLayout::blockRows == 0)
      return b.loadFloat(plan.dataType, buffers.x, b.add(start, b.wide(column)));
    Value inside = b.min(column, b.i32(layout.n - 1));
    Value value = b.loadFloat(plan.dataType, buffers.x, b.add(start, b.wide(inside)));
    return b.select(b.equal(column, inside), value, b.f32(0.0f));
  }

  /// Takes values off the front of what was loaded.
  static Value take(ValueRange &loaded) {
    Value value = loaded.front();
    loaded = loaded.drop_front();
    return value;
  }
  Four takeScales(ValueRange &loaded) {
    Value packed = take(loaded);
    Four scales;
    for (int64_t row = 0; row < 4; ++row) {
      const int64_t at = 2 * (row % 2) + row / 2; // FragmentLayout's order
      if (plan.scaleType.isF32()) {
        scales[row] = b.element(packed, at);
      } else {
        gpu::Half half = plan.scaleType.isF16() ? gpu::Half::F16 : gpu::Half::BF16;
        scales[row] = gpu::ExtendOp::create(b, half, b.shiftRight(b.element(packed, at / 2), at % 2 * 16));
      }
      if (isUpper(row))
        scales[row] = decoder.perUnit(scales[row]);
    }
    return scales;
  }
  /// Zero points in units of what fragments hold.
  Four takeZeros(ValueRange &loaded) {
    Four zeros;
    if (!hasZeros())
      return zeros;
    const Value first = take(loaded), second = plan.zero == ZeroPointType::U8 ? take(loaded) : Value();
    for (int64_t row = 0; row < 4; ++row) {
      if (plan.zero == ZeroPointType::F32)
        zeros[row] = b.element(first, 2 * (row % 2) + row / 2);
      else
        zeros[row] = b.toFloat(b.bitAnd(b.shiftRight(row % 2 ? second : first, row / 2 * 8), 255));
      if (isUpper(row) && decoder.upperShift())
        zeros[row] = b.mulF(zeros[row], b.f32(static_cast<float>(1 << decoder.upperShift())));
    }
    return zeros;
  }

  //===--------------------------------------------------------------------===//
  // Products
  //===--------------------------------------------------------------------===//

  /// The sums with what a block adds to them.
  SmallVector<Value> multiply(ValueRange state) {
    SmallVector<Value> sums(state.take_front(sumCount() + zeroSumCount()));
    ValueRange loaded = state.drop_front(sums.size());
    SmallVector<Four> gradients(plan.tiles());
    for (Four &gradient : gradients)
      for (Value &value : gradient)
        value = take(loaded);
    for (int64_t segment = 0; segment < plan.blocks; ++segment) {
      const Four scales = takeScales(loaded), zeros = takeZeros(loaded);
      SmallVector<SmallVector<Value>> operands;
      for (int64_t tile = 0; tile < plan.tiles(); ++tile) {
        Four values;
        for (int64_t row = 0; row < 4; ++row)
          values[row] = b.mulF(gradients[tile][row], scales[row]);
        operands.push_back(gradientOperands(values));
        for (int64_t row = 0; hasZeros() && row < 4; ++row) {
          Value &sum = sums[sumCount() + segment * plan.tiles() + tile];
          sum = b.fma(values[row], zeros[row], sum);
        }
      }
      const Words words = decoder.words(loaded.take_front(decoder.loads()));
      loaded = loaded.drop_front(decoder.loads());
      for (int64_t fragment = 0; fragment < fragments(); ++fragment) {
        Value weight = transposed(decoder.exactFragment(words, fragment / 2, fragment % 2));
        for (int64_t tile = 0; tile < plan.tiles(); ++tile)
          for (Value operand : operands[tile]) {
            Value &sum = sums[sumAt(segment, fragment, tile)];
            sum = gpu::MmaOp::create(b, sum.getType(), gpu::MmaKind::BF16, weight, operand, sum);
          }
      }
    }
    return sums;
  }

  Value transposed(Value fragment) {
    SmallVector<Value> registers;
    for (int64_t reg : {0, 2, 1, 3})
      registers.push_back(gpu::TransposeOp::create(b, b.element(fragment, reg)));
    return b.pack(registers);
  }

  /// Operands B whose sum is `values`; one is what they are rounded to, which they become.
  SmallVector<Value> gradientOperands(Four &values) {
    SmallVector<Value> operands;
    Four rest = values;
    for (int64_t part = 0; part < plan.parts; ++part) {
      SmallVector<Value> pairs;
      for (int64_t half = 0; half < 2; ++half) {
        pairs.push_back(gpu::RoundPairOp::create(b, rest[2 * half], rest[2 * half + 1]));
        Value lower = b.asFloat(b.shiftLeft(pairs.back(), 16)), upper = b.asFloat(b.bitAnd(pairs.back(), 0xffff0000));
        if (plan.parts == 1) {
          values[2 * half] = lower;
          values[2 * half + 1] = upper;
        } else if (part + 1 < plan.parts) {
          rest[2 * half] = b.subF(rest[2 * half], lower);
          rest[2 * half + 1] = b.subF(rest[2 * half + 1], upper);
        }
      }
      operands.push_back(b.pack(pairs));
    }
    return operands;
  }

  //===--------------------------------------------------------------------===//
  // Results
  //===--------------------------------------------------------------------===//

  /// What zero points add to each row of gradients, from the lanes that have it in parts to those that have the row in
  /// their sums.
  void takeOffZeros(MutableArrayRef<Value> sums, ArrayRef<Value> zeroSums) {
    Value memory = b.shared(b.getF32Type(), FragmentPlan::warps * zeroSumCount() * 8);
    Value first = b.mul(lane.warp, zeroSumCount() * 8);
    for (auto [i, part] : llvm::enumerate(zeroSums)) {
      Value sum = part;
      for (int64_t mask : {1, 2})
        sum = b.addF(sum, b.shuffleXor(sum, mask));
      b.when(b.equal(lane.t, b.i32(0)), [&, i = i] { b.store(sum, memory, b.add(b.add(first, lane.g), i * 8)); });
    }
    b.barrier();
    for (int64_t segment = 0; segment < plan.blocks; ++segment)
      for (int64_t tile = 0; tile < plan.tiles(); ++tile) {
        Value at = b.add(b.add(first, b.mul(lane.t, 2)), (segment * plan.tiles() + tile) * 8);
        Value pair = b.load(b.vec(b.getF32Type(), 2), memory, at);
        for (int64_t fragment = 0; fragment < fragments(); ++fragment) {
          Value &sum = sums[sumAt(segment, fragment, tile)];
          SmallVector<Value> rest;
          for (int64_t i = 0; i < 4; ++i)
            rest.push_back(b.subF(b.element(sum, i), b.element(pair, i % 2)));
          sum = b.pack(rest);
        }
      }
  }

  /// Rows of the transposed operand A are the columns that FragmentLayout gives to lanes, two by two.
  SmallVector<Partial> partials(ArrayRef<Value> sums) {
    SmallVector<Partial> result;
    Value lanes = b.add(b.mul(b.div(lane.g, 2), 8), b.rem(lane.g, 2));
    for (int64_t segment = 0; segment < plan.blocks; ++segment)
      for (int64_t fragment = 0; fragment < fragments(); ++fragment)
        for (int64_t tile = 0; tile < plan.tiles(); ++tile)
          for (int64_t i = 0; i < 4; ++i) {
            const int64_t before = segment * layout.segmentSize + fragment / 2 * FragmentLayout::unitCodes;
            Value column = b.add(lanes, before + fragment % 2 * 4 + i / 2 * 2);
            Value row = lane.sumColumn(b, tile, i);
            Value isKept = plan.rows % 8 ? b.lessThan(row, b.i32(plan.rows)) : Value();
            result.push_back({b.element(sums[sumAt(segment, fragment, tile)], i), row, column, isKept});
          }
    return result;
  }

  GpuBuilder &b;
  const FragmentPlan &plan;
  const FragmentLayout &layout;
  const FragmentBuffers &buffers;
  FragmentDecoder decoder;
  const Lane lane;
  Value firstSegment;
  SmallVector<Value> rowStarts; ///< Of each tile, where the lane's row is in x.
};

} // namespace

void bq::writeMmaGradient(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers) {
  MmaGradient(b, plan, buffers).write();
}
