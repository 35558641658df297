// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Lowering the error of a OneBit form by turns: row factors, column factors, signs.
#ifndef BQ_QUANTIZERS_ONEBIT_REFINE_H
#define BQ_QUANTIZERS_ONEBIT_REFINE_H

#include <ATen/ATen.h>

namespace bq::onebit {

/// diag(a) sign diag(b), all float.
struct Factors {
  at::Tensor a;    ///< [N]
  at::Tensor b;    ///< [K]
  at::Tensor sign; ///< [N, K] of 1 and -1

  at::Tensor weight() const { return sign * a.unsqueeze(1) * b; }
};

/// What is to be lowered: the sum over rows n of rowWeights[n] * d_n H d_n^T, d_n the row of weight - form.
struct Objective {
  at::Tensor weight;     ///< float [N, K]
  at::Tensor rowWeights; ///< float [N]
  at::Tensor hessian;    ///< float, symmetric [K, K]

  /// Summed in double.
  double error(const Factors &factors) const;
};

/// Up to `rounds` rounds; each step is kept only where the error does not grow. Ends after a round that has lowered it
/// by less than a part in 10^6.
Factors refine(const Objective &objective, Factors factors, int64_t rounds);

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_REFINE_H
