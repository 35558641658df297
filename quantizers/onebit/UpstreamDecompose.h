// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The decomposition of OneCompression 1.0.2, number for number.
#ifndef BQ_QUANTIZERS_ONEBIT_UPSTREAMDECOMPOSE_H
#define BQ_QUANTIZERS_ONEBIT_UPSTREAMDECOMPOSE_H

#include "quantizers/onebit/Decompose.h"

namespace bq::onebit {

/// Weights of at least this many elements have their rank-one form made by power iteration, others by an SVD.
constexpr int64_t upstreamPowerElements = 1000000;

/// Arguments have been checked. With balancing, a * sign * b is the balanced weight, and `dequantized` is not. `start`:
/// of the power iteration, [K]; normal random numbers where not defined.
BQ_TORCH_API Decomposition decomposeAsUpstream(const at::Tensor &weight, const DecomposeOptions &options,
                                               const Importance &importance, const at::Tensor &start = {});

/// Upstream's rank-one form where an SVD fails: `iterations` steps from |start|, both factors with the root of sigma.
struct FallbackForm {
  at::Tensor a, b;
  double sigma;
};
BQ_TORCH_API FallbackForm upstreamFallback(const at::Tensor &matrix, const at::Tensor &start, int64_t iterations);

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_UPSTREAMDECOMPOSE_H
