// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How much the outputs of two models agree, row by row.
#ifndef BQ_TOOLS_BQC_OUTPUTS_H
#define BQ_TOOLS_BQC_OUTPUTS_H

#include "dialect/core/Status.h"

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <optional>

namespace bq::cli {

/// The rows of a model's result: its first tensor, which may be the result itself or in a tuple, list or dictionary,
/// as float64 [rows, features]; a scalar or vector is one row. InvalidArgument where there is no such tensor.
Expected<at::Tensor> outputRows(const c10::IValue &result);
/// The same with the history that gradients need.
Expected<at::Tensor> differentiableRows(const c10::IValue &result);

struct Agreement {
  int64_t rows = 0;
  double meanCosine = 0, minCosine = 0;
  double maxAbsError = 0;
  /// Mean share of a row's ten nearest other rows, by cosine, that are the same in both. None below 12 rows or above
  /// maxNeighbourRows.
  std::optional<double> top10;

  static constexpr int64_t maxNeighbourRows = 20000;
};

/// Compares rows of equal shape. Two rows of zeros have cosine 1; one beside another row has cosine 0. InvalidArgument
/// where shapes differ, there is no row, or a value is not finite; the text names row and model, "A" or "B".
Expected<Agreement> compareRows(const at::Tensor &a, const at::Tensor &b);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_OUTPUTS_H
