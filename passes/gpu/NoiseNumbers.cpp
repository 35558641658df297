// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/NoiseNumbers.h"

#include "dialect/BQDialect.h"
#include "passes/NoisePolynomials.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

static Value polynomial(GpuBuilder &b, ArrayRef<float> coefficients, Value x) {
  Value sum = b.f32(coefficients.back());
  for (float coefficient : llvm::reverse(coefficients.drop_back()))
    sum = b.fma(sum, x, b.f32(coefficient));
  return sum;
}

std::array<Value, NoiseNumbers::perCounter> NoiseNumbers::of(Value index) {
  Type i32 = b.getI32Type();
  Value low = arith::TruncIOp::create(b, i32, index), high = arith::TruncIOp::create(b, i32, b.shiftRight(index, 32));
  auto random =
      PhiloxOp::create(b, i32, i32, i32, i32, low, high, counter[2], counter[3], counter[0], counter[1], rounds);
  std::array<Value, perCounter> numbers;
  if (kind == NoiseKind::Uniform)
    for (int64_t i = 0; i < perCounter; ++i)
      numbers[i] = uniform(random.getResult(i));
  else
    for (int64_t i = 0; i < perCounter; i += 2)
      std::tie(numbers[i], numbers[i + 1]) = gaussian(random.getResult(i), random.getResult(i + 1));
  return numbers;
}

Value NoiseNumbers::uniform(Value word) {
  return b.fma(b.toFloat(b.shiftRight(word, 8)), b.f32(0x1p-24f), b.f32(-0.5f));
}

std::pair<Value, Value> NoiseNumbers::gaussian(Value first, Value second) {
  // Exponent and mantissa of ((first >> 8) + 1) * 2^-24, the mantissa between the roots of 1/2 and 2.
  constexpr int32_t exponentBits = 23;
  Value whole = b.toFloat(b.add(b.shiftRight(first, 8), 1));
  Value above = b.sub(b.bits(whole), noise::leastMantissa + (24 << exponentBits));
  Value exponent = b.toFloat(b.shiftRightSigned(above, exponentBits));
  Value mantissa = b.add(b.bitAnd(above, (1 << exponentBits) - 1), noise::leastMantissa);
  Value t = b.subF(b.asFloat(mantissa), b.f32(1.0f));
  Value square = b.fma(exponent, b.f32(-noise::halfLog2), b.mulF(t, polynomial(b, noise::logarithm, t)));
  Value radius = b.sqrtF(square);

  Value f = b.mulF(b.toFloat(second), b.f32(0x1p-32f)), f2 = b.mulF(f, f);
  Value y = b.mulF(f, polynomial(b, noise::sine, f2)), x = polynomial(b, noise::cosine, f2);
  Value sign = b.shiftLeft(first, 31);
  x = b.asFloat(arith::XOrIOp::create(b, b.bits(x), sign));
  return {b.mulF(radius, y), b.mulF(radius, x)};
}

Value NoiseNumbers::unit(GpuBuilder &b, Value bits) {
  bits = b.minF(b.maxF(bits, b.f32(noise::leastBits)), b.f32(noise::mostBits));
  Value nearest = b.roundEven(bits), f = b.subF(bits, nearest);
  Value scale = b.asFloat(b.shiftLeft(b.add(b.toInt(nearest), 127), 23));
  // 2^nearest (2^f - 1) + (2^nearest - 1): no digits are lost where few bits make the result small.
  Value steps = b.fma(scale, b.mulF(f, polynomial(b, noise::power, f)), b.subF(scale, b.f32(1.0f)));
  return b.divF(b.f32(1.0f), steps);
}
