// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Integers in packed words: the bit orders of GPTQ, of 4-bit nibbles and of binary words, and canonical codes.
///
/// All functions keep the device of their argument; tensors of a GPU are packed on the host.
#ifndef BQ_QUANTIZERS_NBIT_PACKING_H
#define BQ_QUANTIZERS_NBIT_PACKING_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

#include <cstdint>

namespace bq {

/// Canonical codes uint8 [R, ceil(C * bits / 8)] of integers [R, C] of any integer type: a little-endian bit stream for
/// each row. `bits` is 1 to 8. Throws where a value is outside of [0, 2^bits - 1], naming it.
BQ_TORCH_API at::Tensor packRows(const at::Tensor &integers, int64_t bits);
/// The inverse: uint8 [R, columns].
BQ_TORCH_API at::Tensor unpackRows(const at::Tensor &codes, int64_t bits, int64_t columns);

/// GPTQ's words, int32: along `dim` (0 or 1) of a matrix of integers a little-endian bit stream of fields of `bits`
/// bits (1 to 8), padded to a word with zeros. For 1, 2, 4 and 8 bits no field crosses a word; 3 bits are 32 fields in
/// three words, as AutoGPTQ has them. [K, N] gives [ceil(K * bits / 32), N] for dim 0, [K, ceil(N * bits / 32)] for
/// dim 1. Throws where a value is outside of [0, 2^bits - 1], naming it.
BQ_TORCH_API at::Tensor packWords(const at::Tensor &integers, int64_t bits, int64_t dim);
/// The inverse: uint8, with `count` integers along `dim`. Throws where the words do not hold exactly so many.
BQ_TORCH_API at::Tensor unpackWords(const at::Tensor &words, int64_t bits, int64_t dim, int64_t count);

/// Pairs of 4-bit integers of the last dimension in bytes, two's complement, the first in the high nibble: [..., C] of
/// any integer type gives int8 [..., ceil(C / 2)], padded with 0. Throws where a value is outside of [-8, 7].
BQ_TORCH_API at::Tensor packNibbles(const at::Tensor &integers);
/// The inverse: int8 [..., columns].
BQ_TORCH_API at::Tensor unpackNibbles(const at::Tensor &bytes, int64_t columns);

/// Signs of all elements in row-major order in words of `bits` bits (8, 16, 32 or 64): bit j of word i is element
/// bits * i + j >= 0, least significant first, NaN and padding 0. 1-D, of type uint8, int16, int32 or int64.
BQ_TORCH_API at::Tensor packSigns(const at::Tensor &values, int64_t bits = 8);
/// The inverse: int8 [count] of 1 and -1.
BQ_TORCH_API at::Tensor unpackSigns(const at::Tensor &words, int64_t count);

} // namespace bq

#endif // BQ_QUANTIZERS_NBIT_PACKING_H
