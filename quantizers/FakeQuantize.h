// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// bq::fake_quantize and its gradient: rounding to what a format can hold, for training.
#ifndef BQ_QUANTIZERS_FAKEQUANTIZE_H
#define BQ_QUANTIZERS_FAKEQUANTIZE_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

#include <optional>
#include <tuple>

namespace bq {

/// y = s (clamp(rint(x / s + zero), low, high) - zero) in the type and the memory format of x, which is float, half or
/// bfloat16; s = max(scale, 2^-126). `scale` is one number, or one for each x[i]; `zero` is none or as many, of any
/// type. low and high are the least and the greatest of `bits` bits, 1 to 8: -2^(bits-1) and 2^(bits-1) - 1, or 0 and
/// 2^bits - 1 where not `isSigned`. One signed bit is the sign, with sign(0) = 1, and has no zero.
///
/// Differentiable once with respect to x and scale: by the straight-through estimator inside the range, ends included,
/// and zero outside; the scale's by Esser et al. 2020 (LSQ), with its factor 1 / sqrt(elements of the scale * high).
/// The sum is the same for any number of threads. Throws for other types and shapes.
BQ_TORCH_API at::Tensor fakeQuantize(const at::Tensor &x, const at::Tensor &scale,
                                     const std::optional<at::Tensor> &zero, int64_t bits, bool isSigned = true);

/// What the gradient of fakeQuantize() is made of: those of x, in its type and memory format, and of scale, in its type
/// and shape, given that of y.
BQ_TORCH_API std::tuple<at::Tensor, at::Tensor> fakeQuantizeBackward(const at::Tensor &gradient, const at::Tensor &x,
                                                                     const at::Tensor &scale,
                                                                     const std::optional<at::Tensor> &zero,
                                                                     int64_t bits, bool isSigned = true);

} // namespace bq

#endif // BQ_QUANTIZERS_FAKEQUANTIZE_H
