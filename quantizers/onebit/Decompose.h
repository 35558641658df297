// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// OneBit: a weight as diag(a) sign diag(b) (Xu et al. 2024, "OneBit: Towards Extremely Low-bit Large Language
/// Models").
#ifndef BQ_QUANTIZERS_ONEBIT_DECOMPOSE_H
#define BQ_QUANTIZERS_ONEBIT_DECOMPOSE_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

#include <optional>

namespace bq::onebit {

struct BQ_TORCH_API DecomposeOptions {
  int64_t iterations = 10;       ///< Rounds of refinement. In upstream's way: steps of power iteration, at least 30.
  bool importanceScaling = true; ///< Errors count by what inputs and outputs weigh.
  bool balancing = true;         ///< Rows and columns are balanced before the rank-one step.
  int64_t balanceIterations = 40;
  double balanceAlpha = 1;
  /// Upstream's numbers: balancing switches importance off, a and b lack the balancing factors, nothing is refined.
  bool upstreamCompatible = false;

  /// Throws c10::Error with every rule that is broken.
  void check() const;
};

/// What is known of a layer's inputs and outputs; whatever is not defined counts as the identity.
struct Importance {
  at::Tensor hessian;     ///< [K, K]; of Hessian::value().
  at::Tensor inputNorms;  ///< [K], squares; go before the Hessian's diagonal.
  at::Tensor outputNorms; ///< [N], squares.
};

struct Decomposition {
  at::Tensor a;           ///< float [N]
  at::Tensor b;           ///< float [K]
  at::Tensor sign;        ///< bool [N, K], true where +1
  at::Tensor dequantized; ///< [N, K] in the type of the weight: a * sign * b, but for upstream's way with balancing.
};

/// Decomposes `weight` [N, K] of any float type.
///
/// With x = sign(W), I = diag of what inputs weigh and O of what outputs weigh, the start is the best of the rank-one
/// forms of |W| and |O W I|, each as it is and balanced, with all factors taken out again. Best is least
/// tr(O D H D^T O), D = W - diag(a) x diag(b), where H is the Hessian, or I^2 without one. Then each round solves for
/// a, for b and for the signs in turn, the others fixed; the error never grows, and rounds end where it no longer
/// falls. Without a Hessian the form of |O W I| is the best there is, and neither balanced nor refined. Rows and
/// columns of zeros get factors of 0. All is done where the weight is, and `importance` with it.
///
/// Throws c10::Error where the weight is not finite, `importance` has other shapes, or an option is out of range.
BQ_TORCH_API Decomposition decompose(const at::Tensor &weight, const DecomposeOptions &options = {},
                                     const Importance &importance = {});

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_DECOMPOSE_H
