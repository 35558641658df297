// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Whether a step of an optimizer did what `bq.update` says, stage by stage.
#ifndef BQ_TEST_CONFORMANCE_UPDATECHECK_H
#define BQ_TEST_CONFORMANCE_UPDATECHECK_H

#include "runtime/UpdateArgs.h"
#include "test/conformance/Buffer.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bq::conformance {

/// All that a step changes, in guarded memory.
struct UpdateState {
  GuardedBuffer weight, codes, scales, zeros, residual, m, v, mScales, vScales;

  /// Of the sizes that `args` says, full of zeros.
  explicit UpdateState(const UpdateArgs &args);
  /// Sets the pointers of `args`.
  void writeTo(UpdateArgs &args) const;
  /// All bytes, one buffer after the other.
  std::vector<uint8_t> bytes() const;
  void assign(const std::vector<uint8_t> &bytes);
  bool intactBefore() const;
};

/// What an element of a packed weight stands for, with its residual.
double weightOf(const UpdateArgs &args, int64_t row, int64_t column);

/// Compares the state after a step with what follows from the one before. Every stage is taken from what the stage
/// before it stored, so that a bound covers one stage only. Let e = 2^-24. Each stage decides on a number x (a moment,
/// a code in units of its scale) that a kernel knows up to `error`; the decision (rounding to nearest, or up or down by
/// a given random number) never falls where x grows, so that what is stored lies between the decisions on x - error and
/// x
/// + error. `error` counts roundings, e times the magnitude of the terms for each, those of the options included:
///
///   moments     6 for each term of a sum of two products
///   directions  8: root, sum, quotient, and the rounded options
///   values      8 of |code| + |zero| + 1 + |rate direction / scale|
///   codes       error of the value times the factor, and 8 of the terms; scales 8
///   blocks of 8 bits: 16 for the moments, of which 8 are the decoding of the old ones
///
/// Returns a description of the first difference; empty where there is none.
std::string checkUpdate(const UpdateArgs &args, const UpdateState &before, const UpdateState &after);

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_UPDATECHECK_H
