// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/StepRandom.h"

#include "dialect/BQDialect.h"
#include "dialect/core/Philox.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

static constexpr int64_t columns = StepPiece::columns;
/// A block of 256 columns has sixteen words, of four counters.
static constexpr int64_t blockColumns = 256, blockWords = 16, blockCounters = 4;
static constexpr int64_t roundBlocks = RowRound::columns / blockColumns;

void StepRandom::write(const RowRound &round, bool forMoments, bool forWeights) {
  auto make = [&](Value &words) {
    if (!words)
      words = b.shared(b.getI32Type(), roundBlocks * blockWords);
    return words;
  };
  // What the round before it left there is read no more.
  b.barrier();
  if (forWeights)
    writeStream(round, 0, make(weightWords));
  if (forMoments)
    writeStream(round, 1, make(momentWords));
  b.barrier();
  constexpr int64_t perBlock = blockColumns / columns, perTurn = blockWords / columns;
  Value thread = b.thread();
  firstWord = b.add(b.mul(b.div(thread, perBlock), blockWords), b.mul(b.rem(thread, perTurn), columns));
  turn = b.mul(b.div(b.rem(thread, perBlock), perTurn), static_cast<int32_t>(philoxTurn));
}

void StepRandom::writeStream(const RowRound &round, int64_t stream, Value words) {
  Type i32 = b.getI32Type();
  Value thread = b.thread();
  b.when(b.lessThan(thread, b.i32(roundBlocks * blockCounters)), [&] {
    Value counter = b.add(b.div(round.first, blockColumns / blockCounters), thread);
    // Round by round, since what the kernel holds decides how long it takes to compile.
    SmallVector<Value> state =
        b.loop(b.i32(0), b.i32(philoxRounds), b.i32(1), {counter, round.row, step, b.i32(stream), seedLow, seedHigh},
               [&](Value, ValueRange s) {
                 auto random =
                     PhiloxOp::create(b, i32, i32, i32, i32, s[0], s[1], s[2], s[3], s[4], s[5], /*rounds=*/1);
                 SmallVector<Value> next(random.getResults());
                 next.push_back(b.add(s[4], static_cast<int32_t>(philoxKeySteps[0])));
                 next.push_back(b.add(s[5], static_cast<int32_t>(philoxKeySteps[1])));
                 return next;
               });
    Value first = b.add(b.mul(b.div(thread, blockCounters), blockWords), b.rem(thread, blockCounters));
    for (int64_t word = 0; word < 4; ++word)
      b.store(state[word], words, b.add(first, blockCounters * word));
  });
}

SmallVector<Value> StepRandom::load(Value words, Value half) {
  Value four =
      b.load(b.vec(b.getI32Type(), StepHalf::columns), words, b.add(firstWord, b.mul(half, StepHalf::columns)));
  SmallVector<Value> values;
  for (int64_t i = 0; i < StepHalf::columns; ++i)
    values.push_back(b.add(b.element(four, i), turn));
  return values;
}

SmallVector<Value> StepRandom::moments(Value half) { return load(momentWords, half); }

SmallVector<Value> StepRandom::weights(Value half) {
  SmallVector<Value> values = load(weightWords, half);
  for (Value &word : values)
    word = StepRandom::half(b, word, false);
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
