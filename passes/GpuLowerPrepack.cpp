// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"
#include "passes/SoleOp.h"
#include "passes/gpu/PieceCodes.h"

#include "dialect/core/FragmentLayout.h"

namespace bq {
#define GEN_PASS_DEF_GPULOWERPREPACK
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

/// Writes cuda::PrepackFn. The "rows" that RowKernel deals out are blocks of 16 rows of the weight, its pieces what one
/// lane has of a unit, or of two: those of a unit lie in the order of lanes, and so do the words that a warp writes.
class PrepackRows {
public:
  PrepackRows(GpuBuilder &b, WeightType weight, bool permuted, StringRef name)
      : b(b), weight(weight), format(weight.getFormat()), k(weight.getK()), permuted(permuted),
        layout(FragmentLayout::get(format, FragmentLayout::blockRows, k)), planes(layout.planes()),
        unitsOfPiece(planes.back() == 1 ? 2 : 1),
        rows(b, layout.segments() * layout.units() / unitsOfPiece * lanes * RowPiece::columns) {
    Type i8 = b.getI8Type(), i32 = b.getI32Type();
    Type scalePointer = b.floatPointer(weight.getScale());
    Type zeroPointer = b.pointer(weight.getZero() == ZeroPointType::F32 ? Type(b.getF32Type()) : i8);
    func::FuncOp func = rows.begin(name, {b.pointer(i8), scalePointer, zeroPointer, b.pointer(i32), b.pointer(i32),
                                          scalePointer, zeroPointer, b.pointer(b.getF32Type()), b.getI64Type()});
    unsigned next = 0;
    for (Value *argument :
         {&codes, &scales, &zeros, &permutation, &packedCodes, &packedScales, &packedZeros, &columnScale, &n})
      *argument = func.getArgument(next++);
  }

  void write() {
    Value blocks = b.div(b.add(n, FragmentLayout::blockRows - 1), FragmentLayout::blockRows);
    rows.forEachPiece(blocks, [&](const RowPiece &piece) { writePiece(piece); });
  }

private:
  static constexpr int64_t lanes = 32;

  /// Where a lane's piece is in the weight and in the stream; all i32.
  struct Place {
    Value block, segment, inSegment; ///< Of rows, of the row, pieces of the segment.
    Value lane;
    Value begin, end; ///< The segment's columns, in the order of groups.
  };

  void writePiece(const RowPiece &piece) {
    const int64_t piecesOfSegment = layout.units() / unitsOfPiece;
    Place place;
    place.block = piece.row;
    place.lane = b.rem(piece.number, lanes);
    Value inRow = b.div(piece.number, lanes);
    place.segment = b.div(inRow, piecesOfSegment);
    place.inSegment = b.rem(inRow, piecesOfSegment);
    Value group = b.div(place.segment, layout.segmentsPerGroup);
    Value groupBegin = b.mul(group, layout.groupSize);
    place.begin = b.add(groupBegin, b.mul(b.rem(place.segment, layout.segmentsPerGroup), layout.segmentCodes));
    place.end = b.min(b.min(b.add(place.begin, layout.segmentCodes), b.add(groupBegin, layout.groupSize)), b.i32(k));

    SmallVector<Value> registers;
    for (int64_t unit = 0; unit < unitsOfPiece; ++unit)
      appendRegisters(place, unit, registers);
    storeWords(place, registers);
    Value isFirst = b.equal(place.inSegment, b.i32(0));
    b.when(b.both(isFirst, b.lessThan(place.lane, b.i32(FragmentLayout::blockRows))), [&] { copyScale(place, group); });
    if (format.hasColumnScale())
      convertColumnScales(place);
  }

  /// The first of the eight columns of a unit that a lane has, in the order of groups; i32.
  Value firstColumn(const Place &place, int64_t unit) {
    Value inUnit = b.mul(b.rem(place.lane, 4), RowPiece::columns);
    Value unitBegin = b.mul(b.add(b.mul(place.inSegment, unitsOfPiece), unit), FragmentLayout::unitCodes);
    return b.add(place.begin, b.add(unitBegin, inUnit));
  }

