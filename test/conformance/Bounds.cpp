// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Bounds.h"
#include "dialect/core/Half.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

using namespace bq;
using namespace bq::conformance;

namespace {

constexpr double e32 = 0x1p-24;

/// Rounding to `type`, by way of f32.
double roundoff(ElementType type) {
  return type == ElementType::F32 ? e32 : e32 + (type == ElementType::F16 ? 0x1p-11 : 0x1p-8);
}

/// Half the distance of the least numbers of `type`, or a flushed result.
double floorOf(ElementType type) { return type == ElementType::F16 ? 0x1p-25 : FLT_MIN; }

double gamma(double count) { return count * e32 / (1 - count * e32); }

double activate(Activation kind, double s) {
  switch (kind) {
  case Activation::None:
    return s;
  case Activation::Relu:
    return s < 0 ? 0 : s;
  case Activation::Gelu: // s * P(Z < s), by erfc, which keeps its digits where s is far below 0
    return s * std::erfc(-s / std::sqrt(2.0)) / 2;
  case Activation::GeluTanh: // (1 + tanh t) / 2 is the logistic function of 2 t
    return s / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (s + 0.044715 * s * s * s)));
  case Activation::Silu:
    return s / (1 + std::exp(-s));
  }
  return s;
}

double lipschitz(Activation kind) {
  switch (kind) {
  case Activation::Gelu:
  case Activation::GeluTanh:
    return 1.13;
  case Activation::Silu:
    return 1.1;
  case Activation::None:
  case Activation::Relu:
    return 1;
  }
  return 1;
}

/// The weight in the form that the sums need, one entry for each element.
struct Tables {
  std::vector<double> w;     ///< s (u - z)
  std::vector<double> terms; ///< |s| (|u| + |z|)
  std::vector<double> scale; ///< |s|
  std::vector<double> flush; ///< [n] greatest multiple of a flushed term

  /// `offset`: what |u| and |z| are greater by, together, where kernels add to both.
  Tables(const Weight &weight, double offset) {
    const int64_t n = weight.shape().n, k = weight.shape().k;
    for (int64_t row = 0; row < n; ++row) {
      double greatest = 0;
      for (int64_t column = 0; column < k; ++column) {
        const double s = weight.factor(row, column), sum = weight.unitTerms(row, column) + offset;
        w.push_back(s * weight.unit(row, column));
        terms.push_back(std::fabs(s) * sum);
        scale.push_back(std::fabs(s));
        greatest = std::max(greatest, (1 + std::fabs(s)) * (1 + sum));
      }
      flush.push_back(greatest);
    }
  }
};

/// Sums over a row of x and a row of W.
struct Sums {
  double value = 0;  ///< x W
  double size = 0;   ///< |x W|
  double terms = 0;  ///< A
  double weight = 0; ///< |W|
  double scaled = 0; ///< |s| (|x| + step)
};

class Bound {
public:
  explicit Bound(const LinearProblem &problem)
      : problem(problem), k(problem.weight.shape().k), tableMax(problem.weight.tableMax()) {
    const Format &format = problem.weight.shape().format;
    const int64_t group = format.groupSize(k), groups = format.groupCount(k);
    if (problem.summation == Summation::Gpu) {
      const int64_t longest = format.bits == 1 ? 256 : 128, units = (std::min(group, longest) + 31) / 32;
      const int64_t inSegment = problem.args.compute == Compute::F32 ? 8 * units : fixedPoint() ? 0 : 2 * units;
      roundings = static_cast<double>(groups * ((group + longest - 1) / longest) + inSegment + 24);
    } else {
      roundings = static_cast<double>(fixedPoint() ? groups * (1 + (group + 255) / 256) + 8 : k + 8);
    }
    xIsRounded = problem.args.dataType != ElementType::BF16 || problem.weight.hasColumnScale();
  }

  /// Tables::offset.
  double codeOffset() const {
    const Format &format = problem.weight.shape().format;
    const bool isOffset = problem.summation == Summation::Gpu && problem.args.compute == Compute::BF16 &&
                          format.bits < 8 && !format.isTable() && !format.hasColumnScale();
    return isOffset ? 2 * 128 : 0;
  }

