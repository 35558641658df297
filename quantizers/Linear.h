// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What bq::linear, bq::linear_packed and PackedWeight share: checks, the call of the backend, the gradient.
#ifndef BQ_QUANTIZERS_LINEAR_H
#define BQ_QUANTIZERS_LINEAR_H

#include "quantizers/Tensors.h"

#include <functional>

namespace bq {

/// What a caller asks of a linear layer besides its weight.
struct LinearChoice {
  Compute compute = Compute::F32;
  Activation activation = Activation::None;

  /// Throws, naming the text and what is accepted.
  static LinearChoice parse(const char *op, std::string_view compute, std::string_view activation);
};

/// The K that `x` asks for: its last size, as a constant. Throws where x is not a float type or has no dimension.
int64_t inputFeatures(const char *op, const at::Tensor &x);
/// An uninitialized result [..., n] for x [..., k], on x's device; sizes may be symbolic. Throws where `bias` is not
/// floating point [n].
at::Tensor emptyLinearResult(const char *op, const at::Tensor &x, const std::optional<at::Tensor> &bias, int64_t n);

/// y = activation(x W^T + bias) on the CPU for a weight [n, k]. `prepacked` is asked only where there is something to
/// multiply. x may have any strides and leading dimensions, also no rows.
at::Tensor runLinear(const char *op, const at::Tensor &x, const std::optional<at::Tensor> &bias, int64_t n, int64_t k,
                     const LinearChoice &choice,
                     const std::function<std::shared_ptr<const PrepackedWeight>()> &prepacked);

/// The gradient before an activation, given the gradient after it and what went in.
at::Tensor activationBackward(const at::Tensor &gradient, const at::Tensor &input, Activation activation);

/// y[i, :] = W[indices[i], :] on the CPU.
at::Tensor runEmbedding(const char *op, const at::Tensor &indices, const WeightTensors &weight, const Format &format,
                        int64_t k);
/// An uninitialized result [..., k] for indices [...]; sizes may be symbolic. Throws where indices are not integers.
at::Tensor emptyEmbeddingResult(const char *op, const at::Tensor &indices, const WeightTensors &weight, int64_t k);

} // namespace bq

#endif // BQ_QUANTIZERS_LINEAR_H
