// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Signs of a latent weight that train: gradients pass straight through them.
#ifndef BQ_QUANTIZERS_ONEBIT_STRAIGHTTHROUGH_H
#define BQ_QUANTIZERS_ONEBIT_STRAIGHTTHROUGH_H

#include "quantizers/Export.h"
#include "quantizers/onebit/Decompose.h"

#include <ATen/ATen.h>

namespace bq::onebit {

/// 1 where `latent` is not negative, else -1, in its type; any shape. The gradient passes as it is.
BQ_TORCH_API at::Tensor straightThroughSign(const at::Tensor &latent);

/// The weight a[n] sign(latent[n, k]) b[k], [N, K], for layers that read one tensor; all of one type, float or double,
/// on the CPU. Gradients: of a and b, exact; of latent, that of the signs, passed through. Neither direction makes a
/// tensor of that size beside its result, and sums have one order, whatever the number of threads. Gradients of second
/// order do not exist.
BQ_TORCH_API at::Tensor signWeight(const at::Tensor &latent, const at::Tensor &a, const at::Tensor &b);

/// What a decomposition of `weight` starts to train from: float [N, K] with its signs, and |weight[n, k]| in units of
/// |a[n] b[k]|, at least a thousandth, so that every sign can flip and those of small weights flip first.
BQ_TORCH_API at::Tensor latentOf(const at::Tensor &weight, const Decomposition &form);

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_STRAIGHTTHROUGH_H