  double step(double greatest) const { return fixedPoint() && !isStatic() ? greatest / levels() : 0; }

  /// How far the sum may be from its exact value, without the bias.
  double ofSum(const Sums &sums, double greatest, double flush) const {
    if (problem.summation == Summation::Exact)
      return sums.terms * 0x1p-52 * static_cast<double>(k + 8);
    const double flushed = FLT_MIN * static_cast<double>(k) * (1 + greatest) * flush * (fixedPoint() ? levels() : 1);
    if (problem.args.compute == Compute::F32)
      return gamma(roundings) * sums.terms + flushed;
    if (problem.args.compute == Compute::BF16) {
      const double relative = (1 + (xIsRounded ? 0x1p-8 : 0)) * (1 + (tableMax > 0 ? 0x1p-8 : 0)) - 1;
      return relative * sums.size + gamma(roundings) * sums.terms * (1 + relative) + flushed;
    }
    double error = (0.5 + 6 * levels() * e32) * step(greatest) * sums.weight + gamma(roundings) * sums.terms;
    error += sums.scaled * tableMax / (problem.args.compute == Compute::I16 ? 65534 : 254);
    if (greatest < levels() * FLT_MIN && !isStatic())
      error += sums.size;
    return error + flushed;
  }

  Expectation ofResult(const Sums &sums, double sumError, double bias) const {
    Expectation expected;
    const double sum = sums.value + bias;
    expected.value = activate(problem.args.activation, sum);
    double error = lipschitz(problem.args.activation) * sumError;
    if (problem.summation != Summation::Exact) {
      error += lipschitz(problem.args.activation) * e32 * std::fabs(bias);
      error += problem.args.activation == Activation::None ? 0 : 8 * e32 * (std::fabs(sum) + sumError);
    }
    const ElementType type = problem.args.dataType;
    expected.tolerance = error + roundoff(type) * (std::fabs(expected.value) + error) + floorOf(type);
    expected.mayOverflow = std::fabs(expected.value) + expected.tolerance >= maxFinite(type);
    expected.isAsked = sums.terms <= FLT_MAX / 8;
    return expected;
  }

private:
  bool isStatic() const { return problem.args.activationScale; }
  bool fixedPoint() const { return problem.args.compute == Compute::I16 || problem.args.compute == Compute::I8; }
  double levels() const { return problem.args.compute == Compute::I16 ? 16256 : 127; }

  const LinearProblem &problem;
  int64_t k;
  double tableMax, roundings = 0; ///< That a product meets at most.
  bool xIsRounded = true;
};

/// How far a sum of a gradient may be from its exact value, but for what is flushed, before the column scale.
double gradientError(const LinearProblem &problem, const Sums &sums) {
  const int64_t n = problem.weight.shape().n;
  if (problem.summation == Summation::Exact)
    return sums.terms * 0x1p-52 * static_cast<double>(n + 8);
  const bool isBF16 = problem.args.compute == Compute::BF16, isTable = problem.weight.tableMax() > 0;
  const double relative = isBF16 ? (1 + 0x1p-8) * (1 + (isTable ? 0x1p-8 : 0)) - 1 : 0;
  return relative * sums.size + gamma(static_cast<double>(4 * ((n + 63) / 64) + 28)) * sums.terms * (1 + relative);
}

} // namespace

