// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where an output reads few channels, a matrix of patches would be mostly zeros. Here a vector is as many outputs of
// one pixel as it has lanes: the weights of a piece of the channels are decoded once, to f32; then a tile of
// neighbouring pixels of a line keeps its sums in registers while the lines of the kernel pass, and a pixel that is
// loaded meets all the taps that see it.
#include "passes/cpu/DirectConv2d.h"

#include "dialect/core/DirectConv2d.h"
#include "passes/Activation.h"
#include "passes/Schedules.h"
#include "passes/cpu/DirectPixels.h"
#include "passes/cpu/WeightDecoder.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace bq;

namespace {

/// Blocks of rows of the weight in a piece: few enough that their weights, and what a tile of them reads, stay in the
/// nearest cache.
constexpr int64_t pieceBlocks = 8;

/// The last piece has what is left over, too, so that none has less than a vector.
int64_t mostBlocks(const LinearPlan &plan) {
  const int64_t blocks = plan.layout.blocks();
  return blocks < pieceBlocks ? blocks : pieceBlocks + blocks % pieceBlocks;
}
int64_t pieceLanes(const LinearPlan &plan) { return mostBlocks(plan) * plan.layout.lanes; }

/// Tiles of a line that are done line after line: what the lines of a kernel have of them is a third of the
/// nearest cache.
int64_t stripTiles(const LinearPlan &plan) {
  constexpr int64_t bytes = 12 << 10;
  return std::max<int64_t>(1, bytes / (plan.patchHeight * plan.rows * pieceLanes(plan) * 4));
}

/// Output lines that are done strip by strip.
constexpr int64_t stripLines = 4;

/// Rows of decoded weights: columns of the weight, and the padding of the last segment.
int64_t weightRows(const LinearPlan &plan) {
  int64_t rows = 0;
  for (int64_t segment = 0; segment < plan.layout.segments(); ++segment)
    rows = std::max(rows, plan.layout.segmentBegin(segment) + plan.layout.segmentSize);
  return rows;
}

int64_t weightBytes(const LinearPlan &plan) { return weightRows(plan) * pieceLanes(plan) * 4; }
int64_t sumBytes(const LinearPlan &plan) { return plan.rows * plan.layout.lanes * 4; }

class DirectConv2d {
public:
  DirectConv2d(KernelBuilder &b, const LinearPlan &plan, func::FuncOp func)
      : b(b), plan(plan), func(func), n(plan.layout.n), channels(plan.channels()), outputs(n / plan.groups),
        vector(std::min<int64_t>(b.lanes, llvm::bit_floor<uint64_t>(n))),
        pixels(b, plan, argument(6), argument(7), argument(8), argument(10), weightBytes(plan) + sumBytes(plan),
               vector / outputs * channels) {
    buffers.codes = argument(0);
    buffers.scales = argument(1);
    buffers.zeros = argument(2);
    buffers.table = argument(3);
    columnScale = argument(4);
    buffers.bias = argument(5);
    buffers.y = b.view(argument(9), {ShapedType::kDynamic, n}, b.index(0), argument(11));
    auto floats = [&](ArrayRef<int64_t> shape, int64_t byte) -> Value {
      return memref::ViewOp::create(b, MemRefType::get(shape, b.getF32Type()), argument(10), b.index(byte),
                                    ValueRange());
    };
    weights = floats({weightRows(plan), pieceLanes(plan)}, 0);
    sums = floats({plan.rows, plan.layout.lanes}, weightBytes(plan));
    decoder.emplace(b, plan, buffers, WeightDecoder::IntegerMode::Whole);
  }

  void write() {
    Value lines = pixels.lines();
    Value begin = argument(12), end = argument(13);
    Value endPiece = arith::DivUIOp::create(b, b.sub(b.addI(end, lines), b.index(1)), lines);
    b.loop(arith::DivUIOp::create(b, begin, lines), endPiece, 1, [&](Value piece) {
      Value firstTask = b.mulI(piece, lines);
      Value firstLine = b.max(b.sub(begin, firstTask), b.index(0)), endLine = b.min(b.sub(end, firstTask), lines);
      Value firstBlock = b.mul(piece, pieceBlocks);
      Value isLast = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, piece, b.index(directPieces(plan) - 1));
      Value endBlock = b.select(isLast, b.index(plan.layout.blocks()), b.add(firstBlock, pieceBlocks));
      first = b.mul(firstBlock, b.lanes);
      count = b.sub(b.min(b.mul(endBlock, b.lanes), b.index(n)), first);
      decode(firstBlock, endBlock);
      // Strip by strip, so that lines are still in the nearest cache when the next output line reads them again; a few
      // lines at a time, so that the pages they are on are still known.
      Value tiles = b.div(b.add(pixels.outWidth(), plan.rows - 1), plan.rows);
      b.loop(firstLine, endLine, stripLines, [&](Value line) {
        Value end = b.min(b.add(line, stripLines), endLine);
        b.loop(b.index(0), tiles, stripTiles(plan), [&](Value tile) {
          Value endTile = b.min(b.add(tile, stripTiles(plan)), tiles);
          b.loop(line, end, 1, [&](Value line) { writeLine(line, tile, endTile); });
        });
      });
    });
  }

private:
  using Kind = DirectPixels::Kind;

