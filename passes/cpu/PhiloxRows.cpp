// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/PhiloxRows.h"

#include "dialect/BQDialect.h"
#include "dialect/core/Philox.h"

#include <numeric>

using namespace mlir;
using namespace bq;

PhiloxRows::PhiloxRows(KernelBuilder &b, Value counter) : b(b) {
  for (int64_t word = 0; word < 2; ++word)
    seed[word] = b.loadScalar(counter, b.index(word));
  step = b.loadScalar(counter, b.index(2));
}

/// Of philoxUnit columns those that are there.
static int64_t neededOf(Value columns) {
  auto known = getConstantIntValue(getAsOpFoldResult(columns));
  return known ? std::min(*known, philoxUnit) : philoxUnit;
}

void PhiloxRows::forEachBlock(Value row, Value first, Value columns, RandomStream stream,
                              function_ref<void(Value, int64_t, Value)> body) {
  VectorType integers = b.vec(b.getI32Type(), rowStep);
  SmallVector<int32_t> lane(rowStep);
  std::iota(lane.begin(), lane.end(), 0);
  Value lanes = b.ints(lane);
  auto everywhere = [&](Value index) {
    return b.broadcast(integers, arith::IndexCastOp::create(b, b.getI32Type(), index));
  };
  Value rows = everywhere(row), steps = b.broadcast(integers, step);
  Value streams = b.splat(integers, static_cast<int64_t>(stream));
  const int64_t needed = neededOf(columns);
  b.loop(b.index(0), columns, philoxUnit, [&](Value column) {
    // A block of columns has four counters.
    Value counter = b.addI(everywhere(b.div(b.add(first, column), philoxBlock / 4)), lanes);
    auto random = PhiloxOp::create(b, integers, integers, integers, integers, counter, rows, steps, streams, seed[0],
                                   seed[1], philoxRounds);
    for (int64_t block = 0; block * philoxBlock < needed; ++block)
      body(column, block * philoxBlock, join(random.getResults(), block));
  });
}

void PhiloxRows::write(Value row, Value first, Value columns, Value words) {
  VectorType integers = b.vec(b.getI32Type(), rowStep);
  const int64_t needed = neededOf(columns);
  forEachBlock(row, first, columns, RandomStream::Moments, [&](Value column, int64_t begin, Value firstWords) {
    for (int64_t offset = 0; offset < std::min(philoxBlock, needed - begin); offset += rowStep) {
      const uint32_t turn = static_cast<uint32_t>(offset / rowStep) * philoxTurn;
      Value turned = b.addI(firstWords, b.splat(integers, static_cast<int32_t>(turn)));
      b.store(b.bitcast(b.vec(b.getF32Type(), rowStep), turned), words, b.add(column, begin + offset));
    }
  });
}

/// Where the first sixteen of a block are kept.
static Value placeOfBlock(KernelBuilder &b, Value column, int64_t begin = 0) {
  return b.add(b.mul(b.div(column, philoxBlock), rowStep), begin / philoxBlock * rowStep);
}

void PhiloxRows::writeFirst(Value row, Value first, Value columns, Value words) {
  forEachBlock(row, first, columns, RandomStream::Moments, [&](Value column, int64_t begin, Value firstWords) {
    b.store(b.bitcast(b.vec(b.getF32Type(), rowStep), firstWords), words, placeOfBlock(b, column, begin));
  });
}

void PhiloxRows::writeFirstCarries(Value row, Value first, Value columns, Value carries) {
  forEachBlock(row, first, columns, RandomStream::Weights, [&](Value column, int64_t begin, Value words) {
    Value rest = arith::XOrIOp::create(b, words, b.splat(cast<VectorType>(words.getType()), -1));
    Value low = b.bitcast(b.vec(b.getF32Type(), rowStep), b.bitAnd(rest, 0xffff));
    b.store(low, carries, placeOfBlock(b, column, begin));
  });
}

Value PhiloxRows::turnsOfCarries(KernelBuilder &b) {
  static_assert(philoxBlock / rowStep == rowStep, "as many as fill a vector");
  SmallVector<int32_t> turns;
  for (uint32_t step = 0; step < rowStep; ++step)
    turns.push_back(static_cast<int32_t>(step * philoxTurn & 0xffff));
  return b.bitcast(b.vec(b.getF32Type(), rowStep), b.ints(turns));
}

Value PhiloxRows::carries(KernelBuilder &b, Value first, Value turns, Value column) {
  VectorType i16s = b.vec(b.getI16Type(), 2 * rowStep);
  Value ofBlock = b.load(b.vec(b.getF32Type(), rowStep), first, placeOfBlock(b, column));
  Value turn = b.broadcastLoad(b.vec(b.getF32Type(), rowStep), turns, b.div(b.rem(column, philoxBlock), rowStep));
  return b.bitcast(b.vec(b.getI32Type(), rowStep), b.subI(b.bitcast(i16s, ofBlock), b.bitcast(i16s, turn)));
}

Value PhiloxRows::turn(KernelBuilder &b, Value words) {
  return b.addI(words, b.splat(cast<VectorType>(words.getType()), static_cast<int32_t>(philoxTurn)));
}

Value PhiloxRows::turnHalves(KernelBuilder &b, Value halves) {
  VectorType i16s = b.vec(b.getI16Type(), 2 * rowStep);
  Value turns = b.bitcast(i16s, b.splat(cast<VectorType>(halves.getType()), philoxTurn & 0xffff));
  return b.bitcast(halves.getType(), b.addI(b.bitcast(i16s, halves), turns));
}

Value PhiloxRows::join(ValueRange random, int64_t block) {
  SmallVector<int64_t> pairs, fours(rowStep);
  for (int64_t source = 0; source < 2; ++source)
    for (int64_t i = 0; i < 4; ++i)
      pairs.push_back(source * rowStep + 4 * block + i);
  std::iota(fours.begin(), fours.end(), 0);
  Value low = vector::ShuffleOp::create(b, random[0], random[1], pairs);
  Value high = vector::ShuffleOp::create(b, random[2], random[3], pairs);
  return vector::ShuffleOp::create(b, low, high, fours);
}

Value PhiloxRows::load(KernelBuilder &b, Value words, Value at) {
  return b.bitcast(b.vec(b.getI32Type(), rowStep), b.load(b.vec(b.getF32Type(), rowStep), words, at));
}

static Value splatOf(KernelBuilder &b, float value) {
  return arith::ConstantOp::create(b, DenseElementsAttr::get(b.vec(b.getF32Type(), rowStep), value));
}

Value PhiloxRows::unit(KernelBuilder &b, Value halves) {
  return b.fma(b.toFloat(halves), splatOf(b, 0x1p-16f), splatOf(b, 0x1p-17f));
}

Value PhiloxRows::half(KernelBuilder &b, Value words, bool high) {
  return high ? b.shiftRight(words, 16) : b.bitAnd(words, 0xffff);
}

Value PhiloxRows::roundAtRandom(KernelBuilder &b, Value x, Value unit) {
  // The fraction is exact, which that of x + unit would not be.
  Value below = math::FloorOp::create(b, x);
  Value isUp = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, unit, b.subF(x, below));
  return b.addF(below, b.select(isUp, splatOf(b, 1.0f), splatOf(b, 0.0f)));
}
