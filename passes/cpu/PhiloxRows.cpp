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

void PhiloxRows::write(Value row, Value columns, RandomStream stream, Value words) {
  VectorType integers = b.vec(b.getI32Type(), rowStep);
  SmallVector<int32_t> lane(rowStep);
  std::iota(lane.begin(), lane.end(), 0);
  Value lanes = b.ints(lane);
  auto everywhere = [&](Value index) {
    return b.broadcast(integers, arith::IndexCastOp::create(b, b.getI32Type(), index));
  };
  Value rows = everywhere(row), steps = b.broadcast(integers, step);
  Value streams = b.splat(integers, static_cast<int64_t>(stream));
  // Numbers of 16 bits take half as many words.
  const bool isHalves = stream == RandomStream::Weights;
  const int64_t columnsAtOnce = isHalves ? philoxUnit : philoxUnit / 2;
  b.loop(b.index(0), columns, columnsAtOnce, [&](Value column) {
    Value first = b.addI(everywhere(b.div(column, columnsAtOnce / rowStep)), lanes);
    auto random = PhiloxOp::create(b, integers, integers, integers, integers, first, rows, steps, streams, seed[0],
                                   seed[1], philoxRounds);
    auto store = [&](Value numbers, int64_t offset) {
      b.store(b.bitcast(b.vec(b.getF32Type(), rowStep), numbers), words, b.add(column, offset));
    };
    for (int64_t part = 0; part < 4; ++part) {
      Value word = random.getResult(part);
      store(isHalves ? half(b, word, false) : word, part * rowStep);
      if (isHalves)
        store(half(b, word, true), (4 + part) * rowStep);
    }
  });
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