  Value argument(unsigned i) { return func.getArgument(i); }
  VectorType floats() { return b.vec(b.getF32Type(), vector); }

  /// All columns of the weight for some blocks of its rows. What pads a segment is overwritten by the next one.
  void decode(Value firstBlock, Value endBlock) {
    const Layout &layout = plan.layout;
    b.loop(firstBlock, endBlock, 1, [&](Value block) {
      Value lane = b.mul(b.sub(block, firstBlock), b.lanes);
      b.loop(b.index(0), b.index(layout.segments()), 1, [&](Value segment) {
        Value zeros = decoder->loadZeros(block, segment), scales = decoder->loadScales(block, segment);
        Value begin = b.add(b.mul(b.div(segment, layout.segmentsPerGroup), layout.groupSize),
                            b.mul(b.rem(segment, layout.segmentsPerGroup), layout.segmentCodes));
        b.loop(b.index(0), b.index(layout.tilesPerSegment()), 1, [&](Value tile) {
          const WeightDecoder::Lines lines = decoder->loadTile(block, segment, tile);
          Value row = b.add(begin, b.mul(tile, layout.tileCodes()));
          for (int64_t i = 0; i < layout.tileCodes(); ++i) {
            Value at = b.add(row, i), weight = b.mulF(decoder->f32Weights(lines, i, zeros), scales);
            if (plan.hasColumnScale)
              weight = b.mulF(weight, b.broadcast(b.loadScalar(columnScale, b.min(at, b.index(layout.k - 1)))));
            b.store(weight, weights, {at, lane});
          }
        });
      });
    });
  }

  void writeLine(Value line, Value firstTile, Value endTile) {
    pixels.startLine(line);
    b.loop(firstTile, endTile, 1, [&](Value tile) {
      pixels.startTile(tile, [&](Kind kind) {
        b.loop(b.index(0), count, vector, [&](Value offset) {
          Value channel = b.add(first, offset);
          // Where vectors do not divide the channels, the last one overlaps with the one before it.
          if (n % vector)
            channel = b.min(channel, b.index(n - vector));
          Value from = outputs == 1 ? channel : b.mul(b.div(channel, outputs), channels);
          if (kind.isDense && !kind.isMasked)
            pixels.prefetchNextLine(from);
          writeResults(line, channel, multiply(kind, channel, from));
        });
      });
    });
  }

  /// Sums of the tile: outputs from `channel` on, which read channels from `from` on.
  SmallVector<Value> multiply(Kind kind, Value channel, Value from) {
    const int64_t width = plan.patchWidth;
    Value column = b.sub(channel, first), none = b.zero(floats());
    return b.loop(b.index(0), b.index(plan.patchHeight), 1, SmallVector<Value>(plan.rows, none),
                  [&](Value tapLine, ValueRange before) {
                    return pixels.whereSeen(kind, tapLine, before, [&] {
                      SmallVector<Value> state(before), taps;
                      Value row = b.mul(tapLine, width * channels);
                      for (int64_t i = 0; i < width * channels; ++i)
                        taps.push_back(b.load(floats(), weights, {b.add(row, i), column}));
                      pixels.forEach(kind, tapLine, from, [&](Value x, int64_t pixel, int64_t tap) {
                        for (int64_t i = 0; i < channels; ++i)
                          state[pixel] = b.fma(channelOf(x, i), taps[tap * channels + i], state[pixel]);
                      });
                      return state;
                    });
                  });
  }

  /// What each lane reads as channel `i` of its group.
  Value channelOf(Value x, int64_t i) {
    if (outputs == 1)
      return x;
    SmallVector<int64_t> lanes;
    for (int64_t lane = 0; lane < vector; ++lane)
      lanes.push_back(lane / outputs * channels + i);
    return vector::ShuffleOp::create(b, x, x, lanes);
  }

