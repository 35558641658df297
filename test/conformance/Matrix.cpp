// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Matrix.h"

#include "dialect/core/Half.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

using namespace bq;
using namespace bq::conformance;

Matrix::Matrix(ElementType type, int64_t m, int64_t columns, int64_t stride)
    : type(type), m(m), columns(columns), stride(stride),
      buffer(m > 0 ? ((m - 1) * stride + columns) * sizeOf(type) : 0) {}

float Matrix::at(int64_t i, int64_t j) const { return loadElement(type, buffer.data(), i * stride + j); }

void Matrix::set(int64_t i, int64_t j, float value) { storeElement(type, buffer.data(), i * stride + j, value); }

void Matrix::set(const std::vector<float> &values) {
  for (int64_t i = 0; i < m * columns; ++i)
    set(i / columns, i % columns, values[i]);
}

uint8_t *Matrix::address(int64_t i, int64_t j) const { return buffer.data() + (i * stride + j) * sizeOf(type); }

bool Matrix::intactAround() const {
  bool intact = buffer.intactBefore();
  const int64_t size = sizeOf(type);
  for (int64_t i = 0; i + 1 < m; ++i)
    for (int64_t byte = (i * stride + columns) * size; byte < (i + 1) * stride * size; ++byte)
      intact &= buffer.data()[byte] == GuardedBuffer::filler;
  return intact;
}

LinearArgs conformance::argsOf(const Matrix &x, const Matrix &y) {
  LinearArgs args;
  args.dataType = x.type;
  args.x = x.buffer.data();
  args.m = y.m;
  args.xStride = x.stride;
  args.y = y.buffer.data();
  args.yStride = y.stride;
  return args;
}

Bias::Bias(int64_t n, Random &random) : matrix(ElementType::F32, 1, n, n) {
  for (int64_t j = 0; j < n; ++j)
    matrix.set(0, j, random.unit());
}

void conformance::checkResults(const Subject &subject, Compute compute, const std::vector<Expectation> &expected,
                               const Matrix &y, int64_t firstColumn, int64_t n) {
  double worst = 0;
  int64_t wrong = 0, first = -1;
  auto resultAt = [&](int64_t i) { return y.at(i / n, firstColumn + i % n); };
  for (int64_t i = 0; i < y.m * n; ++i) {
    double ratio = 0;
    if (!accepts(expected[i], resultAt(i), ratio) && wrong++ == 0)
      first = i;
    worst = std::max(worst, ratio);
  }
  // Rounding the result to 16 bits would hide how near the sums come to their bounds.
  if (y.type == ElementType::F32)
    noteRatio(subject.name + " " + std::string(str(compute)), worst);
  if (wrong) {
    const Expectation &e = expected[first];
    ADD_FAILURE() << wrong << " of " << y.m * n << " results are wrong, first y[" << first / n << ", "
                  << firstColumn + first % n << "] = " << resultAt(first) << ", expected "
                  << (e.rowIsFinite ? "" : "a result that is not finite, as ") << e.value << " +- " << e.tolerance
                  << "; greatest error / tolerance " << worst;
  }
}

float conformance::activationScale(int bits, Random &random) {
  return (1.5f + random.unit() / 2) / static_cast<float>(1 << bits);
}

float conformance::activationCode(float x, int bits, float scale) {
  if (bits == 0 || std::isnan(x))
    return x;
  if (bits == 1)
    return x < 0 ? -1.0f : 1.0f;
  const float levels = static_cast<float>(1 << (bits - 1));
  const float quotient = x / scale;
  return quotient <= -levels ? -levels : quotient >= levels - 1 ? levels - 1 : std::rint(quotient);
}
