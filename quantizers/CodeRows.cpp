// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/CodeRows.h"

#include "quantizers/Tensors.h"
#include "runtime/CodeBits.h"

#include <algorithm>

using namespace bq;

using at::Tensor;

namespace {

/// Calls run(row) for all rows of k codes, on LibTorch's threads.
template <typename Run>
void forEachRow(int64_t rows, int64_t k, Run run) {
  parallelFor(0, rows, std::max<int64_t>(1, (int64_t{1} << 16) / std::max<int64_t>(1, k)),
              [&](int64_t begin, int64_t end) {
                for (int64_t row = begin; row < end; ++row)
                  run(row);
              });
}

int64_t bytesOf(int64_t codes, int bits) { return (codes * bits + 7) / 8; }

} // namespace

Tensor bq::unpackedCodes(const Tensor &codes, int bits, int64_t k) {
  if (!codes.is_cpu())
    return unpackedByTorch(codes, bits, k);
  const Tensor rows = codes.contiguous(), result = at::empty({rows.size(0), k}, at::kByte);
  const uint8_t *from = rows.const_data_ptr<uint8_t>();
  uint8_t *to = result.mutable_data_ptr<uint8_t>();
  const int64_t rowBytes = rows.size(1);
  forEachRow(rows.size(0), k, [&](int64_t row) { unpackCodes(from + row * rowBytes, bits, k, to + row * k); });
  return result;
}

Tensor bq::packedCodes(const Tensor &codes, int bits) {
  if (!codes.is_cpu())
    return packedByTorch(codes, bits);
  const int64_t k = codes.size(1), rowBytes = bytesOf(k, bits);
  const Tensor result = at::empty({codes.size(0), rowBytes}, at::kByte);
  const uint8_t *from = codes.const_data_ptr<uint8_t>();
  uint8_t *to = result.mutable_data_ptr<uint8_t>();
  forEachRow(codes.size(0), k, [&](int64_t row) { packCodes(from + row * k, bits, k, to + row * rowBytes); });
  return result;
}

Tensor bq::unpackedByTorch(const Tensor &codes, int bits, int64_t k) {
  const Tensor bit = at::arange(k, codes.options().dtype(at::kLong)) * bits;
  const Tensor byte = bit.bitwise_right_shift(3), shift = bit.bitwise_and(7).to(at::kInt);
  // A code that ends in its row's last byte has nothing in the next.
  const Tensor next = (byte + 1).clamp_max(codes.size(1) - 1);
  const Tensor low = codes.index_select(1, byte).to(at::kInt), high = codes.index_select(1, next).to(at::kInt);
  return low.bitwise_or(high.bitwise_left_shift(8))
      .bitwise_right_shift(shift)
      .bitwise_and((1 << bits) - 1)
      .to(at::kByte);
}

Tensor bq::packedByTorch(const Tensor &codes, int bits) {
  const int64_t n = codes.size(0), k = codes.size(1), bytes = bytesOf(k, bits);
  const Tensor place = at::arange(8, codes.options());
  const Tensor each =
      codes.unsqueeze(2).bitwise_right_shift(place.slice(0, 0, bits)).bitwise_and_(1).view({n, k * bits});
  return at::constant_pad_nd(each, {0, bytes * 8 - k * bits})
      .view({n, bytes, 8})
      .bitwise_left_shift(place)
      .sum(2, /*keepdim=*/false, at::kByte);
}