  /// From the last pixel to the first: those beyond the line are written where its last one is, which comes after them.
  void writeResults(Value line, Value channel, ArrayRef<Value> state) {
    if (plan.activation == Activation::None || plan.activation == Activation::Relu) {
      for (int64_t pixel = plan.rows - 1; pixel >= 0; --pixel)
        writeResult(line, b.index(pixel), channel, state[pixel]);
      return;
    }
    // The formula is long: once, in a loop.
    for (int64_t pixel = 0; pixel < plan.rows; ++pixel)
      b.store(state[pixel], sums, {b.index(pixel), b.index(0)});
    b.loop(b.index(0), b.index(plan.rows), 1, [&](Value i) {
      Value pixel = b.sub(b.index(plan.rows - 1), i);
      writeResult(line, pixel, channel, b.load(floats(), sums, {pixel, b.index(0)}));
    });
  }

  void writeResult(Value line, Value pixel, Value channel, Value sum) {
    Value x = sum;
    if (Value scale = pixels.scale())
      x = b.mulF(x, b.broadcast(floats(), scale));
    if (plan.hasBias)
      x = b.addF(x, b.load(floats(), buffers.bias, channel));
    auto constant = [&](float value) -> Value {
      return arith::ConstantOp::create(b, DenseElementsAttr::get(floats(), value));
    };
    Value y = b.truncateFloat(writeActivation(b, plan.activation, x, constant), plan.dataType);
    b.store(b.bitcast(b.vec(plan.storageType(b), vector), y), buffers.y, {pixels.result(line, pixel), channel});
  }

  KernelBuilder &b;
  const LinearPlan &plan;
  func::FuncOp func;
  const int64_t n, channels, outputs; ///< The last two of a group.
  const int64_t vector;               ///< Outputs in a vector.
  DirectPixels pixels;
  LinearBuffers buffers;
  std::optional<WeightDecoder> decoder;
  Value columnScale;
  Value weights;      ///< [rows, lanes of a piece] f32
  Value sums;         ///< [tile, lanes] f32
  Value first, count; ///< Outputs of the piece.
};

} // namespace

bool bq::isDirectConv2d(ProductLayer layer) {
  auto conv = dyn_cast<Conv2dOp>(layer.getOperation());
  if (!conv)
    return false;
  WeightType weight = conv.getWeight().getType();
  const int64_t groups = conv.getGroups(), height = conv.getKernel()[0], width = conv.getKernel()[1];
  return !weight.getFormat().isMixed() && !conv.getPermuted() &&
         abi::isDirectConv2d(groups, weight.getN() / groups, weight.getK() / (height * width), width);
}

int64_t bq::directTileWidth(ProductLayer layer, const CpuTarget &target) {
  auto conv = cast<Conv2dOp>(layer.getOperation());
  // Sums, the weights of a line of the kernel, and a pixel fill the registers.
  const int64_t taps = conv.getWeight().getType().getK() / conv.getKernel()[0];
  return target.has(CpuTarget::AVX512) && taps <= 7 ? 8 : 4;
}

int64_t bq::directPieces(const LinearPlan &plan) { return std::max<int64_t>(1, plan.layout.blocks() / pieceBlocks); }

int64_t bq::directScratchBytes(const LinearPlan &plan) {
  return weightBytes(plan) + sumBytes(plan) + DirectPixels::scratchBytes(plan);
}

SmallVector<Type> bq::directConv2dArguments(KernelBuilder &b, const LinearPlan &plan) {
  const Layout &layout = plan.layout;
  const int64_t fields = sizeof(abi::Conv2dGeometry) / sizeof(int64_t);
  Type f32 = b.getF32Type(), index = b.getIndexType();
  SmallVector<int64_t> perSegment = {layout.blocks(), layout.segments(), layout.lanes};
  return {MemRefType::get({layout.blocks(), layout.segments(), layout.segmentBytes()}, b.getI8Type()),
          MemRefType::get(perSegment, plan.scaleType),
          MemRefType::get(perSegment, plan.zero == ZeroPointType::F32 ? f32 : Type(b.getI8Type())),
          MemRefType::get({sizeof(abi::WeightTable)}, b.getI8Type()),
          MemRefType::get({layout.k}, f32),
          MemRefType::get({layout.n}, f32),
          b.pointer(plan.dataType),
          MemRefType::get({fields}, b.getI64Type()),
          b.pointer(f32),
          b.pointer(plan.storageType(b)),
          MemRefType::get({directScratchBytes(plan)}, b.getI8Type()),
          index,
          index,
          index};
}

void bq::writeDirectConv2d(KernelBuilder &b, const LinearPlan &plan, func::FuncOp func) {
  DirectConv2d(b, plan, func).write();
}