  /// The registers 0..3 of a unit, one code to a byte: 0 and 2 are of row g, 1 and 3 of row g + 8.
  void appendRegisters(const Place &place, int64_t unit, SmallVector<Value> &registers) {
    Value column = firstColumn(place, unit);
    SmallVector<Value> pairs;
    for (int64_t half = 0; half < 2; ++half) {
      Value inBlock = b.add(b.div(place.lane, 4), FragmentLayout::blockRows / 2 * half);
      Value row = b.add(b.mul(place.block, FragmentLayout::blockRows), inBlock);
      Value isThere = b.lessThan(b.wide(row), n);
      if (isWhole())
        isThere = b.both(isThere, b.lessThan(column, place.end));
      pairs.push_back(b.choose(
          isThere, [&] { return isWhole() ? loadWhole(row, column) : loadEach(row, column, place.end); },
          [&] { return b.splat(b.i32(0), 2); }));
    }
    for (int64_t reg = 0; reg < 4; ++reg)
      registers.push_back(b.element(pairs[reg % 2], reg / 2));
  }

  /// Whether eight columns are always eight codes one after the other, or none.
  bool isWhole() const {
    return !permuted && k % RowPiece::columns == 0 && layout.groupSize % RowPiece::columns == 0 &&
           layout.segmentCodes % RowPiece::columns == 0;
  }

  /// What takes codes from two's complement to an offset from the least, by exclusive or.
  int64_t signBit() const { return format.kind == Format::Kind::Int ? int64_t(1) << (format.bits - 1) : 0; }

  /// The registers of one row as `vector<2xi32>`: byte b of register i is column 4 (b % 2) + 2 i + b / 2 of the eight.
  Value joinBytes(ArrayRef<Value> values) {
    SmallVector<Value> words(2);
    for (int64_t column = 0; column < RowPiece::columns; ++column) {
      Value &word = words[column / 2 % 2];
      Value placed = b.shiftLeft(values[column], 8 * (column % 2 * 2 + column / 4));
      word = word ? b.bitOr(word, placed) : placed;
    }
    if (signBit())
      for (Value &word : words)
        word = b.bitXor(word, signBit() * 0x01010101);
    return b.pack(words);
  }

  Value loadWhole(Value row, Value column) {
    const RowPiece piece = {row, b.div(column, RowPiece::columns), column, RowPiece::columns};
    return joinBytes(loadCodes(b, codes, row, piece, format, k));
  }

  Value loadEach(Value row, Value column, Value end) {
    SmallVector<Value> values;
    for (int64_t i = 0; i < RowPiece::columns; ++i) {
      Value at = b.add(column, i);
      // Where there is no column, what becomes zero.
      values.push_back(b.choose(
          b.lessThan(at, end), [&] { return loadCode(row, permuted ? b.load(permutation, at) : at); },
          [&] { return b.i32(signBit()); }));
    }
    return joinBytes(values);
  }

  /// Reads no byte that does not hold a part of the code.
  Value loadCode(Value row, Value column) {
    Value bit = b.mul(b.wide(column), format.bits), shift = narrow(b.rem(bit, 8));
    Value first = b.add(b.mul(b.wide(row), format.rowBytes(k)), b.div(bit, 8));
    Value word = b.load(codes, first);
    if (8 % format.bits) {
      Value spansTwo = b.lessThan(b.i32(8 - format.bits), shift);
      word = b.choose(
          spansTwo, [&] { return b.bitOr(word, b.shiftLeft(b.load(codes, b.add(first, 1)), 8)); },
          [&] { return word; });
    }
    return b.bitAnd(arith::ShRUIOp::create(b, word, shift), (1 << format.bits) - 1);
  }
  Value narrow(Value wide) { return arith::TruncIOp::create(b, b.getI32Type(), wide); }

