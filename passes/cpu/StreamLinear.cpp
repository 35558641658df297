// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weights from memory to registers once: decoded there, they meet each of a few rows of activations. Each lane is a row
// of the weight, so that there are no sums across lanes. The last resort, `reference`, does the same row after row.
#include "passes/cpu/WeightDecoder.h"

using namespace mlir;
using namespace bq;

namespace {

class StreamLinear {
public:
  StreamLinear(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers)
      : b(b), plan(plan), buffers(buffers), decoder(b, plan, buffers, integerMode()) {
    const int64_t perTile = dotsPerTile();
    // A step long enough to hide the loop, short enough to compile fast.
    for (int64_t divisor = 1; divisor <= plan.layout.tilesPerSegment(); ++divisor)
      if (plan.layout.tilesPerSegment() % divisor == 0 && divisor * perTile <= std::max<int64_t>(32, perTile))
        unroll = divisor;
    // Chains enough to cover the latency of a dot product.
    while (accumulators() < 4 && copies < unroll * perTile / accumulators())
      copies *= 2;
  }

  /// The schedule's rows, one time.
  void writeStream() {
    firstRow = b.index(0);
    b.loop(buffers.begin, buffers.end, 1, [&](Value block) { writeBlock(block); });
  }

  /// Any number of rows, as many times.
  void writeReference() {
    b.loop(buffers.begin, buffers.end, 1, [&](Value block) {
      b.loop(b.index(0), buffers.m, plan.rows, [&](Value row) {
        firstRow = row;
        writeBlock(block);
      });
    });
  }

private:
  void writeBlock(Value block) {
    SmallVector<Value> sums =
        b.loop(b.index(0), b.index(plan.layout.segments()), 1, SmallVector<Value>(plan.rows, b.splat(0.0f)),
               [&](Value segment, ValueRange carried) { return writeSegment(block, segment, carried); });
    Value column = b.mul(block, b.lanes);
    if (plan.rows == 1) {
      writeEpilogue(b, plan, buffers, sums[0], writeRowScale(b, plan, buffers, firstRow), firstRow, column);
      return;
    }
    // By way of memory, so that there is one epilogue to compile and not one for each row.
    Value kept = b.view(buffers.scratch, {plan.rows, b.lanes});
    for (int64_t row = 0; row < plan.rows; ++row)
      b.store(sums[row], kept, {b.index(row), b.index(0)});
    b.loop(b.index(0), b.index(plan.rows), 1, [&](Value row) {
      Value m = b.add(firstRow, row);
      Value sum = b.load(b.f32s(), kept, {row, b.index(0)});
      writeEpilogue(b, plan, buffers, sum, writeRowScale(b, plan, buffers, m), m, column);
    });
  }

  bool hasByteDots() const { return b.target.has(CpuTarget::AVX512VNNI) || b.target.has(CpuTarget::AVXVNNI); }

  /// In place costs no shifts, but an accumulator for each field and row, and for cut codes a product for each plane.
  /// It needs dot products that do not saturate.
  WeightDecoder::IntegerMode integerMode() const {
    const std::vector<int> planes = plan.layout.planes();
    const int64_t accumulators = plan.rows * plan.activationPlanes() * (8 / planes.back());
    bool pays = planes.size() == 1 ? accumulators <= 16 : plan.rows * plan.activationPlanes() == 1;
    return pays && hasByteDots() ? WeightDecoder::IntegerMode::InPlace : WeightDecoder::IntegerMode::Whole;
  }

  int64_t dotsPerTile() const {
    int64_t words = plan.layout.tileCodes() / plan.perWord();
    return words * plan.rows * plan.activationPlanes() * (decoder.hasTwoBytes() ? 2 : 1);
  }
  int64_t accumulators() const { return decoder.keys() * plan.activationPlanes() * plan.rows * copies; }
  int64_t slot(int64_t key, int64_t plane, int64_t row, int64_t copy) const {
    return ((key * plan.activationPlanes() + plane) * plan.rows + row) * copies + copy;
  }
  VectorType accumulatorType() const { return plan.isInteger() ? b.i32s() : b.f32s(); }

