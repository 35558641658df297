// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/WeightDecoder.h"

#include "dialect/core/KernelAbi.h"

#include "llvm/ADT/bit.h"

#include <cstddef>

using namespace mlir;
using namespace bq;

namespace {

/// A piece of a code of at most four bits, looked up by itself; the pieces of a code are added.
struct Piece {
  size_t plane;
  int64_t shift; ///< In the plane's field.
  int64_t width;
  int64_t offset; ///< In the code.
};

SmallVector<Piece> piecesOf(ArrayRef<int> planes) {
  SmallVector<Piece> pieces;
  int64_t offset = 0;
  for (size_t plane = 0; plane < planes.size(); ++plane)
    for (int64_t shift = 0; shift < planes[plane]; shift += 4) {
      int64_t width = std::min<int64_t>(4, planes[plane] - shift);
      pieces.push_back({plane, shift, width, offset});
      offset += width;
    }
  return pieces;
}

uint16_t bf16Bits(float exact) { return llvm::bit_cast<uint32_t>(exact) >> 16; }

} // namespace

WeightDecoder::WeightDecoder(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers, IntegerMode mode)
    : b(b), plan(plan), buffers(buffers), planes(plan.layout.planes()),
      mode(plan.format.isTable() ? IntegerMode::Whole : mode) {
  int64_t offset = 0;
  for (int width : planes) {
    for (int64_t field = 0; field < 8 / width; ++field)
      fields.push_back({field * width, offset});
    offset += width;
  }
  makeTable(buffers);
}

void WeightDecoder::makeTable(const LinearBuffers &buffers) {
  auto loadBytes = [&](size_t offset, int64_t count) {
    return b.load(b.vec(b.getI8Type(), count), buffers.table, b.index(offset));
  };
  const Format &format = plan.format;
  const bool isSign = format.kind == Format::Kind::Sign;
  if (format.isTable()) {
    switch (plan.form) {
    case LinearPlan::Form::I8:
      table = loadBytes(offsetof(abi::WeightTable, i8), 16);
      return;
    case LinearPlan::Form::I16:
      table = loadBytes(offsetof(abi::WeightTable, i16High), 16);
      tableLow = loadBytes(offsetof(abi::WeightTable, i16Low), 16);
      return;
    case LinearPlan::Form::BF16:
      table = b.bitcast(b.vec(b.getI16Type(), 32), loadBytes(offsetof(abi::WeightTable, bf16), 64));
      return;
    case LinearPlan::Form::F32:
      table = b.bitcast(b.vec(b.getF32Type(), 16), loadBytes(offsetof(abi::WeightTable, f32), 64));
      return;
    case LinearPlan::Form::Words:
    case LinearPlan::Form::TwoWords:
      llvm_unreachable("forms of a mixed weight, which has no table");
    }
  }
  if (plan.form == LinearPlan::Form::BF16) {
    auto valuesOf = [&](int64_t width, int64_t offset) {
      bool isTop = offset + width == format.bits;
      SmallVector<int16_t> words;
      for (int64_t i = 0; i < 32; ++i) {
        int64_t part = (i & ((1 << width) - 1)) << offset;
        words.push_back(bf16Bits(isSign ? 2 * part - 1 : part - (isTop ? plan.staticZero() : 0)));
      }
      VectorType type = b.vec(b.getI16Type(), 32);
      return arith::ConstantOp::create(b, DenseElementsAttr::get(type, ArrayRef<int16_t>(words)));
    };
    for (const Piece &piece : piecesOf(planes))
      nibbleTables.push_back(valuesOf(piece.width, piece.offset));
    if (format.bits <= 5)
      table = valuesOf(format.bits, 0);
    return;
  }
  // A lookup of 16 floats is one instruction where the vector holds them all.
  if (plan.form == LinearPlan::Form::F32 && plan.layout.lanes == 16 && planes.size() == 1 && format.bits <= 4 &&
      plan.zero == ZeroPointType::None) {
    SmallVector<float> values;
    for (int64_t i = 0; i < 16; ++i) {
      int64_t code = i & ((1 << format.bits) - 1);
      values.push_back(isSign ? 2 * code - 1 : code - plan.staticZero());
    }
    table = arith::ConstantOp::create(b, DenseElementsAttr::get(b.vec(b.getF32Type(), 16), ArrayRef<float>(values)));
  }
}

WeightDecoder::Lines WeightDecoder::loadTile(Value block, Value segment, Value tile) {
  Lines lines;
  Value base = b.mul(tile, plan.layout.tileBytes());
  int64_t offset = 0;
  for (int width : planes) {
    lines.emplace_back();
    for (int64_t line = 0; line < plan.layout.linesPerTile(width); ++line) {
      lines.back().push_back(
          b.load(b.bytes(), buffers.codes, {block, segment, b.add(base, offset)}, plan.layout.lineBytes()));
      offset += plan.layout.lineBytes();
    }
  }
  return lines;
}

