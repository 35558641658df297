// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The meaning of sums of magnitudes.
#ifndef BQ_RUNTIME_REFERENCE_MAGNITUDEMEANING_H
#define BQ_RUNTIME_REFERENCE_MAGNITUDEMEANING_H

#include "runtime/MagnitudeSumsArgs.h"

namespace bq::reference {

/// |w| or w^2 of one element, exact.
double magnitude(const MagnitudeSumsArgs &args, int64_t row, int64_t column);

/// What a row's factor becomes once its sum is known, rounded once.
float nextFactor(const MagnitudeSumsArgs &args, int64_t row, float sum);

/// Writes all results of verified arguments. Sums are taken in double and rounded at their end; those of columns use
/// the factors `next` as they are stored.
void magnitudeSums(const MagnitudeSumsArgs &args);

} // namespace bq::reference

#endif // BQ_RUNTIME_REFERENCE_MAGNITUDEMEANING_H
