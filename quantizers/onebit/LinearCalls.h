// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What linear layers are called with, seen from outside of the model.
#ifndef BQ_QUANTIZERS_ONEBIT_LINEARCALLS_H
#define BQ_QUANTIZERS_ONEBIT_LINEARCALLS_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

#include <cstddef>
#include <functional>
#include <vector>

namespace bq::onebit {

/// Runs `body`, and calls `onInput` with the number of a weight and x [..., K] for each product of x and that weight,
/// whole or transposed, that the calling thread asks LibTorch for: aten::linear, addmm, mm, matmul, as torch::nn
/// modules and TorchScript models make them. A weight is known by its memory, so that it needs no module and no hook;
/// weights must not share it. Gradients are off while `body` runs.
///
/// Rethrows what `body` or `onInput` has thrown; after an error of `onInput` it is not called again. Not to be nested.
BQ_TORCH_API void watchLinearCalls(const std::vector<at::Tensor> &weights, const std::function<void()> &body,
                                   const std::function<void(size_t weight, const at::Tensor &x)> &onInput);

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_LINEARCALLS_H
