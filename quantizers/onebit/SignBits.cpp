// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/SignBits.h"

using at::Tensor;

namespace {

Tensor bitValues() { return at::tensor({128, 64, 32, 16, 8, 4, 2, 1}, at::kByte); }

} // namespace

Tensor bq::onebit::packSigns(const Tensor &matrix) {
  Tensor bits = matrix.ge(0).flatten().to(at::kByte);
  bits = at::constant_pad_nd(bits, {0, (8 - bits.numel() % 8) % 8}, 1);
  return at::sum(bits.view({-1, 8}) * bitValues(), 1, /*keepdim=*/false, at::kByte);
}

Tensor bq::onebit::unpackSigns(const Tensor &packed, int64_t rows, int64_t columns) {
  TORCH_CHECK(rows >= 0 && columns >= 0, "unpackSigns: the shape [", rows, ", ", columns, "] has a negative size");
  const int64_t count = rows * columns, bytes = (count + 7) / 8;
  TORCH_CHECK(packed.scalar_type() == at::kByte && packed.dim() == 1 && packed.numel() == bytes, "unpackSigns: ", rows,
              " x ", columns, " signs are uint8 [", bytes, "], got ", packed.scalar_type(), " ", packed.sizes());
  Tensor bits = packed.unsqueeze(1).bitwise_and(bitValues()).ne(0).flatten().slice(0, 0, count);
  return (bits.to(at::kChar) * 2 - 1).view({rows, columns});
}
