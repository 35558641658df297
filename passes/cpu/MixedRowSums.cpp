// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedRowSums.h"

using namespace mlir;
using namespace bq;

using abi::MixedIndex;

SmallVector<Value> MixedRowSums::addNarrow(Value ofSegment, Value firstX, ValueRange sums) {
  segment = ofSegment;
  x = firstX;
  auto add = [&](int64_t first, int64_t last, ValueRange before) {
    return addWidths(first, last, before, [&](Value width, Value bits, Value count, ValueRange before) {
      return plan.isInteger() ? multiplyIntegers(width, bits, count, before)
                              : multiplyFloats(width, bits, last, count, before);
    });
  };
  // Deinterleaved floats have fewer instructions but for eight bits.
  if (plan.isDeinterleaved)
    return add(maxNarrow, maxNarrow, add(1, maxNarrow - 1, sums));
  return add(1, maxNarrow, sums);
}

SmallVector<Value> MixedRowSums::addWide(Value ofSegment, Value firstX, ValueRange sums) {
  segment = ofSegment;
  x = firstX;
  return addWidths(maxNarrow + 1, MixedIndex::widths - 1, sums,
                   [&](Value width, Value bits, Value count, ValueRange before) {
                     return multiplyWide(width, bits, count, before);
                   });
}

SmallVector<Value> MixedRowSums::addWidths(
    int64_t first, int64_t last, ValueRange sums,
    function_ref<SmallVector<Value>(Value width, Value bits, Value count, ValueRange sums)> multiply) {
  return b.loop(b.index(first), b.index(last + 1), 1, sums, [&](Value width, ValueRange before) {
    Value bits = toI64(width);
    return lists.withListed(b.broadcast(b.bytes(), arith::TruncIOp::create(b, b.getI8Type(), bits)), before,
                            [&](Value count) { return multiply(width, bits, count, before); });
  });
}

SmallVector<Value>
MixedRowSums::overSteps(int64_t step, Value width, Value count, ValueRange initial,
                        function_ref<SmallVector<Value>(Value at, ArrayRef<Value> parts, ValueRange carried)> body) {
  const int64_t parts = std::max<int64_t>(1, step / size);
  Value position = b.loadScalar(frame.positions(), width), groupBits = toI64(b.mul(width, size));
  b.storeScalar(b.addI(position, b.mulI(toI64(count), groupBits)), frame.positions(), width);
  Value stepBytes = b.mul(width, step / 8);
  SmallVector<Value> state(initial);
  state.push_back(toIndex(arith::ShRUIOp::create(b, position, i64(3))));
  auto advance = [&](ArrayRef<Value> parts, ValueRange before) {
    SmallVector<Value> next = body(before.back(), parts, before.drop_back());
    next.push_back(b.addI(before.back(), stepBytes));
    return next;
  };
  state = b.loop(b.index(0), count, parts, state, [&](Value i, ValueRange before) -> SmallVector<Value> {
    SmallVector<Value> begins;
    for (int64_t part = 0; part < parts; ++part)
      begins.push_back(lists.columnOf(b.add(i, part)));
    if (size <= step)
      return advance(begins, before);
    return b.loop(b.index(0), b.index(size), step, before,
                  [&](Value inGroup, ValueRange inner) { return advance(b.addI(begins[0], inGroup), inner); });
  });
  state.pop_back();
  return state;
}

Value MixedRowSums::gather(int64_t plane, int64_t row, ArrayRef<Value> parts, int64_t step) {
  const int64_t length = std::min(size, step);
  Value at = b.add(x, row);
  SmallVector<Value> pieces;
  for (Value column : parts)
    pieces.push_back(frame.activations(plane, segment, at, column, length));
  return frame.joined(pieces);
}

Value MixedRowSums::floats(int64_t row, ArrayRef<Value> parts, int64_t first) {
  auto some = [&](int64_t plane) {
    SmallVector<Value> own;
    if (size < b.lanes)
      own.append(parts.begin() + first / size, parts.begin() + (first + b.lanes) / size);
    else
      own.push_back(b.add(parts[first / std::min(size, narrowStep)], first % std::min(size, narrowStep)));
    Value at = b.add(x, row);
    SmallVector<Value> pieces;
    for (Value column : own)
      pieces.push_back(frame.activations(plane, segment, at, column, std::min(size, b.lanes)));
    return frame.joined(pieces);
  };
  Value high = some(0);
  if (!plan.isInteger())
    return high;
  auto wide = [&](Value bytes) { return arith::ExtSIOp::create(b, b.i32s(), bytes); };
  if (plan.activationPlanes() == 1)
    return b.toFloat(wide(high));
  return b.toFloat(b.addI(b.shiftLeft(wide(high), plan.hasWords() ? 16 : 7), wide(some(1))));
}

