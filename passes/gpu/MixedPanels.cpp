// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Products with a weight of the format `mixed` and many rows of activations. A block of threads decodes a segment of
// its 64 rows of the weight to a panel in shared memory, while the activations of the segment are on their way there,
// and then multiplies the two: by tensor instructions, to which weights go rounded to bf16, or by multiply-adds. The
// codes of a thread's next piece of eight columns are on their way while one is decoded, and what says where codes are
// is one piece further ahead.
#include "passes/gpu/Lane.h"
#include "passes/gpu/MixedDecoder.h"
#include "passes/gpu/StagedActivations.h"

using namespace mlir;
using namespace bq;

namespace {

class MixedPanels {
public:
  MixedPanels(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers)
      : b(b), plan(plan), buffers(buffers), isF32(plan.form == FragmentPlan::Form::F32),
        isWhole(MixedDecoder::hasWholePieces(plan.format, plan.layout.k)), pieces((plan.layout.k + 7) / 8),
        segmentPieces(plan.layout.segmentSize / 8), turns(plan.tileColumns() * segmentPieces / FragmentPlan::threads),
        stride(plan.stagedStride(plan.layout.segmentSize)), staged(b, plan, buffers),
        decoder(b, plan.format, plan.layout.k, {buffers.codes, buffers.scales, buffers.zeros, buffers.table}), lane(b) {
    Value thread = b.thread();
    ownRow = b.div(thread, segmentPieces);
    ownPiece = b.rem(thread, segmentPieces);
    firstRow = b.mul(b.block(gpu::Dimension::Y), plan.tileColumns());
    panel = b.shared(b.getI32Type(), std::max(plan.tileColumns() * stride, resultWords(plan)));
  }

  void write() {
    const int64_t sums = isF32 ? f32Rows * f32Tiles() : plan.tiles();
    SmallVector<Value> carried(sums, isF32 ? b.f32(0.0f) : b.splat(b.f32(0.0f), 4));
    if (isWhole) {
      Value first = numberAt(staged.begin(), b.i32(0)), second = numberAt(staged.begin(), b.i32(1));
      carried.append(decoder.loadCodes(first, decoder.loadPlace(first)));
      carried.append({second, decoder.loadPlace(second)});
    }
    carried = staged.forEachSegment(
        carried,
        [&](Value segment, ValueRange state) {
          SmallVector<Value> result(state.take_front(sums));
          result.append(isWhole ? decodeWhole(segment, state.drop_front(sums)) : decodeEach(segment));
          return result;
        },
        [&](const StagedActivations::Segment &segment, ValueRange state) {
          SmallVector<Value> result =
              isF32 ? addProducts(segment, state.take_front(sums)) : addFragments(segment, state.take_front(sums));
          result.append(SmallVector<Value>(state.drop_front(sums)));
          return result;
        });
    writeResults(b, plan, buffers, isF32 ? productPartials(carried) : fragmentPartials(carried), panel);
  }

private:
  //===--------------------------------------------------------------------===//
  // Decoding
  //===--------------------------------------------------------------------===//

  /// A thread's pieces of a segment are one for each turn, all of the same eight columns. Rows of the weight that are
  /// not there repeat the last one, and are not stored; where a segment ends after the row, its last piece is repeated,
  /// and meets zeros.
  Value rowAt(Value turn) { return b.add(ownRow, b.mul(turn, FragmentPlan::threads / segmentPieces)); }
  Value streamRowAt(Value turn) {
    return decoder.streamRow(b.min(b.add(firstRow, rowAt(turn)), b.i32(plan.layout.n - 1)));
  }
  Value pieceAt(Value segment) { return b.min(b.add(b.mul(segment, segmentPieces), ownPiece), b.i32(pieces - 1)); }
  Value numberAt(Value segment, Value turn) { return decoder.numberOf(streamRowAt(turn), pieceAt(segment)); }

  /// Carries the codes of the next piece, and the number and the place of the one after it.
  SmallVector<Value> decodeWhole(Value segment, ValueRange ahead) {
    return b.loop(b.i32(0), b.i32(turns), b.i32(1), ahead, [&](Value turn, ValueRange state) {
      const MixedDecoder::Piece present = decoder.align(state.take_front(MixedDecoder::codeValues));
      SmallVector<Value> following = decoder.loadCodes(state[MixedDecoder::codeValues], state.back());
      // Two turns ahead, which are those of the next segment after the last.
      Value later = b.add(turn, 2), nextSegment = b.min(b.add(segment, b.div(later, turns)), b.sub(staged.end(), 1));
      Value number = numberAt(nextSegment, b.rem(later, turns));
      following.append({number, decoder.loadPlace(number)});
      store(turn, decoder.decode(present));
      return following;
    });
  }

  SmallVector<Value> decodeEach(Value segment) {
    b.loop(b.i32(0), b.i32(turns), b.i32(1),
           [&](Value turn) { store(turn, decoder.decodeEach(streamRowAt(turn), pieceAt(segment))); });
    return {};
  }

  void store(Value turn, ArrayRef<Value> weights) {
    Value to = b.add(b.mul(rowAt(turn), stride), b.mul(ownPiece, isF32 ? 8 : 4));
    for (int64_t part = 0; part < (isF32 ? 2 : 1); ++part) {
      SmallVector<Value> words;
      for (int64_t i = 0; i < 4; ++i)
        words.push_back(isF32 ? b.bits(weights[4 * part + i])
                              : b.roundPair(b.getBF16Type(), weights[2 * i], weights[2 * i + 1]));
      b.store(b.pack(words), panel, b.add(to, 4 * part));
    }
  }

