// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a layer's inputs say about its weight: the Hessian of its output error, errors, and the adjustment of a weight
/// for inputs that earlier layers have changed.
#ifndef BQ_QUANTIZERS_ONEBIT_CALIBRATION_H
#define BQ_QUANTIZERS_ONEBIT_CALIBRATION_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

#include <optional>

namespace bq::onebit {

/// H = (2 / N) X^T X over all N rows that were added, the Hessian of a row's mean squared output error.
class BQ_TORCH_API Hessian {
public:
  /// Of a layer with `columns` inputs; summed in `type`, float or double. Throws c10::Error for other types.
  explicit Hessian(int64_t columns, at::ScalarType type = at::kFloat);

  /// Adds the inputs x [..., columns], of any float type. Throws c10::Error where they have another last size, or
  /// values that are not finite.
  void add(const at::Tensor &x);
  /// Rows added so far.
  int64_t rows() const { return count; }
  /// [columns, columns]; zeros where nothing was added.
  at::Tensor value() const;

private:
  int64_t columns, count = 0;
  at::Tensor sum; ///< X^T X
};

/// Squares of differences, summed in double.
struct SquaredError {
  double sum = 0;
  double mean = 0;                ///< sum / number of values
  std::optional<double> relative; ///< sum / sum of the squares of what is wanted; none where that is 0.
};

/// Of the weight: `quantized` against `weight`, [N, K]. The difference is taken in the type of the weight.
BQ_TORCH_API SquaredError weightError(const at::Tensor &weight, const at::Tensor &quantized);

/// Of the output for inputs x [..., K]. Products are taken in the type of the weight, 512 rows of x at a time.
BQ_TORCH_API SquaredError outputError(const at::Tensor &weight, const at::Tensor &quantized, const at::Tensor &x);

/// The same from the Hessian of the inputs, for 2 / N of the sum: tr(D H D^T), D = weight - quantized; in double.
BQ_TORCH_API double outputError(const at::Tensor &weight, const at::Tensor &quantized, const Hessian &hessian);

struct QepOptions {
  double damping = 0.01;   ///< Part of the mean of H's diagonal that is added to it.
  double correction = 0.5; ///< Part of the full correction that is made.
};

/// (2 / N) (X_float - X_quantized)^T X_quantized: how inputs have moved, against the inputs as they are now; both
/// [..., K], in float.
BQ_TORCH_API at::Tensor inputShift(const at::Tensor &floatInputs, const at::Tensor &quantizedInputs);

/// The weight [N, K] that makes up for the inputs' shift (quantization error propagation; Arai and Ichikawa 2025):
/// W + correction * (W shift) (H + damping * mean(diag H) I)^-1, by Cholesky. Columns that no input reaches (H[k, k] =
/// 0) become 0. `hessian` is that of the quantized inputs. Throws c10::Error where the damped matrix is not positive
/// definite.
BQ_TORCH_API at::Tensor adjustWeight(const at::Tensor &weight, const at::Tensor &hessian, const at::Tensor &shift,
                                     const QepOptions &options = {});

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_CALIBRATION_H
