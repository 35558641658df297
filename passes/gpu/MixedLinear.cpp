// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Products with a weight of the format `mixed`, whose codes are read as they are saved. A thread has every 128th piece
// of eight columns, of the block's few rows of the weight; codes are on their way while those before are multiplied,
// and what says where codes are is one step further ahead.
#include "passes/gpu/FragmentPlan.h"
#include "passes/gpu/MixedDecoder.h"

#include <optional>

using namespace mlir;
using namespace bq;

namespace {

class MixedLinear {
public:
  MixedLinear(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers)
      : b(b), plan(plan), buffers(buffers), pieces(plan.layout.paddedColumns() / 8),
        isWhole(MixedDecoder::hasWholePieces(plan.format, plan.layout.k)),
        decoder(b, plan.format, plan.layout.k, {buffers.codes, buffers.scales, buffers.zeros, buffers.table}) {
    Value firstRow = b.mul(b.block(gpu::Dimension::Y), plan.blocks);
    // The last block may have rows that are not there: they repeat the last one, and are not stored.
    for (int64_t row = 0; row < plan.blocks; ++row)
      weightRows.push_back(decoder.streamRow(b.min(b.add(firstRow, row), b.i32(plan.layout.n - 1))));
    if (!plan.readsPanel)
      reader.emplace(b, plan, buffers);
    Value first = b.mul(b.block(gpu::Dimension::X), plan.rows);
    for (int64_t x = 0; x < plan.rows; ++x) {
      Value row = b.min(b.add(first, x), b.sub(buffers.m, 1));
      if (plan.readsPanel)
        panelRows.push_back(b.mul(b.wide(row), pieces));
      else
        inputRows.push_back(reader->rowOf(row));
    }
  }

  void write() {
    Value thread = b.thread(), last = b.i32(pieces - 1), step = b.i32(FragmentPlan::threads);
    auto ahead = [&](Value piece, int64_t steps) { return b.min(b.add(piece, steps * FragmentPlan::threads), last); };
    const int64_t sums = plan.blocks * plan.rows;
    SmallVector<Value> carried(sums, b.f32(0.0f));
    if (!isWhole) {
      carried = b.loop(thread, b.i32(pieces), step, carried, [&](Value piece, ValueRange state) {
        SmallVector<Value> weights;
        for (Value row : weightRows)
          weights.append(decoder.decodeEach(row, piece));
        return multiply(piece, weights, state);
      });
      return finish(carried);
    }
    Value start = ahead(thread, 0);
    for (Value row : weightRows)
      carried.append(decoder.loadCodes(decoder.numberOf(row, start), decoder.loadPlace(decoder.numberOf(row, start))));
    for (Value row : weightRows)
      carried.push_back(decoder.loadPlace(decoder.numberOf(row, ahead(thread, 1))));
    carried = b.loop(thread, b.i32(pieces), step, carried, [&](Value piece, ValueRange state) {
      Value next = ahead(piece, 1), afterNext = ahead(piece, 2);
      ValueRange codes = state.drop_front(sums), places = state.take_back(plan.blocks);
      SmallVector<MixedDecoder::Piece> present;
      for (int64_t row = 0; row < plan.blocks; ++row)
        present.push_back(decoder.align(codes.slice(row * MixedDecoder::codeValues, MixedDecoder::codeValues)));
      SmallVector<Value> following, weights;
      for (auto [row, place] : llvm::zip_equal(weightRows, places))
        following.append(decoder.loadCodes(decoder.numberOf(row, next), place));
      for (Value row : weightRows)
        following.push_back(decoder.loadPlace(decoder.numberOf(row, afterNext)));
      for (const MixedDecoder::Piece &piece : present)
        weights.append(decoder.decode(piece));
      SmallVector<Value> result = multiply(piece, weights, state.take_front(sums));
      result.append(following);
      return result;
    });
    finish(carried);
  }

private:
  /// Adds a piece of all rows, weights [row of the weight][8], to sums [row of x][row of the weight].
  SmallVector<Value> multiply(Value piece, ArrayRef<Value> weights, ValueRange before) {
    SmallVector<Value> sums(before);
    for (int64_t row = 0; row < plan.rows; ++row) {
      SmallVector<Value> x = plan.readsPanel ? fromPanel(row, piece) : fromInput(row, piece);
      for (int64_t block = 0; block < plan.blocks; ++block) {
        Value &sum = sums[row * plan.blocks + block];
        for (int64_t i = 0; i < 8; ++i)
          sum = b.fma(weights[8 * block + i], x[i], sum);
      }
    }
    return sums;
  }

  SmallVector<Value> fromInput(int64_t row, Value piece) {
    SmallVector<Value> x = reader->read(inputRows[row], b.mul(piece, 8));
    if (plan.form == FragmentPlan::Form::BF16 && !plan.dataType.isBF16())
      for (Value &value : x)
        value = b.roundTo(b.getBF16Type(), value);
    return x;
  }

  /// Eight bytes in the order of cuda::PrepareFn.
  SmallVector<Value> fromPanel(int64_t row, Value piece) {
    Value at = b.shiftLeft(b.add(panelRows[row], b.wide(piece)), 1);
    Value words = b.load(b.vec(b.getI32Type(), 2), buffers.x, at);
    SmallVector<Value> x(8);
    for (int64_t byte = 0; byte < 8; ++byte) {
      Value word = b.element(words, byte / 4);
      x[byte % 2 * 4 + byte / 2] = b.toFloat(b.shiftRightSigned(b.shiftLeft(word, 24 - byte % 4 * 8), 24));
    }
    return x;
  }

  /// The sums of all threads, by way of shared memory: some threads have one result, and each of them every so many
  /// parts of it.
  void finish(ArrayRef<Value> sums) {
    const int64_t results = plan.blocks * plan.rows;
    const int64_t sharers = std::min<int64_t>(8, llvm::bit_floor<uint64_t>(FragmentPlan::threads / results));
    const int64_t stride = FragmentPlan::threads + sharers;
    Value parts = b.shared(b.getF32Type(), results * stride), thread = b.thread();
    for (int64_t i = 0; i < results; ++i)
      b.store(sums[i], parts, b.add(thread, i * stride));
    b.barrier();
    Value own = b.div(thread, sharers), result = b.min(own, b.i32(results - 1)), number = b.rem(thread, sharers);
    Value first = b.add(b.mul(result, stride), number), end = b.add(first, FragmentPlan::threads);
    auto add = [&](Value at, ValueRange carried) { return SmallVector<Value>{b.addF(carried[0], b.load(parts, at))}; };
    Value sum = b.loop(first, end, b.i32(sharers), b.f32(0.0f), add)[0];
    for (int64_t mask = sharers / 2; mask; mask /= 2)
      sum = b.addF(sum, b.shuffleXor(sum, mask));
    Value isKept = b.both(b.equal(number, b.i32(0)), b.lessThan(own, b.i32(results)));
    writeResults(b, plan, buffers, Partial{sum, b.div(result, plan.blocks), b.rem(result, plan.blocks), isKept});
  }

  GpuBuilder &b;
  const FragmentPlan &plan;
  const FragmentBuffers &buffers;
  const int64_t pieces; ///< Of a row.
  const bool isWhole;
  MixedDecoder decoder;
  SmallVector<Value> weightRows; ///< Of the stream.
  std::optional<ActivationReader> reader;
  SmallVector<ActivationReader::Row> inputRows;
  SmallVector<Value> panelRows; ///< The first piece of each; i64.
};

} // namespace

void bq::writeMixedLinear(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers) {
  MixedLinear(b, plan, buffers).write();
}
