// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Rows of canonical codes to one code in a byte, and back.
#ifndef BQ_RUNTIME_CODEBITS_H
#define BQ_RUNTIME_CODEBITS_H

#include <cstdint>

namespace bq {

/// The `count` codes of `bits` bits (1 to 8) of a canonical row, one to a byte, with the bits of `flip` inverted in
/// each. Reads only the row's own bytes.
void unpackCodes(const uint8_t *row, int bits, int64_t count, uint8_t *codes, uint8_t flip = 0);
/// The inverse for flip = 0; padding bits are zero.
void packCodes(const uint8_t *codes, int bits, int64_t count, uint8_t *row);

} // namespace bq

#endif // BQ_RUNTIME_CODEBITS_H
