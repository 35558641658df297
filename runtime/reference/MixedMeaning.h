// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a weight of the format `mixed` means.
#ifndef BQ_RUNTIME_REFERENCE_MIXEDMEANING_H
#define BQ_RUNTIME_REFERENCE_MIXEDMEANING_H

#include "runtime/Backend.h"

#include <vector>

namespace bq::reference {

/// W [n, k] of a mixed weight that verifies, bit by bit of its stream: min + (max - min) * level / (2^bits - 1).
std::vector<double> mixedWeights(const CanonicalWeight &weight);

} // namespace bq::reference

#endif // BQ_RUNTIME_REFERENCE_MIXEDMEANING_H