std::vector<Expectation> bq::conformance::expectLinear(const LinearProblem &problem) {
  const Weight &weight = problem.weight;
  const int64_t n = weight.shape().n, k = weight.shape().k;
  const Bound bound(problem);
  const Tables tables(weight, bound.codeOffset());
  const double unit = problem.args.activationScale ? *problem.args.activationScale : 1;
  std::vector<Expectation> expectations;
  std::vector<double> x(static_cast<size_t>(k));
  for (int64_t i = 0; i < problem.args.m; ++i) {
    double greatest = 0;
    bool finite = true;
    for (int64_t c = 0; c < k; ++c) {
      x[c] = unit * problem.x[i * k + c] * weight.columnFactor(c);
      finite &= std::isfinite(problem.x[i * k + c]);
      greatest = std::max(greatest, std::fabs(x[c]));
    }
    const double step = bound.step(greatest);
    for (int64_t j = 0; j < n; ++j) {
      Sums sums;
      const double *w = &tables.w[j * k], *terms = &tables.terms[j * k], *scale = &tables.scale[j * k];
      for (int64_t c = 0; c < k; ++c) {
        const double size = std::fabs(x[c]);
        sums.value += x[c] * w[c];
        sums.size += size * std::fabs(w[c]);
        sums.terms += size * terms[c];
        sums.weight += std::fabs(w[c]);
        sums.scaled += scale[c] * (size + step);
      }
      Expectation expected = bound.ofResult(sums, bound.ofSum(sums, greatest, tables.flush[j]),
                                            problem.args.bias ? problem.args.bias[j] : 0);
      expected.isAsked &= greatest <= FLT_MAX;
      expected.rowIsFinite = finite;
      expectations.push_back(expected);
    }
  }
  return expectations;
}

std::vector<Expectation> bq::conformance::expectGradient(const LinearProblem &problem) {
  const Weight &weight = problem.weight;
  const int64_t n = weight.shape().n, k = weight.shape().k;
  const Bound bound(problem);
  const Tables tables(weight, 0);
  const bool isExact = problem.summation == Summation::Exact;
  // The scale, its product with x and two rests of that may be flushed, beside codes shifted left by three bits at
  // most.
  const double mostFlushed =
      4 * 8 * FLT_MIN * static_cast<double>(n) * *std::max_element(tables.flush.begin(), tables.flush.end());
  std::vector<Expectation> expectations;
  for (int64_t i = 0; i < problem.args.m; ++i) {
    const float *x = problem.x + i * n;
    const bool finite = std::all_of(x, x + n, [](float value) { return std::isfinite(value); });
    double greatest = 0;
    for (int64_t j = 0; j < n; ++j)
      greatest = std::max<double>(greatest, std::fabs(x[j]));
    for (int64_t c = 0; c < k; ++c) {
      Sums sums;
      for (int64_t j = 0; j < n; ++j) {
        const double size = std::fabs(x[j]);
        sums.value += x[j] * tables.w[j * k + c];
        sums.size += size * std::fabs(tables.w[j * k + c]);
        sums.terms += size * tables.terms[j * k + c];
        sums.scaled += size * tables.scale[j * k + c];
      }
      const double factor = weight.columnFactor(c), magnitude = std::fabs(factor);
      // x s must be in range, whatever it is multiplied with.
      const bool isAsked = sums.terms <= FLT_MAX / 8 && sums.scaled <= FLT_MAX / 8;
      const double error = gradientError(problem, sums) + (isExact ? 0 : mostFlushed * (1 + greatest));
      sums.value *= factor;
      sums.terms *= magnitude;
      Expectation expected = bound.ofResult(sums, error * magnitude, 0);
      expected.isAsked &= isAsked;
      expected.rowIsFinite = finite;
      expectations.push_back(expected);
    }
  }
  return expectations;
}

Expectation bq::conformance::expectWeight(const Weight &weight, int64_t row, int64_t column) {
  const ElementType type = weight.shape().scaleType;
  Expectation expected;
  expected.value = weight.value(row, column);
  expected.tolerance = (2 * e32 + roundoff(type)) * (1 + 2 * e32) * std::fabs(expected.value) + floorOf(type);
  expected.mayOverflow = std::fabs(expected.value) + expected.tolerance >= maxFinite(type);
  return expected;
}

bool bq::conformance::accepts(const Expectation &expected, float got, double &ratio) {
  ratio = 0;
  if (!expected.rowIsFinite)
    return std::isfinite(expected.value) || !std::isfinite(got);
  if (!expected.isAsked)
    return true;
  if (!std::isfinite(got))
    return expected.mayOverflow;
  const double error = std::fabs(got - expected.value);
  ratio = error / expected.tolerance;
  return error <= expected.tolerance;
}