  //===--------------------------------------------------------------------===//
  // By tensor instructions: a warp has sixteen rows of the weight
  //===--------------------------------------------------------------------===//

  /// Of a unit of 32 columns a lane has columns 8 t .. 8 t + 7, of rows g and g + 8 of the weight as operand
  /// A, and of row g of each eight rows of activations as operand B: words 2 s and 2 s + 1 for step s of two.
  SmallVector<Value> addFragments(const StagedActivations::Segment &segment, ValueRange before) {
    constexpr int64_t unitWords = FragmentLayout::unitCodes / 2;
    Value row = b.add(b.mul(lane.warp, FragmentLayout::blockRows), lane.g);
    return b.loop(b.i32(0), b.i32(plan.layout.units()), b.i32(1), before, [&](Value unit, ValueRange state) {
      SmallVector<Value> sums(state);
      Value column = b.add(b.mul(unit, unitWords), b.mul(lane.t, 4));
      auto load = [&](Value memory, Value at) { return b.load(b.vec(b.getI32Type(), 4), memory, b.add(at, column)); };
      Value lower = load(panel, b.mul(row, stride)), upper = load(panel, b.mul(b.add(row, 8), stride));
      SmallVector<Value> x;
      for (int64_t tile = 0; tile < plan.tiles(); ++tile)
        x.push_back(load(segment.memory, b.add(segment.first, b.mul(b.add(lane.g, 8 * tile), segment.stride))));
      for (int64_t step = 0; step < 2; ++step) {
        auto word = [&](Value four, int64_t i) { return b.element(four, 2 * step + i); };
        Value a = b.pack({word(lower, 0), word(upper, 0), word(lower, 1), word(upper, 1)});
        for (int64_t tile = 0; tile < plan.tiles(); ++tile)
          sums[tile] = gpu::MmaOp::create(b, sums[tile].getType(), gpu::MmaKind::BF16, a,
                                          b.pack({word(x[tile], 0), word(x[tile], 1)}), sums[tile]);
      }
      return sums;
    });
  }

  SmallVector<Partial> fragmentPartials(ArrayRef<Value> sums) {
    SmallVector<Partial> partials;
    for (int64_t tile = 0; tile < plan.tiles(); ++tile)
      for (int64_t i = 0; i < 4; ++i) {
        Value column = b.add(b.mul(lane.warp, FragmentLayout::blockRows), lane.sumRow(b, i));
        partials.push_back({b.element(sums[tile], i), lane.sumColumn(b, tile, i), column, {}});
      }
    return partials;
  }

  //===--------------------------------------------------------------------===//
  // By multiply-adds: a thread has every sixteenth row of the weight and every eighth of the activations
  //===--------------------------------------------------------------------===//

  static constexpr int64_t f32Rows = 4, rowStep = 16, tileStep = 8;
  int64_t f32Tiles() const { return plan.rows / tileStep; }
  Value f32Row(int64_t i) { return b.add(b.div(b.thread(), tileStep), rowStep * i); }
  Value f32Tile(int64_t i) { return b.add(b.rem(b.thread(), tileStep), tileStep * i); }

  /// Four columns at a time; sums [row of the weight][row of x].
  SmallVector<Value> addProducts(const StagedActivations::Segment &segment, ValueRange before) {
    return b.loop(b.i32(0), b.i32(plan.layout.segmentSize), b.i32(4), before, [&](Value column, ValueRange state) {
      SmallVector<Value> sums(state), weights, x;
      auto load = [&](Value memory, Value at) { return b.load(b.vec(b.getI32Type(), 4), memory, b.add(at, column)); };
      for (int64_t i = 0; i < f32Rows; ++i)
        weights.push_back(load(panel, b.mul(f32Row(i), stride)));
      for (int64_t i = 0; i < f32Tiles(); ++i)
        x.push_back(load(segment.memory, b.add(segment.first, b.mul(f32Tile(i), segment.stride))));
      for (int64_t step = 0; step < 4; ++step)
        for (int64_t i = 0; i < f32Rows * f32Tiles(); ++i) {
          auto value = [&](Value four) { return b.asFloat(b.element(four, step)); };
          sums[i] = b.fma(value(weights[i / f32Tiles()]), value(x[i % f32Tiles()]), sums[i]);
        }
      return sums;
    });
  }

  SmallVector<Partial> productPartials(ArrayRef<Value> sums) {
    SmallVector<Partial> partials;
    for (int64_t i = 0; i < f32Rows * f32Tiles(); ++i)
      partials.push_back({sums[i], f32Tile(i % f32Tiles()), f32Row(i / f32Tiles()), {}});
    return partials;
  }

  GpuBuilder &b;
  const FragmentPlan &plan;
  const FragmentBuffers &buffers;
  const bool isF32, isWhole;
  const int64_t pieces, segmentPieces; ///< Of a row, and of a segment.
  const int64_t turns;                 ///< Pieces of a segment that a thread decodes.
  const int64_t stride;                ///< Words from one row of the panel to the next.
  StagedActivations staged;
  MixedDecoder decoder;
  const Lane lane;
  Value ownRow, ownPiece, firstRow, panel;
};

} // namespace

void bq::writeMixedPanels(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers) {
  MixedPanels(b, plan, buffers).write();
}
