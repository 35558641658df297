// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Float weights to canonical tensors and back.
#ifndef BQ_QUANTIZERS_QUANTIZE_H
#define BQ_QUANTIZERS_QUANTIZE_H

#include "dialect/core/Format.h"
#include "quantizers/Export.h"
#include "quantizers/Tensors.h"

#include <functional>
#include <optional>
#include <tuple>
#include <utility>

namespace bq {

/// Codes, scales and zero points of a weight [N, K] of type float, half or bfloat16 with any strides; a convolution
/// weight [O, I, kh, kw] is the matrix [O, kh * kw * I]. Rounds to nearest, ties to even. `zeros` is empty where the
/// format has none. `scaleType` is the weight's own type where not given. All are on the weight's device, the CPU or a
/// GPU, which this waits for. Throws for other types and devices, for values that are not finite, and for lut, whose
/// table comes from the caller.
BQ_TORCH_API std::tuple<at::Tensor, at::Tensor, at::Tensor>
quantize(const at::Tensor &weight, const Format &format, std::optional<at::ScalarType> scaleType = std::nullopt);

/// The weight of `shape` ([N, K] or [O, I, kh, kw]) that canonical tensors stand for, in the type of `scales`.
BQ_TORCH_API at::Tensor dequantize(const at::Tensor &codes, const at::Tensor &scales,
                                   const std::optional<at::Tensor> &zeros, const Format &format, at::IntArrayRef shape);

/// The same for a weight whose columns may have a group index, and in the type of the scales, or in `type`, computed in
/// float then. `plain` is dequantize() for a weight without such an index.
BQ_TORCH_API at::Tensor dequantizeAs(
    const WeightTensors &weight, const Format &format, at::IntArrayRef shape, std::optional<at::ScalarType> type,
    const std::function<at::Tensor(const WeightTensors &weight, const Format &format, at::IntArrayRef shape)> &plain);

/// Rows and columns of the matrix that a weight of `shape` is. Throws where it is neither 2-D nor 4-D.
std::pair<int64_t, int64_t> matrixShape(const char *op, at::IntArrayRef shape);

/// The best rank-one approximation a b^T of |weight| (float [N, K], contiguous), with |a| = |b|, as one float tensor:
/// a [N], then b [K]. Power iteration from a fixed start, so equal weights give equal scales. Rows of zeros get a = 0.
at::Tensor signScales(const at::Tensor &weight);

} // namespace bq

#endif // BQ_QUANTIZERS_QUANTIZE_H
