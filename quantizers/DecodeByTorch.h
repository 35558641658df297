// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Canonical weights decoded by LibTorch's own operators, on any device: slow, and always there.
#ifndef BQ_QUANTIZERS_DECODEBYTORCH_H
#define BQ_QUANTIZERS_DECODEBYTORCH_H

#include "quantizers/Export.h"
#include "quantizers/Tensors.h"

namespace bq {

/// The values of nf4 or fp4 by code: float [16], on the CPU.
at::Tensor decodingTable(const Format &format);

/// The weight [n, k] in the type of the scales, which it is rounded to once, from float. The tensors must have passed
/// checkWeight(), and are on one device; they have no group index. Takes some 20 bytes of
/// the device's memory for each weight.
BQ_TORCH_API at::Tensor decodeByTorch(const WeightTensors &weight, const Format &format, int64_t k);

} // namespace bq

#endif // BQ_QUANTIZERS_DECODEBYTORCH_H
