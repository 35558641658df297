// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedEights.h"

using namespace mlir;
using namespace bq;

MixedEights MixedEights::get(KernelBuilder &b, Value start, Value width) {
  const VectorType eight = b.vec(b.getI32Type(), 8);
  auto everywhere = [&](Value value) { return b.broadcast(eight, arith::TruncIOp::create(b, b.getI32Type(), value)); };
  auto i64 = [&](int64_t value) -> Value { return arith::ConstantIntOp::create(b, b.getI64Type(), value); };
  Value within = everywhere(arith::AndIOp::create(b, start, i64(7)));
  Value bits = b.addI(b.mulI(b.ints({0, 1, 2, 3, 4, 5, 6, 7}), everywhere(width)), within);
  // A field is in the three bytes from that of its first bit on; what is behind the sixteenth is none of it.
  Value first = b.mulI(b.shiftRight(bits, 3), b.splat(eight, 0x01010101));
  Value bytes = b.bitAnd(b.addI(first, b.splat(eight, 0x03020100)), 0x0f0f0f0f);
  Value ones = b.sub(arith::ShLIOp::create(b, i64(1), width), i64(1));
  return {b.bitcast(b.vec(b.getI8Type(), 32), bytes), b.bitAnd(bits, 7), everywhere(ones)};
}

Value MixedEights::fieldsOf(KernelBuilder &b, Value bytes) const {
  Value lanes = b.bitcast(shifts.getType(), LookupOp::create(b, order.getType(), bytes, order));
  return arith::AndIOp::create(b, arith::ShRUIOp::create(b, lanes, shifts), mask);
}
