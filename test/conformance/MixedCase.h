// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// One case of the format `mixed`, and a weight whose codes are written bit by bit.
#ifndef BQ_TEST_CONFORMANCE_MIXEDCASE_H
#define BQ_TEST_CONFORMANCE_MIXEDCASE_H

#include "test/conformance/Bounds.h"
#include "test/conformance/Matrix.h"

#include <string>
#include <vector>

namespace bq::conformance {

enum class XKind { Normal, Zero, Spike, Infinite, NaN };
constexpr const char *xKindNames[] = {"normal", "zero", "spike", "infinite", "nan"};

struct MixedCase {
  Format format;
  int64_t m = 1, n = 1, k = 1, taps = 1;
  int least = 1, greatest = 8;
  Compute compute = Compute::F32;
  ElementType dataType = ElementType::F32;
  bool hasBias = false, isPart = false, isKept = false;
  Activation activation = Activation::None;
  XKind x = XKind::Normal;
  int staticBits = 0, parallel = 0;
  bool isGreatest = false; ///< All codes are the greatest, and all activations the same.
  bool hasPatches = false; ///< Rows of activations are patches of images.
  uint64_t seed = 0;

  std::string name() const;
};

/// Rows [first, first + n) of a stream of more, and what they stand for.
class MixedWeightCase {
public:
  MixedWeightCase(const MixedCase &c, Random &random);

  /// Borrows from this.
  CanonicalWeight canonical() const;

  /// t of the code at a column of the kernel's order.
  double unit(int64_t row, int64_t column) const {
    const int64_t channels = made.k / made.taps;
    return units[(first + row) * made.k + column % channels * made.taps + column / channels];
  }
  double min() const { return scales[0]; }
  double range() const { return static_cast<double>(scales[1]) - scales[0]; }

private:
  MixedCase made;
  int64_t first, all, codeBytes = 0;
  std::vector<double> units; ///< In the order of the stream.
  GuardedBuffer codes;
  float scales[2];
};

/// What y must be for rows x [m, k] of the values that activations have, times `unit`.
std::vector<Expectation> expectMixed(const MixedCase &c, const MixedWeightCase &weight, const std::vector<float> &x,
                                     double unit, const float *bias, Summation summation);

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_MIXEDCASE_H
