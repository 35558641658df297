// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// DiffQ's two packings of small whole numbers as planes of bits.
#ifndef BQ_QUANTIZERS_DIFFQ_BITPLANES_H
#define BQ_QUANTIZERS_DIFFQ_BITPLANES_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

#include <cstdint>

namespace bq::diffq {

/// Values are whole numbers from 0 to 2^15 - 1, of any shape and any type, on the CPU. `bits` planes hold them; 0: as
/// many as the greatest needs, none where all are 0. All functions throw where a value or a shape does not fit.

/// int64 [lines, bits, 32]: bit k of word [l, b, i] is bit b of value 2048 l + 32 k + i. The last line is filled up
/// with zeros.
BQ_TORCH_API at::Tensor packLines(const at::Tensor &values, int64_t bits = 0);
/// The first `count` values, int16.
BQ_TORCH_API at::Tensor unpackLines(const at::Tensor &packed, int64_t count);

/// [bits, words] in `type`, uint8, int16, int32 or int64, of S bits: with words = ceil(count / S), bit k of word
/// [b, j] is bit b of value k words + j.
BQ_TORCH_API at::Tensor packStrided(const at::Tensor &values, int64_t bits = 0, at::ScalarType type = at::kShort);
/// The first `count` values, int16.
BQ_TORCH_API at::Tensor unpackStrided(const at::Tensor &packed, int64_t count);

} // namespace bq::diffq

#endif // BQ_QUANTIZERS_DIFFQ_BITPLANES_H
