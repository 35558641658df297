// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/NoiseVectors.h"

#include "dialect/BQDialect.h"
#include "passes/NoisePolynomials.h"
#include "passes/cpu/GroupCode.h"

#include <numeric>

using namespace mlir;
using namespace bq;

namespace {

Value splat(KernelBuilder &b, float value) {
  return arith::ConstantOp::create(b, DenseElementsAttr::get(b.vec(b.getF32Type(), rowStep), value));
}

Value polynomial(KernelBuilder &b, ArrayRef<float> coefficients, Value x) {
  Value sum = splat(b, coefficients.back());
  for (float coefficient : llvm::reverse(coefficients.drop_back()))
    sum = b.fma(sum, x, splat(b, coefficient));
  return sum;
}

} // namespace

NoiseVectors::NoiseVectors(KernelBuilder &b, NoiseKind kind, int64_t rounds, Value counter)
    : b(b), kind(kind), rounds(rounds) {
  for (int64_t word = 0; word < 2; ++word) {
    seed[word] = b.loadScalar(counter, b.index(word));
    offset[word] = b.loadScalar(counter, b.index(2 + word));
  }
}

void NoiseVectors::fill(Value first, Value length, Value words) {
  SmallVector<int32_t> lane(rowStep);
  std::iota(lane.begin(), lane.end(), 0);
  auto everywhere = [&](Value scalar) { return b.broadcast(integers(), scalar); };
  auto toWord = [&](Value counter) -> Value { return arith::TruncIOp::create(b, b.getI32Type(), counter); };
  constexpr int64_t elementsOfCounter = abi::noiseBlock / rowStep;
  Value counter = arith::IndexCastOp::create(b, b.getI64Type(), b.div(first, elementsOfCounter));
  Value shift = arith::ConstantOp::create(b, b.getI64IntegerAttr(32));
  Value low = toWord(counter), high = everywhere(toWord(arith::ShRUIOp::create(b, counter, shift)));
  b.loop(b.index(0), length, abi::noiseBlock, [&](Value i) {
    // A chunk's counters differ in their low words only.
    Value step = arith::IndexCastOp::create(b, b.getI32Type(), b.div(i, elementsOfCounter));
    auto random = PhiloxOp::create(b, integers(), integers(), integers(), integers(),
                                   b.addI(everywhere(b.addI(low, step)), b.ints(lane)), high, everywhere(offset[0]),
                                   everywhere(offset[1]), seed[0], seed[1], rounds);
    for (auto [part, vector] : llvm::enumerate(random.getResults()))
      b.store(vector, words, b.add(i, static_cast<int64_t>(part) * rowStep));
  });
}

std::pair<Value, Value> NoiseVectors::noise(Value first, Value second) {
  if (kind == NoiseKind::Uniform)
    return {uniform(first), uniform(second)};
  return gaussian(first, second);
}

Value NoiseVectors::uniform(Value words) {
  return b.fma(b.toFloat(b.shiftRight(words, 8)), splat(b, 0x1p-24f), splat(b, -0.5f));
}

std::pair<Value, Value> NoiseVectors::gaussian(Value first, Value second) {
  // Exponent and mantissa of ((first >> 8) + 1) * 2^-24, the mantissa between the roots of 1/2 and 2.
  using noise::leastMantissa;
  constexpr int32_t exponentBits = 23;
  Value whole = b.addF(b.toFloat(b.shiftRight(first, 8)), splat(b, 1.0f));
  Value above = b.subI(b.bitcast(integers(), whole), b.splat(integers(), leastMantissa + (24 << exponentBits)));
  Value exponent = b.toFloat(arith::ShRSIOp::create(b, above, b.splat(integers(), exponentBits)));
  Value mantissa = b.addI(b.bitAnd(above, (1 << exponentBits) - 1), b.splat(integers(), leastMantissa));
  Value t = b.subF(b.bitcast(floats(), mantissa), splat(b, 1.0f));
  Value square = b.fma(exponent, splat(b, -noise::halfLog2), b.mulF(t, polynomial(b, noise::logarithm, t)));
  Value radius = math::SqrtOp::create(b, square);

  Value f = b.mulF(b.toFloat(second), splat(b, 0x1p-32f)), f2 = b.mulF(f, f);
  Value y = b.mulF(f, polynomial(b, noise::sine, f2)), x = polynomial(b, noise::cosine, f2);
  x = b.bitcast(floats(), arith::XOrIOp::create(b, b.bitcast(integers(), x), b.shiftLeft(first, 31)));
  return {b.mulF(radius, y), b.mulF(radius, x)};
}

Value NoiseVectors::unit(KernelBuilder &b, Value bits) {
  VectorType integers = b.vec(b.getI32Type(), rowStep), floats = b.vec(b.getF32Type(), rowStep);
  bits = writeLesser(b, writeGreater(b, bits, splat(b, noise::leastBits)), splat(b, noise::mostBits));
  Value whole = b.roundToInt(bits), f = b.subF(bits, b.toFloat(whole));
  Value scale = b.bitcast(floats, b.shiftLeft(b.addI(whole, b.splat(integers, 127)), 23));
  // 2^whole (2^f - 1) + (2^whole - 1): no digits are lost where few bits make the result small.
  Value steps = b.fma(scale, b.mulF(f, polynomial(b, noise::power, f)), b.subF(scale, splat(b, 1.0f)));
  return b.divF(splat(b, 1.0f), steps);
}
