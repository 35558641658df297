// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How much a model's result depends on each of its weights.
#ifndef BQ_TOOLS_BQC_SENSITIVITY_H
#define BQ_TOOLS_BQC_SENSITIVITY_H

#include "dialect/core/Status.h"
#include "quantizers/Convert.h"
#include "tools/bqc/Progress.h"

#include <torch/csrc/jit/api/module.h>

#include <vector>

namespace bq::cli {

/// The importance of each weight of a layer as a matrix of rank one: row times column over the sum of either.
struct Sensitivity {
  at::Tensor rows;    ///< double [O]
  at::Tensor columns; ///< double [everything else of the weight's shape, flat]

  /// Float, of the weight's shape: the sum over the weights of this times the squares of small, independent errors is
  /// the mean over the result's rows of |error|^2 / |row|^2.
  at::Tensor importance(at::IntArrayRef shape) const;
};

/// Measured by gradients of the result in random directions (fixed ones; of a direction with independent normal
/// elements the mean square of the gradient is the sum of squares over all elements of the result): one forward and at
/// least one backward pass for each input. `module` is in evaluation and its parameters do not require gradients
/// afterwards. Errors name the layer that no input reaches, or whose gradient is not finite.
Expected<std::vector<Sensitivity>> measureSensitivity(torch::jit::Module &module,
                                                      const std::vector<std::vector<c10::IValue>> &inputs,
                                                      const std::vector<const LayerReport *> &layers,
                                                      Progress &progress);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_SENSITIVITY_H
