// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A layer at one bit: what bq::OneBit makes of a weight.
#ifndef BQ_QUANTIZERS_ONEBIT_ONEBITRESULT_H
#define BQ_QUANTIZERS_ONEBIT_ONEBITRESULT_H

#include "quantizers/Export.h"
#include "quantizers/PackedWeight.h"
#include "quantizers/onebit/Calibration.h"
#include "quantizers/onebit/Decompose.h"

#include <optional>

namespace bq {

/// The weight [out, in] is diag(a) sign diag(b). All tensors are on the CPU.
struct BQ_TORCH_API OneBitResult {
  at::Tensor a;              ///< half [out]
  at::Tensor b;              ///< half [in]
  at::Tensor sign;           ///< Canonical codes of the format sign: uint8 [out, ceil(in / 8)], 1 is +1.
  bool isTransposed = false; ///< The layer holds its weight as [in, out].

  double quantizationTime = 0; ///< Seconds.
  /// Of the output for the calibration inputs, and of the weight; where they were asked for.
  std::optional<onebit::SquaredError> outputError, weightError;
  at::Tensor xtx; ///< double, X^T X [in, in] of the calibration inputs, where it was asked for.

  int64_t iters = 0;
  bool useImportanceScaling = false, useBalancing = false;
  int64_t balanceIters = 0;
  double balanceAlpha = 0;

  /// half, where a, b and sign do not make it: upstream's way with balancing.
  at::Tensor unfolded;

  /// From a decomposition; a and b get a common power of two as factor and divisor, so that both use the range of half.
  /// Throws c10::Error where they exceed it.
  static OneBitResult fromDecomposition(const onebit::Decomposition &form, const onebit::DecomposeOptions &options);

  int64_t outFeatures() const { return a.size(0); }
  int64_t inFeatures() const { return b.size(0); }
  /// The weight in half, as the layer has it: [out, in], or [in, out]. a * sign * b, rounded once, but for `unfolded`.
  at::Tensor dequantizedWeight() const;
  /// The weight that kernels read, [out, in], with scales in half. Throws where there is `unfolded`.
  c10::intrusive_ptr<PackedWeight> pack() const;
};

} // namespace bq

#endif // BQ_QUANTIZERS_ONEBIT_ONEBITRESULT_H
