// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Rows of elements in guarded memory, the check of results in them, and activations with one scale.
#ifndef BQ_TEST_CONFORMANCE_MATRIX_H
#define BQ_TEST_CONFORMANCE_MATRIX_H

#include "test/conformance/Bounds.h"
#include "test/conformance/Buffer.h"
#include "test/conformance/Conformance.h"

#include <vector>

namespace bq::conformance {

/// Rows of `type`, `stride` elements apart, in memory that holds no element after the last.
struct Matrix {
  ElementType type;
  int64_t m, columns, stride;
  GuardedBuffer buffer;

  Matrix(ElementType type, int64_t m, int64_t columns, int64_t stride);
  float at(int64_t i, int64_t j) const;
  void set(int64_t i, int64_t j, float value);
  /// All of it, to values [m, columns].
  void set(const std::vector<float> &values);
  /// Element j of row i, for a call that begins there.
  uint8_t *address(int64_t i, int64_t j) const;
  /// Whether nothing was written before the matrix or between its rows.
  bool intactAround() const;
};

/// The arguments of a product of x that goes to y.
LinearArgs argsOf(const Matrix &x, const Matrix &y);

/// Random f32 in guarded memory; a null pointer where there are none.
class Bias {
public:
  Bias(int64_t n, Random &random);
  const float *values() const {
    return matrix.columns ? reinterpret_cast<const float *>(matrix.buffer.data()) : nullptr;
  }

private:
  Matrix matrix;
};

/// Fails the test where columns [firstColumn, firstColumn + n) of `y` are not as expected, [y.m, n], and notes how near
/// they come to their bounds.
void checkResults(const Subject &subject, Compute compute, const std::vector<Expectation> &expected, const Matrix &y,
                  int64_t firstColumn, int64_t n);

/// A scale that cuts off some of the values in [-1, 1), and not all.
float activationScale(int bits, Random &random);
/// The code of x as LinearArgs::activationBits says; 0 bits: x itself.
float activationCode(float x, int bits, float scale);

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_MATRIX_H
