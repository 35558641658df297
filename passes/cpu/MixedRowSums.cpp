// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedRowSums.h"

using namespace mlir;
using namespace bq;

using abi::MixedIndex;

SmallVector<Value> MixedRowSums::addNarrow(Value ofSegment, Value firstX, ValueRange sums) {
  segment = ofSegment;
  x = firstX;
  return addWidths(1, maxNarrow, sums, [&](Value width, Value bits, Value count, ValueRange before) {
    return multiplyNarrow(width, bits, count, before);
  });
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
MixedRowSums::overSteps(int64_t step, Value count, Value begin, Value stepBytes, ValueRange initial,
                        function_ref<SmallVector<Value>(Value at, ArrayRef<Value> parts, ValueRange carried)> body) {
  const int64_t parts = std::max<int64_t>(1, step / size);
  SmallVector<Value> state(initial);
  state.push_back(begin);
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
    return b.extendFloat(high);
  auto wide = [&](Value bytes) { return arith::ExtSIOp::create(b, b.i32s(), bytes); };
  if (plan.form == LinearPlan::Form::I8)
    return b.toFloat(wide(high));
  return b.toFloat(b.addI(b.shiftLeft(wide(high), 7), wide(some(1))));
}

Value MixedRowSums::beginOf(Value width) {
  return toIndex(arith::ShRUIOp::create(b, b.loadScalar(frame.positions(), width), i64(3)));
}

Value MixedRowSums::levelsOf(Value bits) {
  Value greatest = b.sub(arith::ShLIOp::create(b, i64(1), bits), i64(1));
  return arith::UIToFPOp::create(b, b.getF32Type(), greatest);
}

void MixedRowSums::goOn(Value width, Value count, Value groupBits) {
  Value bits = b.mulI(toI64(count), groupBits);
  b.storeScalar(b.addI(b.loadScalar(frame.positions(), width), bits), frame.positions(), width);
}

SmallVector<Value> MixedRowSums::multiplyNarrow(Value width, Value bits, Value count, ValueRange sums) {
  Value begin = beginOf(width), stepBytes = b.mul(width, narrowStep / 8);
  goOn(width, count, b.mulI(bits, i64(size)));
  Value levels = levelsOf(bits);
  const MixedDecoder::Narrow decode = decoder.narrow(bits, maxNarrow, b.getI8Type());
  if (!plan.isInteger()) {
    Value step = b.broadcast(b.divF(frame.range(), levels));
    return overSteps(narrowStep, count, begin, stepBytes, sums, [&](Value at, ArrayRef<Value> parts, ValueRange now) {
      return multiplyFloats(decoder.codesFrom(at, decode)[0], narrowStep, step, b.broadcast(frame.min()), parts, now);
    });
  }
  const int64_t planes = plan.activationPlanes();
  SmallVector<Value> totals =
      overSteps(narrowStep, count, begin, stepBytes, SmallVector<Value>(plan.rows * planes, b.zero(b.i32s())),
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
      Value unit = b.broadcast(b.divF(b.f32(planes - plane == 2 ? 128.0f : 1.0f), levels));
      result[row] = b.fma(b.toFloat(totals[row * planes + plane]), unit, result[row]);
    }
  return result;
}

SmallVector<Value> MixedRowSums::multiplyWide(Value width, Value bits, Value count, ValueRange sums) {
  Value begin = beginOf(width);
  goOn(width, count, b.mulI(bits, i64(size)));
  Value step = b.divF(isOfLevels ? b.f32(1.0f) : frame.range(), levelsOf(bits));
  Value offset = isOfLevels ? b.splat(0.0f) : b.broadcast(frame.min());
  const MixedDecoder::Wide decode = decoder.wide(bits);
  return overSteps(
      wideStep, count, begin, b.mul(width, wideStep / 8), sums, [&](Value at, ArrayRef<Value> parts, ValueRange now) {
        return multiplyFloats(decoder.wideCodes(decode, at), wideStep, b.broadcast(step), offset, parts, now);
      });
}

SmallVector<Value> MixedRowSums::multiplyFloats(Value codes, int64_t count, Value step, Value offset,
                                                ArrayRef<Value> parts, ValueRange sums) {
  SmallVector<Value> next(sums);
  for (int64_t first = 0; first < count; first += b.lanes) {
    Value levels =
        arith::UIToFPOp::create(b, b.f32s(), arith::ExtUIOp::create(b, b.i32s(), b.slice(codes, first, b.lanes)));
    Value weights = b.fma(levels, step, offset);
    for (int64_t row = 0; row < plan.rows; ++row)
      next[row] = b.fma(weights, floats(row, parts, first), next[row]);
  }
  return next;
}
