// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/PanelProduct.h"

using namespace mlir;
using namespace bq;

void PanelProduct::overRows(function_ref<void(Value segment, Value firstRow, Value rows)> addSegment,
                            function_ref<void(Value row, Value m)> finish) {
  b.loop(b.index(0), buffers.paddedRows, rowBlock, [&](Value firstRow) {
    Value rows = b.min(b.sub(buffers.paddedRows, firstRow), b.index(rowBlock));
    clear(rows);
    b.loop(b.index(0), b.index(plan.layout.segments()), 1, [&](Value segment) { addSegment(segment, firstRow, rows); });
    Value realRows = b.min(b.sub(buffers.m, firstRow), b.index(rowBlock));
    b.loop(b.index(0), realRows, 1, [&](Value row) { finish(row, b.add(firstRow, row)); });
  });
}

/// Sets the sums of `rows` rows to zero.
void PanelProduct::clear(Value rows) {
  b.loop(b.index(0), rows, 1, [&](Value row) {
    for (int64_t v = 0; v < plan.vectors; ++v)
      b.store(b.splat(0.0f), sums, {row, b.index(v * b.lanes)});
  });
}

void PanelProduct::add(Value task, Value segment, Value firstRow, Value rows) {
  if (!decoder.hasTwoBytes()) {
    decodePanel(task, segment, decoder.valuesOf(0));
    multiplyPanel(task, segment, {}, firstRow, rows);
    return;
  }
  b.loop(b.index(0), b.index(2), 1, [&](Value pass) {
    Value isHigh = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, pass, b.index(0));
    decodePanel(task, segment, b.select(isHigh, decoder.valuesOf(0), decoder.valuesOf(1)));
    multiplyPanel(task, segment, isHigh, firstRow, rows);
  });
}

PanelProduct::Place PanelProduct::placeOf(Value segment) {
  if (prepared.segmentCodes == plan.layout.segmentCodes)
    return {segment, b.index(0)};
  const int64_t segments = prepared.segmentCodes / plan.layout.segmentCodes;
  return {b.div(segment, segments), b.mul(b.rem(segment, segments), plan.segmentWords())};
}

/// The v-th block of rows of a task. The last task may have fewer: it reads the last block again, and does not store.
Value PanelProduct::blockOf(Value task, Value v) {
  Value block = b.add(b.mul(task, plan.vectors), v);
  return plan.layout.blocks() % plan.vectors ? b.min(block, b.index(plan.layout.blocks() - 1)) : block;
}

void PanelProduct::decodePanel(Value task, Value segment, Value values) {
  const int64_t words = plan.layout.tileCodes() / plan.perWord();
  b.loop(b.index(0), b.index(plan.vectors), 1, [&](Value v) {
    Value block = blockOf(task, v);
    Value zeros = plan.form == LinearPlan::Form::F32 ? decoder.loadZeros(block, segment) : Value();
    b.loop(b.index(0), b.index(plan.layout.tilesPerSegment()), 1, [&](Value tile) {
      WeightDecoder::Lines lines = decoder.loadTile(block, segment, tile);
      for (int64_t word = 0; word < words; ++word) {
        Value weights = decoder.panelWord(lines, word, values, zeros);
        b.store(b.bitcast(b.f32s(), weights), panel, panelAt(b.add(b.mul(tile, words), word), v));
      }
    });
  });
}

/// Of tiles: the plan's, and lower ones for the rows that it leaves.
SmallVector<int64_t> PanelProduct::heights() const {
  SmallVector<int64_t> result{plan.rows};
  if (plan.rows % (2 * panelRowMultiple) == 0)
    result.push_back(plan.rows / 2);
  if (result.back() != panelRowMultiple)
    result.push_back(panelRowMultiple);
  return result;
}

