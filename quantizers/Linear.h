// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What bq::linear, bq::linear_packed and PackedWeight share: checks, the call of the backend, the gradient.
#ifndef BQ_QUANTIZERS_LINEAR_H
#define BQ_QUANTIZERS_LINEAR_H

#include "quantizers/Export.h"
#include "quantizers/Tensors.h"

#include <functional>

namespace bq {

/// What a caller asks of a linear layer besides its weight.
struct LinearChoice {
  Compute compute = Compute::F32;
  Activation activation = Activation::None;
  /// 1 to 8, for compute i8: x is quantized with one scale, as LinearArgs says; 0 = as `compute` takes it.
  int activationBits = 0;
  at::Tensor activationScale{}; ///< float [1], contiguous, on x's device; not defined without bits.
  int padCode = 0;              ///< Of quantized activations: what padding of a convolution counts as.

  /// Throws, naming the text and what is accepted.
  static LinearChoice parse(const char *op, std::string_view compute, std::string_view activation);
};

/// The K that `x` asks for: its last size, as a constant. Throws where x is not a float type or has no dimension.
int64_t inputFeatures(const char *op, const at::Tensor &x);
/// An uninitialized result [..., n] for x [..., k], on x's device; sizes may be symbolic. Throws where `bias` is not
/// floating point [n].
at::Tensor emptyLinearResult(const char *op, const at::Tensor &x, const std::optional<at::Tensor> &bias, int64_t n);

/// The weight of a linear operator, asked for in the form that is needed, and only where there is something to
/// multiply.
struct LinearWeight {
  std::function<std::shared_ptr<const PrepackedWeight>()> prepacked; ///< For x's device.
  std::function<WeightTensors()> canonical;                          ///< On x's device.
  Format format;
  int64_t n = 0, k = 0;
};

/// One product with rows in it, and what holds its operands' memory.
struct LinearRows {
  at::Tensor x;    ///< [m, k], columns contiguous, rows that do not overlap
  at::Tensor bias; ///< float [n], contiguous, or not defined
  at::Tensor y;    ///< [..., n], contiguous, m rows

  /// The same for a backend.
  LinearArgs args(const LinearChoice &choice) const;
};

/// y = activation(x W^T + bias) on x's device: the CPU, or a GPU. x may have any strides and leading dimensions, also
/// no rows.
at::Tensor runLinear(const char *op, const at::Tensor &x, const std::optional<at::Tensor> &bias,
                     const LinearWeight &weight, const LinearChoice &choice);

/// activation(x), in x's type.
BQ_TORCH_API at::Tensor activate(const at::Tensor &x, Activation activation);
/// The gradient before an activation, given the gradient after it and what went in.
at::Tensor activationBackward(const at::Tensor &gradient, const at::Tensor &input, Activation activation);

/// y[i, :] = W[indices[i], :] on the weight's device. On a GPU an index out of range is an assertion of the device, as
/// in LibTorch's own embedding: nothing waits for it, and CUDA cannot be used in this process any more.
at::Tensor runEmbedding(const char *op, const at::Tensor &indices, const WeightTensors &weight, const Format &format,
                        int64_t k);
/// An uninitialized result [..., k] for indices [...]; sizes may be symbolic. Throws where indices are not integers.
at::Tensor emptyEmbeddingResult(const char *op, const at::Tensor &indices, const WeightTensors &weight, int64_t k);

} // namespace bq

#endif // BQ_QUANTIZERS_LINEAR_H