//===----------------------------------------------------------------------===//
// Integer products
//===----------------------------------------------------------------------===//

int64_t WeightDecoder::keys() const {
  if (!plan.isInteger())
    return 1;
  if (hasTwoBytes())
    return 2;
  return mode == IntegerMode::InPlace ? fields.size() : 1;
}

Value WeightDecoder::wholeBytes(const Lines &lines, int64_t word) {
  if (planes.size() == 1 && planes[0] == 8)
    return lines[0][word];
  // In one type throughout: LLVM takes twice as long to select instructions where bytes become words and bytes again.
  Value codes;
  int64_t offset = 0;
  for (auto [plane, width] : llvm::enumerate(planes)) {
    int64_t perLine = 8 / width, shift = word % perLine * width - offset;
    Value piece = b.bitcast(b.i32s(), lines[plane][word / perLine]);
    if (shift)
      piece = shift > 0 ? b.shiftRight(piece, shift) : b.shiftLeft(piece, -shift);
    piece = b.bitAnd(piece, 0x01010101 * (((1 << width) - 1) << offset));
    codes = codes ? b.bitOr(codes, piece) : piece;
    offset += width;
  }
  return b.bitcast(b.bytes(), codes);
}

SmallVector<WeightDecoder::Term> WeightDecoder::terms(const Lines &lines) {
  SmallVector<Term> result;
  const int64_t words = plan.layout.tileCodes() / 4;
  if (plan.form == LinearPlan::Form::BF16) {
    for (int64_t word = 0; word < words; ++word)
      for (int64_t half = 0; half < 2; ++half) {
        if (plan.format.isTable()) {
          result.push_back({panelWord(lines, 2 * word + half, table, {}), 2 * word + half, 0, 0});
          continue;
        }
        for (auto [index, piece] : llvm::enumerate(piecesOf(planes))) {
          int64_t width = planes[piece.plane], perLine = 8 / width;
          Value line = lines[piece.plane][word / perLine];
          result.push_back({bf16Words(line, word % perLine * width + piece.shift + 8 * half, nibbleTables[index]),
                            2 * word + half, 0, 0});
        }
      }
    return result;
  }
  if (mode == IntegerMode::Whole) {
    for (int64_t word = 0; word < words; ++word)
      for (int64_t key = 0; key < (hasTwoBytes() ? 2 : 1); ++key)
        result.push_back({panelWord(lines, word, valuesOf(key), {}), word, key,
                          plan.format.isTable() ? 255 : (1 << plan.format.bits) - 1});
    return result;
  }
  int64_t firstKey = 0;
  for (auto [plane, width] : llvm::enumerate(planes)) {
    const int64_t perLine = 8 / width;
    for (auto [index, line] : llvm::enumerate(lines[plane]))
      for (int64_t field = 0; field < perLine; ++field) {
        int64_t mask = ((1 << width) - 1) << (field * width);
        result.push_back({width == 8 ? line : b.bitAnd(line, mask), static_cast<int64_t>(index) * perLine + field,
                          firstKey + field, mask});
      }
    firstKey += perLine;
  }
  return result;
}

Value WeightDecoder::fold(ArrayRef<Value> accumulators, int64_t key) {
  if (mode == IntegerMode::Whole)
    return accumulators[key];
  Value total;
  for (auto [accumulator, field] : llvm::zip(accumulators, fields)) {
    Value part = b.shiftLeft(field.shiftRight
                                 ? Value(arith::ShRSIOp::create(b, accumulator, b.splat(b.i32s(), field.shiftRight)))
                                 : accumulator,
                             field.shiftLeft);
    total = total ? b.addI(total, part) : part;
  }
  return total;
}

int64_t WeightDecoder::commonZero() const { return plan.format.isTable() ? 128 : plan.staticZero(); }

Value WeightDecoder::initialSum(Value activationSum) {
  if (!plan.isInteger())
    return b.zero(b.f32s());
  if (!startsFromZeroPoint())
    return b.zero(b.i32s());
  return b.broadcast(b.mulI(activationSum, b.i32(-commonZero())));
}

