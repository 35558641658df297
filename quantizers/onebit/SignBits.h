// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The packing of signs in saved OneBit layers of OneCompression.
#ifndef BQ_QUANTIZERS_ONEBIT_SIGNBITS_H
#define BQ_QUANTIZERS_ONEBIT_SIGNBITS_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

namespace bq::onebit {

/// Signs of a matrix of any type, one bit each, in a uint8 tensor of one dimension: element i of the matrix in
/// row-major order, all rows as one stream, is bit 7 - i % 8 of byte i / 8, 1 where it is not negative. The last byte
/// is filled up with ones.
BQ_TORCH_API at::Tensor packSigns(const at::Tensor &matrix);

/// The inverse, int8 [rows, columns] of 1 and -1. Throws c10::Error where `packed` has not as many bytes as that needs.
BQ_TORCH_API at::Tensor unpackSigns(const at::Tensor &packed, int64_t rows, int64_t columns);

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_SIGNBITS_H
