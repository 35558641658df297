// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/NoiseVectors.h"

#include "dialect/BQDialect.h"
#include "passes/cpu/GroupCode.h"

#include <numeric>

using namespace mlir;
using namespace bq;

namespace {

// Polynomials of least greatest error, by Remez' algorithm, from the constant on.

/// -log(1 + t) / (2 t) for t in [sqrt(1/2) - 1, sqrt(2) - 1], to 1.7e-7 of it.
constexpr float logarithm[] = {-0.49999997f, 0.25000182f, -0.1666753f,  0.12484954f,
                               -0.09950083f, 0.08625415f, -0.08111291f, 0.05053448f};
/// sin(pi f) / f and cos(pi f) in f^2, for f in [-1/2, 1/2], to 3.4e-9 and 4.7e-8.
constexpr float sine[] = {3.1415925f, -5.167707f, 2.5500314f, -0.59804517f, 0.07722013f};
constexpr float cosine[] = {0.99999994f, -4.934793f, 4.058412f, -1.3318802f, 0.2196968f};
/// (2^f - 1) / f for f in [-1/2, 1/2], to 1.1e-8 of it.
constexpr float power[] = {0.6931472f, 0.2402265f, 0.05550357f, 0.009618238f, 0.0013390736f, 0.00015403512f};

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

std::array<Value, NoiseVectors::vectors> NoiseVectors::block(Value index) {
  SmallVector<int32_t> lane(rowStep);
  std::iota(lane.begin(), lane.end(), 0);
  Value first = arith::IndexCastOp::create(b, b.getI64Type(), b.mul(index, rowStep));
  Value low = arith::TruncIOp::create(b, b.getI32Type(), first);
  Value shift = arith::ConstantOp::create(b, b.getI64IntegerAttr(32));
  Value high = arith::TruncIOp::create(b, b.getI32Type(), arith::ShRUIOp::create(b, first, shift));
  auto everywhere = [&](Value scalar) { return b.broadcast(integers(), scalar); };
  auto random =
      PhiloxOp::create(b, integers(), integers(), integers(), integers(), b.addI(everywhere(low), b.ints(lane)),
                       everywhere(high), everywhere(offset[0]), everywhere(offset[1]), seed[0], seed[1], rounds);
  std::array<Value, vectors> noise;
  if (kind == NoiseKind::Uniform)
    for (int64_t i = 0; i < vectors; ++i)
      noise[i] = uniform(random.getResult(i));
  else
    for (int64_t i = 0; i < vectors; i += 2)
      std::tie(noise[i], noise[i + 1]) = gaussian(random.getResult(i), random.getResult(i + 1));
  return noise;
}

Value NoiseVectors::uniform(Value words) {
  return b.fma(b.toFloat(b.shiftRight(words, 8)), splat(b, 0x1p-24f), splat(b, -0.5f));
}

std::pair<Value, Value> NoiseVectors::gaussian(Value first, Value second) {
  // Exponent and mantissa of ((first >> 8) + 1) * 2^-24, the mantissa between the roots of 1/2 and 2.
  constexpr int32_t leastMantissa = 0x3f3504f3, exponentBits = 23;
  Value whole = b.toFloat(b.addI(b.shiftRight(first, 8), b.splat(integers(), 1)));
  Value above = b.subI(b.bitcast(integers(), whole), b.splat(integers(), leastMantissa + (24 << exponentBits)));
  Value exponent = b.toFloat(arith::ShRSIOp::create(b, above, b.splat(integers(), exponentBits)));
  Value mantissa = b.addI(b.bitAnd(above, (1 << exponentBits) - 1), b.splat(integers(), leastMantissa));
  Value t = b.subF(b.bitcast(floats(), mantissa), splat(b, 1.0f));
  constexpr auto halfLog2 = 0.34657359f;
  Value square = b.fma(exponent, splat(b, -halfLog2), b.mulF(t, polynomial(b, logarithm, t)));
  Value radius = math::SqrtOp::create(b, square);

  Value f = b.mulF(b.toFloat(second), splat(b, 0x1p-32f)), f2 = b.mulF(f, f);
  Value y = b.mulF(f, polynomial(b, sine, f2)), x = polynomial(b, cosine, f2);
  x = b.bitcast(floats(), arith::XOrIOp::create(b, b.bitcast(integers(), x), b.shiftLeft(first, 31)));
  return {b.mulF(radius, y), b.mulF(radius, x)};
}

Value NoiseVectors::unit(KernelBuilder &b, Value bits) {
  VectorType integers = b.vec(b.getI32Type(), rowStep), floats = b.vec(b.getF32Type(), rowStep);
  bits = writeLesser(b, writeGreater(b, bits, splat(b, 0x1p-20f)), splat(b, 126.0f));
  Value whole = b.roundToInt(bits), f = b.subF(bits, b.toFloat(whole));
  Value scale = b.bitcast(floats, b.shiftLeft(b.addI(whole, b.splat(integers, 127)), 23));
  // 2^whole (2^f - 1) + (2^whole - 1): no digits are lost where few bits make the result small.
  Value steps = b.fma(scale, b.mulF(f, polynomial(b, power, f)), b.subF(scale, splat(b, 1.0f)));
  return b.divF(splat(b, 1.0f), steps);
}
