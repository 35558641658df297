// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Quantize.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

using namespace bq;

namespace {

constexpr int maxIterations = 30;
/// The singular value is done when a step changes it by less than float resolves.
constexpr double tolerance = 1e-8;
/// Rows or columns for a thread, at least.
constexpr int64_t grain = 64;

double norm(const std::vector<double> &values) {
  double sum = 0;
  for (double value : values)
    sum += value * value;
  return std::sqrt(sum);
}

/// Divides by the norm and returns it; zero vectors stay.
double normalize(std::vector<double> &values) {
  double length = norm(values);
  if (length > 0)
    for (double &value : values)
      value /= length;
  return length;
}

/// u = |W| v
void multiply(const float *weight, int64_t n, int64_t k, const std::vector<double> &v, std::vector<double> &u) {
  at::parallel_for(0, n, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float *values = weight + row * k;
      double sum = 0;
      for (int64_t column = 0; column < k; ++column)
        sum += std::fabs(values[column]) * v[column];
      u[row] = sum;
    }
  });
}

/// v = |W|^T u; a thread owns columns, so the order of a sum does not depend on the number of threads.
void multiplyTransposed(const float *weight, int64_t n, int64_t k, const std::vector<double> &u,
                        std::vector<double> &v) {
  at::parallel_for(0, k, grain, [&](int64_t begin, int64_t end) {
    std::fill(v.begin() + begin, v.begin() + end, 0.0);
    for (int64_t row = 0; row < n; ++row) {
      const float *values = weight + row * k;
      for (int64_t column = begin; column < end; ++column)
        v[column] += std::fabs(values[column]) * u[row];
    }
  });
}

} // namespace

at::Tensor bq::signScales(const at::Tensor &weight) {
  int64_t n = weight.size(0), k = weight.size(1);
  const float *data = weight.const_data_ptr<float>();
  // All entries of |W| and of the start are non-negative, so the start is never orthogonal to the leading vector.
  std::vector<double> u(n), v(k, k ? 1.0 / std::sqrt(static_cast<double>(k)) : 0.0);
  double sigma = 0;
  for (int iteration = 0; iteration < maxIterations; ++iteration) {
    multiply(data, n, k, v, u);
    normalize(u);
    multiplyTransposed(data, n, k, u, v);
    double next = normalize(v);
    bool done = std::fabs(next - sigma) <= tolerance * next;
    sigma = next;
    if (done)
      break;
  }
  multiply(data, n, k, v, u);
  sigma = normalize(u);

  at::Tensor scales = at::empty({n + k}, at::kFloat);
  float *out = scales.mutable_data_ptr<float>();
  double root = std::sqrt(sigma);
  for (int64_t row = 0; row < n; ++row)
    out[row] = static_cast<float>(u[row] * root);
  for (int64_t column = 0; column < k; ++column)
    out[n + column] = static_cast<float>(v[column] * root);
  return scales;
}
