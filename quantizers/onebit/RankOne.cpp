// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/RankOne.h"

#include "quantizers/onebit/MagnitudeSums.h"

#include <cmath>

using namespace bq::onebit;

using at::Tensor;

namespace {

constexpr int maxIterations = 100;
/// Part by which a step may still change the vector; sums in float resolve little less.
constexpr double tolerance = 1e-6;

/// Divides by the norm and returns it; zeros stay.
double normalize(Tensor &values) {
  const double length = values.norm().item<double>();
  if (length > 0)
    values = values / length;
  return length;
}

} // namespace

RankOne bq::onebit::leadingTriple(const Tensor &weight, const Tensor &rowFactors, const Tensor &columnFactors) {
  RankOne triple;
  triple.right = at::ones_like(columnFactors);
  normalize(triple.right);
  for (int iteration = 0;; ++iteration) {
    // next = rowFactors * (rowFactors * |W| columnFactors v), so that columns are those of A^T A v.
    MagnitudeSums sums =
        magnitudeSums(weight, Magnitude::Absolute, rowFactors, columnFactors * triple.right, RowStep::Multiply, 0);
    triple.left = sums.rows;
    triple.sigma = normalize(triple.left);
    Tensor next = columnFactors * sums.columns;
    const double squared = normalize(next);
    const bool isDone = squared == 0 || (next - triple.right).norm().item<double>() <= tolerance;
    if (isDone || iteration == maxIterations)
      return triple;
    triple.right = next;
  }
}

RankOne bq::onebit::powerIteration(const Tensor &matrix, const Tensor &start, int64_t iterations) {
  RankOne triple;
  triple.right = start.to(matrix.scalar_type());
  normalize(triple.right);
  for (int64_t iteration = 0; iteration < iterations; ++iteration) {
    Tensor left = at::mv(matrix, triple.right);
    if (normalize(left) == 0)
      break;
    Tensor right = at::mv(matrix.t(), left);
    if (normalize(right) == 0)
      break;
    triple.right = right;
  }
  triple.left = at::mv(matrix, triple.right);
  triple.sigma = normalize(triple.left);
  return triple;
}
