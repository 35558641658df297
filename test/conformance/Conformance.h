// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The conformance suite: which backends it runs on, and what its parts share.
#ifndef BQ_TEST_CONFORMANCE_CONFORMANCE_H
#define BQ_TEST_CONFORMANCE_CONFORMANCE_H

#include "runtime/Backend.h"
#include "test/conformance/Bounds.h"
#include "test/conformance/Buffer.h"
#include "test/conformance/Cases.h"

#include <functional>
#include <string>
#include <vector>

namespace bq::conformance {

/// What a backend says of itself.
struct Traits {
  Summation summation = Summation::Cpu;
  /// The computes that it has; linear() with any other is Unsupported.
  std::vector<Compute> computes{conformance::computes.begin(), conformance::computes.end()};
  /// Cases of each part that are run where BQ_FULL_TESTS is not 1, evenly spaced; 0 = all. For backends whose cases
  /// take long.
  size_t sample = 0;
  /// Whether it has factors of columns.
  bool hasFactors = true;
  /// Whether it takes all groups of a convolution in one product.
  bool hasDirectConv2d = true;
  /// Whether it has sums of magnitudes.
  bool hasMagnitudeSums = true;
};

/// A backend under test.
struct Subject : Traits {
  std::string name;
  Backend *backend = nullptr;

  /// Whether case `index` of `count` in a part is run.
  bool runs(size_t index, size_t count) const;
};

/// A backend that can be made where its hardware is there. Add a line to candidates() to test another.
struct Candidate {
  std::string name;
  std::function<Expected<Backend *>()> make; ///< Error code Unsupported = skipped with the text.
  Traits traits;
};
const std::vector<Candidate> &candidates();

/// Adds the tests of one part of the suite for one backend; their names begin with the backend's.
void addLinearTests(const Subject &subject, uint64_t seed);
/// Where the backend is not for CPUs, which have none.
void addGradientTests(const Subject &subject, uint64_t seed);
void addActivationTests(const Subject &subject);
void addConv2dTests(const Subject &subject, uint64_t seed);
void addDirectConv2dTests(const Subject &subject, uint64_t seed);
void addRowTests(const Subject &subject, uint64_t seed);
void addMixedTests(const Subject &subject, uint64_t seed);
void addMixedConv2dTests(const Subject &subject, uint64_t seed);
/// Where the backend is a MixedQuantizer.
void addMixedQuantizeTests(const Subject &subject, uint64_t seed);
void addQuantizeTests(const Subject &subject, uint64_t seed);
void addFakeQuantizeTests(const Subject &subject, uint64_t seed);
void addMagnitudeSumsTests(const Subject &subject, uint64_t seed);
void addNoiseTests(const Subject &subject, uint64_t seed);
void addUpdateTests(const Subject &subject, uint64_t seed);
void addRuleTests(const Subject &subject);

/// One gtest test, `subject/part.name`. Its failures are followed by a line that runs it alone.
void addTest(const Subject &subject, const std::string &part, const std::string &name, std::function<void()> body);

/// ParallelFor functions that a backend must work with: on one thread, in pieces from the last to the first, on
/// threads.
ParallelFor parallelFor(int which);
constexpr int parallelForCount = 3;

/// The greatest error seen, as a part of what is allowed, under a label; printed when all tests have run. It says
/// whether the bounds mean anything: near 0 they would not notice a wrong kernel.
void noteRatio(const std::string &label, double ratio);
void printRatios();

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_CONFORMANCE_H
