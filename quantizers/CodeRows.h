// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Rows of canonical codes as one code to a byte, which LibTorch can rearrange, and back.
#ifndef BQ_QUANTIZERS_CODEROWS_H
#define BQ_QUANTIZERS_CODEROWS_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

namespace bq {

/// The k codes of `bits` bits of each row, uint8 [N, k], from canonical codes [N, bytes]; where those are.
BQ_TORCH_API at::Tensor unpackedCodes(const at::Tensor &codes, int bits, int64_t k);
/// The inverse; `codes` is contiguous.
BQ_TORCH_API at::Tensor packedCodes(const at::Tensor &codes, int bits);

/// The same by LibTorch's operators, on any device; back takes 2 * `bits` bytes for each code.
BQ_TORCH_API at::Tensor unpackedByTorch(const at::Tensor &codes, int bits, int64_t k);
BQ_TORCH_API at::Tensor packedByTorch(const at::Tensor &codes, int bits);

} // namespace bq

#endif // BQ_QUANTIZERS_CODEROWS_H
