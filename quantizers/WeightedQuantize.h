// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Rounding of weights that do not count alike.
#ifndef BQ_QUANTIZERS_WEIGHTEDQUANTIZE_H
#define BQ_QUANTIZERS_WEIGHTEDQUANTIZE_H

#include "quantizers/PackedWeight.h"

namespace bq {

/// A weight [N, K] or [O, I, kh, kw] of type float, half or bfloat16 on the CPU in a format int or uint, each group
/// with the scale and zero point, of those tried, that make the sum of importance * (w - rounded w)^2 least: those of
/// quantize(), narrower ranges that clip, and the scale of least squares for the codes of the best. Scales get the
/// weight's type; those of int may be negative, so that the code of greatest magnitude has either sign. `importance` is
/// float, of the weight's shape and nothing below 0; where it is 0 for a whole group, the group is rounded as
/// quantize() does. Equal arguments give equal results for any number of threads. Throws for other formats, types,
/// shapes and devices, and for values that are not finite.
BQ_TORCH_API c10::intrusive_ptr<PackedWeight> quantizeWeighted(const at::Tensor &weight, const at::Tensor &importance,
                                                               const Format &format);

} // namespace bq

#endif // BQ_QUANTIZERS_WEIGHTEDQUANTIZE_H
