// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The evaluation path of n-bit layers: packed kernels with a scale of the activations that does not depend on them.
#ifndef BQ_QUANTIZERS_NBIT_PACKEDEVALUATION_H
#define BQ_QUANTIZERS_NBIT_PACKEDEVALUATION_H

#include "quantizers/PackedWeight.h"
#include "quantizers/nbit/NBitSettings.h"

namespace bq::nn {

/// What quantizedProduct() gives `x`, float, with a weight that packedWeight() made and its scale, 0-d or [out, 1],
/// float: the same bits as long as sums are below 2^24. With activations as they are (16 bits), sums are taken in f32.
/// `activationScale` is 0-d, float, positive.
at::Tensor evaluatePacked(const at::Tensor &x, const c10::intrusive_ptr<PackedWeight> &weight,
                          const at::Tensor &weightScale, const at::Tensor &activationScale,
                          const NBitSettings &settings);

} // namespace bq::nn

#endif // BQ_QUANTIZERS_NBIT_PACKEDEVALUATION_H