Value MixedRowSums::power(Value bits, int64_t less) {
  Value power = b.sub(arith::ShLIOp::create(b, i64(1), bits), i64(less));
  return arith::UIToFPOp::create(b, b.getF32Type(), power);
}

SmallVector<Value> MixedRowSums::multiplyIntegers(Value width, Value bits, Value count, ValueRange sums) {
  const int64_t planes = plan.activationPlanes();
  Value levels = power(bits, 1);
  const MixedDecoder::Narrow decode = decoder.narrow(bits, maxNarrow, b.getI8Type());
  SmallVector<Value> totals =
      overSteps(narrowStep, width, count, SmallVector<Value>(plan.rows * planes, b.zero(b.i32s())),
                [&](Value at, ArrayRef<Value> parts, ValueRange now) {
                  Value codes = decoder.codesFrom(at, decode)[0];
                  SmallVector<Value> next;
                  for (int64_t row = 0; row < plan.rows; ++row)
                    for (int64_t plane = 0; plane < planes; ++plane) {
                      Value sum = now[row * planes + plane];
                      next.push_back(DotOp::create(b, sum.getType(), sum, codes, gather(plane, row, parts, narrowStep),
                                                   (1 << maxNarrow) - 1));
                    }
                  return next;
                });
  SmallVector<Value> result(sums);
  for (int64_t row = 0; row < plan.rows; ++row)
    for (int64_t plane = 0; plane < planes; ++plane) {
      Value unit = b.broadcast(b.divF(b.f32(plan.planeUnits()[plane]), levels));
      result[row] = b.fma(b.toFloat(totals[row * planes + plane]), unit, result[row]);
    }
  return result;
}

SmallVector<Value> MixedRowSums::multiplyFloats(Value width, Value bits, int64_t most, Value count, ValueRange sums) {
  // Codes are 1 + level / 2^bits.
  Value unit = b.divF(b.mulF(frame.range(), power(bits, 0)), power(bits, 1));
  const Line line{b.broadcast(unit), b.broadcast(b.subF(frame.min(), unit))};
  const MixedDecoder::Narrow decode = decoder.narrow(bits, most, b.getF32Type(), plan.isDeinterleaved);
  return overSteps(narrowStep, width, count, sums, [&](Value at, ArrayRef<Value> parts, ValueRange now) {
    return addProducts(decoder.codesFrom(at, decode), line, parts, now);
  });
}

SmallVector<Value> MixedRowSums::multiplyWide(Value width, Value bits, Value count, ValueRange sums) {
  const Line line{b.broadcast(b.divF(plan.isInteger() ? b.f32(plan.fixedPointUnit()) : frame.range(), power(bits, 1))),
                  plan.isInteger() ? b.splat(0.0f) : b.broadcast(frame.min())};
  const MixedDecoder::Wide decode = decoder.wide(bits);
  return overSteps(wideStep, width, count, sums, [&](Value at, ArrayRef<Value> parts, ValueRange now) {
    return addProducts(floatsOf(decoder.wideCodes(decode, at)), line, parts, now);
  });
}

SmallVector<Value> MixedRowSums::floatsOf(Value words) {
  if (plan.isDeinterleaved) {
    Value pairs = b.bitcast(b.i32s(), words);
    return {b.toFloat(b.bitAnd(pairs, 0xffff)), b.toFloat(b.shiftRight(pairs, 16))};
  }
  SmallVector<Value> floats;
  for (int64_t first = 0; first < wideStep; first += b.lanes)
    floats.push_back(b.toFloat(arith::ExtUIOp::create(b, b.i32s(), b.slice(words, first, b.lanes))));
  return floats;
}

SmallVector<Value> MixedRowSums::addProducts(ArrayRef<Value> codes, const Line &line, ArrayRef<Value> parts,
                                             ValueRange sums) {
  // The sums of few rows would wait for themselves: products are added first.
  const bool areAdded = plan.rows <= 4;
  SmallVector<Value> next = areAdded ? SmallVector<Value>(plan.rows) : SmallVector<Value>(sums);
  for (auto [vector, code] : llvm::enumerate(codes)) {
    Value weights = b.fma(code, line.slope, line.offset);
    for (int64_t row = 0; row < plan.rows; ++row) {
      Value activations = floats(row, parts, vector * b.lanes);
      next[row] = next[row] ? b.fma(weights, activations, next[row]) : b.mulF(weights, activations);
    }
  }
  if (areAdded)
    for (int64_t row = 0; row < plan.rows; ++row)
      next[row] = b.addF(sums[row], next[row]);
  return next;
}