/// `isHigh`: whether the panel holds the high bytes of a two-byte table; null where it holds whole weights.
void PanelProduct::multiplyPanel(Value task, Value segment, Value isHigh, Value firstRow, Value rows) {
  SmallVector<Value> scales, zeros;
  for (int64_t v = 0; v < plan.vectors; ++v) {
    Value block = blockOf(task, b.index(v));
    Value scale = decoder.loadScales(block, segment);
    scales.push_back(isHigh ? b.mulF(scale, b.broadcast(b.select(isHigh, b.f32(256.0f), b.f32(1.0f)))) : scale);
    zeros.push_back(plan.form == LinearPlan::Form::F32 ? Value() : decoder.loadZeros(block, segment));
  }
  Value begin = b.index(0);
  for (int64_t height : heights()) {
    Value end = b.add(begin, b.mul(b.div(b.sub(rows, begin), height), height));
    b.loop(begin, end, height, [&](Value row) { multiplyTile(height, segment, isHigh, firstRow, row, scales, zeros); });
    begin = end;
  }
}

void PanelProduct::multiplyTile(int64_t height, Value segment, Value isHigh, Value firstRow, Value row,
                                ArrayRef<Value> scales, ArrayRef<Value> zeros) {
  SmallVector<Value> activationSums(height), state;
  for (int64_t i = 0; i < height; ++i) {
    if (plan.readsSums())
      activationSums[i] = b.loadScalar(buffers.sums, {segment, b.add(firstRow, b.add(row, i))});
    state.append(plan.vectors, decoder.initialSum(activationSums[i]));
  }
  const Place place = placeOf(segment);
  auto multiplyPlane = [&](Value plane, ValueRange before) {
    return b.loop(b.index(0), b.index(plan.segmentWords()), 1, before, [&](Value word, ValueRange carried) {
      SmallVector<Value> next(carried);
      multiplyWord(height, place, plane, b.add(firstRow, row), word, next);
      return next;
    });
  };
  if (plan.activationPlanes() == 1)
    state = multiplyPlane(b.index(0), state);
  else
    state = b.loop(b.index(0), b.index(plan.activationPlanes()), 1, state, [&](Value plane, ValueRange carried) {
      SmallVector<Value> shifted;
      for (Value sum : carried)
        shifted.push_back(b.shiftLeft(sum, 7));
      return multiplyPlane(plane, shifted);
    });
  for (int64_t i = 0; i < height; ++i) {
    Value m = b.add(row, i);
    for (int64_t v = 0; v < plan.vectors; ++v) {
      Value total = finish(state[i * plan.vectors + v], isHigh, activationSums[i], zeros[v]);
      Value before = b.load(b.f32s(), sums, {m, b.index(v * b.lanes)});
      b.store(b.fma(total, scales[v], before), sums, {m, b.index(v * b.lanes)});
    }
  }
}

/// High bytes are stored above their zero point of 128; low bytes have none.
Value PanelProduct::finish(Value total, Value isHigh, Value activationSum, Value zeros) {
  if (!isHigh)
    return decoder.finishSegment(total, activationSum, zeros);
  Value zero = b.select(isHigh, b.i32(128), b.i32(0));
  return b.toFloat(b.subI(total, b.broadcast(b.mulI(activationSum, zero))));
}

void PanelProduct::multiplyWord(int64_t height, const Place &place, Value plane, Value row, Value word,
                                SmallVector<Value> &state) {
  SmallVector<Value> weights;
  VectorType type = plan.isInteger() ? b.bytes() : plan.form == LinearPlan::Form::BF16 ? b.bf16s() : b.f32s();
  for (int64_t v = 0; v < plan.vectors; ++v)
    weights.push_back(b.bitcast(type, b.load(b.f32s(), panel, panelAt(word, b.index(v)), plan.layout.lineBytes())));
  const int64_t max = plan.format.isTable() ? 255 : (1 << plan.format.bits) - 1;
  for (int64_t i = 0; i < height; ++i) {
    Value x = b.broadcastLoad(type, buffers.data, {plane, place.segment, b.add(row, i), b.add(place.word, word)});
    for (int64_t v = 0; v < plan.vectors; ++v) {
      Value &sum = state[i * plan.vectors + v];
      sum = plan.form == LinearPlan::Form::F32 ? b.fma(weights[v], x, sum)
                                               : Value(DotOp::create(b, sum.getType(), sum, weights[v], x, max));
    }
  }
}
