// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the linear layers of a model give while it runs, seen from outside.
#ifndef BQ_TOOLS_BQC_DISTILL_LAYEROUTPUTS_H
#define BQ_TOOLS_BQC_DISTILL_LAYEROUTPUTS_H

#include <ATen/ATen.h>

#include <cstddef>
#include <functional>
#include <vector>

namespace bq::cli {

struct LayerOutput {
  size_t layer = 0; ///< Place of the weight in the list given.
  at::Tensor value; ///< With its gradient function.
};

/// Runs `body` and returns the results of every aten::linear of the calling thread whose weight is one of `weights`, in
/// the order of the calls. A weight is known by its memory. Graphs of TorchScript run as they are written meanwhile, as
/// an optimized one has no gradient functions inside. Throws what `body` throws. Not to be nested.
std::vector<LayerOutput> captureOutputs(const std::vector<at::Tensor> &weights, const std::function<void()> &body);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_DISTILL_LAYEROUTPUTS_H
