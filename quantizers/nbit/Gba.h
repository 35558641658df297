// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Double quantization of GBA checkpoints: scales and zero points that are themselves codes.
#ifndef BQ_QUANTIZERS_NBIT_GBA_H
#define BQ_QUANTIZERS_NBIT_GBA_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

#include <utility>

namespace bq {

/// Tensors of a layer with G groups and N outputs, whose codes share constants in blocks of D outputs. Constants are
/// floating and of any shape that broadcasts with [G, N / D, D]: [G, N / D, 1] in mode 2, [1, N, 1] with D = 1 in
/// mode 1.
struct GbaStatistics {
  at::Tensor statistic; ///< uint8 [G, N / D, D]: code of the scale in the high nibble, of the zero point in the low one
  at::Tensor scales;    ///< uint8 [G, N / D, D]: 8-bit codes of scales, in place of `statistic` (asymmetric layers)
  at::Tensor scaleZeros, scaleScales; ///< scale = (code - scaleZeros) * scaleScales
  at::Tensor zeroZeros, zeroScales;   ///< zero = (code - zeroZeros) * zeroScales; only with `statistic`
};

/// Scales [G, N] in the type of scaleScales, and zero points [G, N], ZeroConvention::Scaled, which are not defined
/// where there are only 8-bit codes of scales. Throws where both or neither of `statistic` and `scales` are given, and
/// where types or shapes do not fit.
BQ_TORCH_API std::pair<at::Tensor, at::Tensor> decodeGba(const GbaStatistics &statistics);

} // namespace bq

#endif // BQ_QUANTIZERS_NBIT_GBA_H
