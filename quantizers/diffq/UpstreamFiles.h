// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The packed state of DiffQ 0.2.4 as a file of torch.save.
#ifndef BQ_QUANTIZERS_DIFFQ_UPSTREAMFILES_H
#define BQ_QUANTIZERS_DIFFQ_UPSTREAMFILES_H

#include "quantizers/diffq/DiffQuantizer.h"
#include "quantizers/diffq/UpstreamState.h"

#include <string>

namespace bq::diffq {

/// Writes what upstream's get_quantized_state() gives, with torch_pack where the order is Strided:
/// torch.load(path, weights_only=False) reads it where DiffQ is installed, for it names upstream's class. Buffers are
/// not part of it. Throws, naming the parameter, for what upstream cannot hold: groups of 15 bits, fewer bits than
/// min_bits, a last group that is shorter, and one group for all.
BQ_TORCH_API void writeUpstreamState(const std::string &path, const DiffQuantizer &quantizer, PlaneOrder order);

/// Gives the quantizer's model the values of upstream's state, packed in either order or not packed. Upstream knows
/// parameters by their order alone. Buffers stay. Throws c10::Error that begins with the path where the file is no such
/// state, is damaged, or is of another model or other groups; the model is unchanged then.
BQ_TORCH_API void readUpstreamState(const std::string &path, DiffQuantizer &quantizer);

} // namespace bq::diffq

#endif // BQ_QUANTIZERS_DIFFQ_UPSTREAMFILES_H
