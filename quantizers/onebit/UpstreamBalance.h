// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The balancing of OneCompression 1.0.2, number for number.
#ifndef BQ_QUANTIZERS_ONEBIT_UPSTREAMBALANCE_H
#define BQ_QUANTIZERS_ONEBIT_UPSTREAMBALANCE_H

#include "quantizers/onebit/Balance.h"

namespace bq::onebit {

/// As balance(), but in float throughout, with a tolerance that is absolute, and with the factors of rows and columns
/// of zeros divided by `floor` in each iteration.
BQ_TORCH_API Balance balanceAsUpstream(const at::Tensor &weight, const BalanceOptions &options);

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_UPSTREAMBALANCE_H