Value WeightDecoder::finishSegment(ArrayRef<Value> totals, Value activationSum, Value zeros) {
  if (!plan.isInteger())
    return zeros ? b.subF(totals[0], b.mulF(zeros, b.broadcast(activationSum))) : totals[0];
  auto minus = [&](Value total, int64_t zero) {
    return b.subI(total, b.broadcast(b.mulI(activationSum, b.i32(zero))));
  };
  if (hasTwoBytes())
    return b.fma(b.toFloat(minus(totals[0], 128)), b.splat(256.0f), b.toFloat(totals[1]));
  if (startsFromZeroPoint())
    return b.toFloat(totals[0]);
  if (plan.format.kind == Format::Kind::Sign)
    return b.toFloat(minus(b.shiftLeft(totals[0], 1), 1));
  if (zeros) {
    // Exact for i8, whose sums are below 2^24; for i16 far below the error of the fixed point.
    Value sum = arith::SIToFPOp::create(b, b.getF32Type(), activationSum);
    return b.fma(zeros, b.broadcast(arith::NegFOp::create(b, sum)), b.toFloat(totals[0]));
  }
  return b.toFloat(commonZero() ? minus(totals[0], commonZero()) : totals[0]);
}

//===----------------------------------------------------------------------===//
// Float products
//===----------------------------------------------------------------------===//

Value WeightDecoder::bf16Words(Value codes, int64_t shift, Value values) {
  Value indices = b.shiftRight(b.bitcast(b.words(), codes), shift);
  Value words = LookupOp::create(b, b.words(), values, indices);
  return b.bitcast(b.bf16s(), words);
}

Value WeightDecoder::f32Weights(const Lines &lines, int64_t column, Value zeros) {
  auto fieldOf = [&](size_t plane, int64_t offset) {
    int64_t width = planes[plane], perLine = 32 / width, inLine = column % perLine;
    int64_t shift = 8 * (inLine % 4) + inLine / 4 * width - offset;
    Value dwords = b.bitcast(b.i32s(), lines[plane][column / perLine]);
    return shift >= 0 ? b.shiftRight(dwords, shift) : b.shiftLeft(dwords, -shift);
  };
  if (table && planes.size() == 1)
    return LookupOp::create(b, b.f32s(), table, fieldOf(0, 0));
  Value code;
  int64_t offset = 0;
  for (auto [plane, width] : llvm::enumerate(planes)) {
    Value piece = b.bitAnd(fieldOf(plane, offset), ((int64_t(1) << width) - 1) << offset);
    code = code ? b.bitOr(code, piece) : piece;
    offset += width;
  }
  if (table)
    return LookupOp::create(b, b.f32s(), table, code);
  Value weights = b.toFloat(code);
  if (plan.format.kind == Format::Kind::Sign)
    return b.subF(b.addF(weights, weights), b.splat(1.0f));
  if (plan.staticZero())
    return b.subF(weights, b.splat(static_cast<float>(plan.staticZero())));
  return zeros ? b.subF(weights, zeros) : weights;
}

Value WeightDecoder::panelWord(const Lines &lines, int64_t word, Value values, Value zeros) {
  if (plan.isInteger()) {
    Value codes = wholeBytes(lines, word);
    return values ? Value(LookupOp::create(b, b.bytes(), values, codes)) : codes;
  }
  if (plan.form == LinearPlan::Form::F32)
    return f32Weights(lines, word, zeros);
  const int64_t quad = word / 2, half = word % 2;
  if (planes.size() == 1 && planes[0] <= 4) {
    int64_t perLine = 8 / planes[0];
    return bf16Words(lines[0][quad / perLine], quad % perLine * planes[0] + 8 * half, values);
  }
  Value codes = wholeBytes(lines, quad);
  if (values)
    return bf16Words(codes, 8 * half, values);
  // Differences of codes and their zero point are exact in bf16: its 8 bits are the upper half of an f32.
  Value dwords = b.bitcast(b.i32s(), codes);
  auto bits = [&](int64_t byte) {
    Value weights = b.toFloat(b.bitAnd(b.shiftRight(dwords, 8 * byte), 0xff));
    if (plan.staticZero())
      weights = b.subF(weights, b.splat(static_cast<float>(plan.staticZero())));
    return b.bitcast(b.i32s(), weights);
  };
  return b.bitcast(b.bf16s(), b.bitOr(b.shiftRight(bits(half), 16), bits(2 + half)));
}

//===----------------------------------------------------------------------===//
// Scales and zero points
//===----------------------------------------------------------------------===//

Value WeightDecoder::loadScales(Value block, Value segment) {
  return b.extendFloat(b.load(b.vec(plan.scaleType, b.lanes), buffers.scales, {block, segment, b.index(0)}));
}

Value WeightDecoder::loadZeros(Value block, Value segment) {
  if (plan.zero == ZeroPointType::None)
    return {};
  if (plan.zero == ZeroPointType::F32)
    return b.load(b.f32s(), buffers.zeros, {block, segment, b.index(0)});
  Value bytes = b.load(b.vec(b.getI8Type(), b.lanes), buffers.zeros, {block, segment, b.index(0)});
  return b.toFloat(arith::ExtUIOp::create(b, b.i32s(), bytes));
}
