// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/StepRandom.h"

#include "dialect/BQDialect.h"
#include "dialect/core/Philox.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

static constexpr int64_t columns = StepPiece::columns;
/// Two columns share a number.
static constexpr int64_t numbers = RowRound::columns / 2;

void StepRandom::write(const RowRound &round, bool forMoments, bool forWeights) {
  auto make = [&](Value &words) {
    if (!words)
      words = b.shared(b.getI32Type(), numbers);
    return words;
  };
  // What the round before it left there is read no more.
  b.barrier();
  if (forWeights)
    writeStream(round, 0, make(weightWords));
  if (forMoments)
    writeStream(round, 1, make(momentWords));
  b.barrier();
}

void StepRandom::writeStream(const RowRound &round, int64_t stream, Value words) {
  Type i32 = b.getI32Type();
  Value thread = b.thread(), counter = b.add(b.div(round.first, columns), thread);
  auto random =
      PhiloxOp::create(b, i32, i32, i32, i32, counter, round.row, step, b.i32(stream), seedLow, seedHigh, philoxRounds);
  // 16 counters make 64 numbers.
  Value first = b.add(b.mul(b.div(thread, 16), 64), b.rem(thread, 16));
  for (int64_t word = 0; word < 4; ++word)
    b.store(random.getResult(word), words, b.add(first, 16 * word));
}

Value StepRandom::isSecondOfPair() { return b.lessThan(b.i32(7), b.rem(b.thread(), 16)); }

SmallVector<Value> StepRandom::load(Value words) {
  Value thread = b.thread();
  Value first = b.add(b.mul(b.div(thread, 16), 64), b.mul(b.rem(thread, 8), columns));
  SmallVector<Value> values;
  for (int64_t half = 0; half < 2; ++half) {
    Value four = b.load(b.vec(b.getI32Type(), 4), words, b.add(first, 4 * half));
    for (int64_t i = 0; i < 4; ++i)
      values.push_back(b.element(four, i));
  }
  return values;
}

SmallVector<Value> StepRandom::moments() {
  SmallVector<Value> values = load(momentWords);
  Value isSecond = isSecondOfPair();
  for (Value &word : values)
    word = b.select(isSecond, b.bitOr(b.shiftLeft(word, 8), b.shiftRight(word, 24)), word);
  return values;
}

SmallVector<Value> StepRandom::weights() {
  SmallVector<Value> values = load(weightWords);
  Value isSecond = isSecondOfPair();
  for (Value &word : values)
    word = b.select(isSecond, half(b, word, true), half(b, word, false));
  return values;
}

Value StepRandom::half(GpuBuilder &b, Value word, bool high) {
  return high ? b.shiftRight(word, 16) : b.bitAnd(word, 0xffff);
}

Value StepRandom::unit(GpuBuilder &b, Value half) { return b.fma(b.toFloat(half), b.f32(0x1p-16f), b.f32(0x1p-17f)); }

Value StepRandom::roundAtRandom(GpuBuilder &b, Value x, Value unit) {
  // The fraction is exact, which that of x + unit would not be.
  Value below = b.floorF(x);
  Value isUp = b.compareF(arith::CmpFPredicate::OLT, unit, b.subF(x, below));
  return b.addF(below, b.select(isUp, b.f32(1.0f), b.f32(0.0f)));
}
