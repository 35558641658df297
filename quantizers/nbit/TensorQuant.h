// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Quantizers with one scale for a tensor or a row: nv_tensor_quant, the 8 and 4-bit activation quantizers, and the
/// first weights of binary layers.
#ifndef BQ_QUANTIZERS_NBIT_TENSORQUANT_H
#define BQ_QUANTIZERS_NBIT_TENSORQUANT_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <utility>

namespace bq {

struct TensorQuantOptions {
  int64_t bits = 8;        ///< 2 to 16, or 1 to 16 where unsigned
  bool isUnsigned = false; ///< Integers from 0 instead of -bound
  bool narrowRange = true; ///< Without -bound - 1, the least two's complement integer
  bool upstreamCompatible = false;
};

/// Integers clamp(round(x * scale), low, bound), ties to even, in the type of x, and scale = bound / maximum with bound
/// = 2^(bits - 1 + isUnsigned) - 1; low = 0, -bound or -bound - 1. `maximum` is what becomes `bound`: floating, of the
/// rank of x, and broadcasts with it; where not given, the greatest |x|, of shape [1, ..., 1]. Half types are computed
/// in float; `scale` has the type of `maximum`. Where `maximum` is 0, scale is 1 and the integers are 0.
///
/// upstreamCompatible: `maximum` defaults to the greatest x, signed; where it is at most 2^-24 the scale returned is 1
/// while the integers still come from bound / maximum, NaN for 0 / 0; bfloat16 is computed as such.
/// Throws for a negative maximum, a maximum of another rank, negative x where isUnsigned, and x that is not floating.
BQ_TORCH_API std::pair<at::Tensor, at::Tensor> tensorQuant(const at::Tensor &x,
                                                           const std::optional<at::Tensor> &maximum = std::nullopt,
                                                           const TensorQuantOptions &options = {});

/// The scale that q8_quantization and q4_quantization give activations and weights: max(2 mean|x| / c, eps), a 0-d
/// tensor of the type of x (float where that is a half type), with c = 11.269 for 8 bits and 5.6345 for 4.
BQ_TORCH_API at::Tensor meanScale(const at::Tensor &x, int64_t bits, double eps = 1e-5);
/// int8 clamp(round(x / max(scale, eps)), -2^(bits-1), 2^(bits-1) - 1) for 4 or 8 bits, ties to even, and the scale:
/// `scale` (0-d or one element), or meanScale() where not given.
BQ_TORCH_API std::pair<at::Tensor, at::Tensor> quantizeByMean(const at::Tensor &x, int64_t bits,
                                                              const std::optional<at::Tensor> &scale = std::nullopt,
                                                              double eps = 1e-5);

/// First weight of a binary layer from a floating one: the 8-bit integers of tensorQuant(w - mean w), int8, with zeros
/// replaced by the sign of w - mean w (+1 for 0), and mean|w|, a 0-d tensor. upstreamCompatible: tensorQuant() is so,
/// and the sign of 0 is 0.
BQ_TORCH_API std::pair<at::Tensor, at::Tensor> initBinaryWeight(const at::Tensor &weight,
                                                                bool upstreamCompatible = false);

} // namespace bq

#endif // BQ_QUANTIZERS_NBIT_TENSORQUANT_H