  /// The words of every plane that a piece has, each from the registers whose codes it holds.
  void storeWords(const Place &place, ArrayRef<Value> registers) {
    Value segment = b.add(b.mul(b.wide(place.block), layout.segments()), b.wide(place.segment));
    Value plane = b.mul(segment, layout.segmentWords());
    int64_t offset = 0;
    for (int width : planes) {
      const int64_t perByte = 8 / width, count = registers.size() / perByte;
      SmallVector<Value> words;
      for (int64_t first = 0; first < static_cast<int64_t>(registers.size()); first += perByte) {
        Value word;
        for (int64_t i = 0; i < perByte; ++i) {
          Value bits = b.shiftRight(registers[first + i], offset);
          if (width < 8)
            bits = b.bitAnd(bits, ((1 << width) - 1) * 0x01010101);
          Value placed = b.shiftLeft(bits, width * i);
          word = word ? b.bitOr(word, placed) : placed;
        }
        words.push_back(word);
      }
      // What a lane loads at once lies together, that of the lanes one after the other.
      const int64_t load = layout.loadWords(width), together = std::min(load, count);
      for (int64_t i = 0; i < count; i += together) {
        Value inLane = b.add(b.mul(place.inSegment, count), i);
        Value ofLanes = b.add(b.mul(b.div(inLane, load), lanes), place.lane);
        Value at = b.add(plane, b.wide(b.add(b.mul(ofLanes, load), b.rem(inLane, load))));
        b.store(together == 1 ? words[i] : b.pack(ArrayRef(words).slice(i, together)), packedCodes, at);
      }
      plane = b.add(plane, layout.laneWords(width) * lanes);
      offset += width;
    }
  }

  /// Entry `lane` of the segment's scales and zero points.
  void copyScale(const Place &place, Value group) {
    Value inBlock = b.add(b.div(place.lane, 2), b.mul(b.rem(place.lane, 2), FragmentLayout::blockRows / 2));
    Value row = b.add(b.mul(place.block, FragmentLayout::blockRows), inBlock);
    Value isThere = b.both(b.lessThan(b.wide(row), n), b.lessThan(place.begin, place.end));
    Value from = b.add(b.mul(b.wide(row), layout.groups()), b.wide(group));
    Value segment = b.add(b.mul(b.wide(place.block), layout.segments()), b.wide(place.segment));
    Value to = b.add(b.mul(segment, FragmentLayout::blockRows), b.wide(place.lane));
    auto copy = [&](Value source, Value target) {
      const bool isF32 = cast<gpu::PtrType>(source.getType()).getElement().isF32();
      Value value =
          b.choose(isThere, [&] { return b.load(source, from); }, [&] { return isF32 ? b.f32(0.0f) : b.i32(0); });
      b.store(value, target, to);
    };
    copy(scales, packedScales);
    if (weight.getZero() != ZeroPointType::None)
      copy(zeros, packedZeros);
  }

  /// Each column once, by a lane that has row 0 of the weight.
  void convertColumnScales(const Place &place) {
    b.when(b.both(b.equal(place.block, b.i32(0)), b.lessThan(place.lane, b.i32(4))), [&] {
      for (int64_t unit = 0; unit < unitsOfPiece; ++unit)
        for (int64_t i = 0; i < RowPiece::columns; ++i) {
          Value column = b.add(firstColumn(place, unit), i);
          b.when(b.lessThan(column, place.end), [&] {
            b.store(b.loadFloat(weight.getScale(), scales, b.add(n, b.wide(column))), columnScale, column);
          });
        }
    });
  }

  GpuBuilder &b;
  WeightType weight;
  Format format;
  int64_t k;
  bool permuted;
  FragmentLayout layout; ///< Of one block of rows: where something is in a block is the same in all.
  std::vector<int> planes;
  int64_t unitsOfPiece; ///< So many that a word of every plane is whole.
  RowKernel rows;
  Value codes, scales, zeros, permutation, packedCodes, packedScales, packedZeros, columnScale, n;
};

struct GpuLowerPrepack : bq::impl::GpuLowerPrepackBase<GpuLowerPrepack> {
  void runOnOperation() override {
    auto write = [](GpuBuilder &b, PrepackOp op, StringRef name) {
      PrepackRows(b, op.getWeight().getType(), op.getPermuted(), name).write();
    };
    if (failed(lowerToOneFunction<PrepackOp, GpuBuilder>(getOperation(), write)))
      signalPassFailure();
  }
};

} // namespace
