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

void PhiloxRows::write(Value row, Value first, Value columns, RandomStream stream, Value words) {
  VectorType integers = b.vec(b.getI32Type(), rowStep);
  SmallVector<int32_t> lane(rowStep);
  std::iota(lane.begin(), lane.end(), 0);
  Value lanes = b.ints(lane);
  auto everywhere = [&](Value index) {
    return b.broadcast(integers, arith::IndexCastOp::create(b, b.getI32Type(), index));
  };
  Value rows = everywhere(row), steps = b.broadcast(integers, step);
  Value streams = b.splat(integers, static_cast<int64_t>(stream));
  b.loop(b.index(0), columns, philoxUnit, [&](Value column) {
    Value counter = b.addI(everywhere(b.div(b.add(first, column), philoxUnit / rowStep)), lanes);
    auto random = PhiloxOp::create(b, integers, integers, integers, integers, counter, rows, steps, streams, seed[0],
                                   seed[1], philoxRounds);
    auto store = [&](Value numbers, int64_t offset) {
      b.store(b.bitcast(b.vec(b.getF32Type(), rowStep), numbers), words, b.add(column, offset));
    };
    for (int64_t part = 0; part < 4; ++part) {
      const int64_t low = part * rowStep, high = low + philoxUnit / 2;
      Value word = random.getResult(part);
      if (stream == RandomStream::Moments) {
        store(word, low);
        store(b.bitOr(b.shiftLeft(word, 8), b.shiftRight(word, 24)), high);
      } else {
        word = arith::XOrIOp::create(b, word, b.splat(integers, -1));
        store(half(b, word, false), low);
        store(half(b, word, true), high);
      }
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