  SmallVector<Value> writeSegment(Value block, Value segment, ValueRange sums) {
    Value zeros = decoder.loadZeros(block, segment);
    SmallVector<Value> state(accumulators(), b.zero(accumulatorType())), activationSums(plan.rows);
    for (int64_t row = 0; plan.readsSums() && row < plan.rows; ++row) {
      activationSums[row] = b.loadScalar(buffers.sums, {segment, b.add(firstRow, row)});
      state[slot(0, 0, row, 0)] = decoder.initialSum(activationSums[row]);
    }
    const int64_t tiles = plan.layout.tilesPerSegment();
    auto step = [&](Value tile, ValueRange carried) {
      SmallVector<Value> next(carried);
      SmallVector<int64_t> uses(decoder.keys(), 0);
      for (int64_t i = 0; i < unroll; ++i)
        writeTile(block, segment, b.add(tile, i), zeros, next, uses);
      return next;
    };
    state = tiles == unroll ? step(b.index(0), state) : b.loop(b.index(0), b.index(tiles), unroll, state, step);

    Value scales = decoder.loadScales(block, segment);
    SmallVector<Value> result;
    for (int64_t row = 0; row < plan.rows; ++row)
      result.push_back(b.fma(segmentSum(state, row, activationSums[row], zeros), scales, sums[row]));
    return result;
  }

  void writeTile(Value block, Value segment, Value tile, Value zeros, SmallVector<Value> &state,
                 SmallVector<int64_t> &uses) {
    WeightDecoder::Lines lines = decoder.loadTile(block, segment, tile);
    const int64_t words = plan.layout.tileCodes() / plan.perWord();
    if (plan.form == LinearPlan::Form::F32) {
      for (int64_t column = 0; column < words; ++column) {
        Value weights = decoder.f32Weights(lines, column, zeros);
        Value at = b.add(b.mul(tile, words), column);
        int64_t copy = uses[0]++ % copies;
        for (int64_t row = 0; row < plan.rows; ++row) {
          Value &sum = state[slot(0, 0, row, copy)];
          Value x = b.broadcastLoad(b.f32s(), buffers.data, {b.index(0), segment, b.add(firstRow, row), at});
          sum = b.fma(weights, x, sum);
        }
      }
      return;
    }
    for (const WeightDecoder::Term &term : decoder.terms(lines)) {
      Value at = b.add(b.mul(tile, words), term.word);
      int64_t copy = uses[term.key]++ % copies;
      for (int64_t plane = 0; plane < plan.activationPlanes(); ++plane)
        for (int64_t row = 0; row < plan.rows; ++row) {
          Value &sum = state[slot(term.key, plane, row, copy)];
          Value x = b.broadcastLoad(cast<VectorType>(term.weights.getType()), buffers.data,
                                    {b.index(plane), segment, b.add(firstRow, row), at});
          sum = DotOp::create(b, sum.getType(), sum, term.weights, x, plan.isInteger() ? term.max : 255);
        }
    }
  }

  Value segmentSum(ArrayRef<Value> state, int64_t row, Value activationSum, Value zeros) {
    auto sumOf = [&](int64_t key, int64_t plane) {
      Value total = state[slot(key, plane, row, 0)];
      for (int64_t copy = 1; copy < copies; ++copy) {
        Value part = state[slot(key, plane, row, copy)];
        total = plan.isInteger() ? b.addI(total, part) : b.addF(total, part);
      }
      return total;
    };
    if (!plan.isInteger())
      return decoder.finishSegment(sumOf(0, 0), activationSum, plan.form == LinearPlan::Form::F32 ? Value() : zeros);
    SmallVector<Value> totals;
    for (int64_t key = 0; key < (decoder.hasTwoBytes() ? 2 : 1); ++key) {
      Value total;
      for (int64_t plane = 0; plane < plan.activationPlanes(); ++plane) {
        SmallVector<Value> perKey;
        for (int64_t each = 0; each < decoder.keys(); ++each)
          perKey.push_back(sumOf(each, plane));
        Value part = decoder.fold(perKey, key);
        total = total ? b.addI(b.shiftLeft(total, 7), part) : part;
      }
      totals.push_back(total);
    }
    return decoder.finishSegment(totals, activationSum, zeros);
  }

  KernelBuilder &b;
  const LinearPlan &plan;
  const LinearBuffers &buffers;
  WeightDecoder decoder;
  int64_t unroll = 1, copies = 1;
  Value firstRow;
};

} // namespace

void bq::writeStreamLinear(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers) {
  StreamLinear(b, plan, buffers).writeStream();
}

int64_t bq::streamScratchBytes(const LinearPlan &plan) { return plan.rows * plan.layout.lanes * sizeof(float); }

void bq::writeReferenceLinear(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers) {
  StreamLinear(b, plan, buffers).writeReference();
}
