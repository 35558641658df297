// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/DecodeByTorch.h"

using namespace bq;

at::Tensor bq::decodingTable(const Format &format) {
  const float *values = format.kind == Format::Kind::NF4 ? nf4Table : fp4Table;
  return at::from_blob(const_cast<float *>(values), {16}, at::kFloat).clone();
}

/// Codes as integers, [n, k], from their stream of bits.
static at::Tensor unpack(const at::Tensor &codes, int bits, int64_t k) {
  const at::Tensor bit = at::arange(k, codes.options().dtype(at::kLong)) * bits;
  const at::Tensor byte = bit.bitwise_right_shift(3), shift = bit.bitwise_and(7).to(at::kInt);
  // A code that ends in its row's last byte has nothing in the next.
  const at::Tensor next = (byte + 1).clamp_max(codes.size(1) - 1);
  const at::Tensor low = codes.index_select(1, byte).to(at::kInt), high = codes.index_select(1, next).to(at::kInt);
  return low.bitwise_or(high.bitwise_left_shift(8)).bitwise_right_shift(shift).bitwise_and((1 << bits) - 1);
}

at::Tensor bq::decodeByTorch(const WeightTensors &weight, const Format &format, int64_t k) {
  const int64_t n = weight.codes.size(0);
  if (!n || !k)
    return at::empty({n, k}, weight.scales.options());
  const at::Tensor codes = unpack(weight.codes, format.bits, k);
  const at::Tensor scales = weight.scales.to(at::kFloat);
  if (format.hasColumnScale())
    return ((codes * 2 - 1) * scales.slice(0, 0, n).unsqueeze(1) * scales.slice(0, n)).to(weight.scales.scalar_type());

  const at::Tensor group =
      at::arange(k, codes.options().dtype(at::kLong)).div(format.groupSize(k), /*rounding_mode=*/"floor");
  at::Tensor values;
  if (format.isTable()) {
    const at::Tensor table =
        format.kind == Format::Kind::Lut ? weight.zeros->to(at::kFloat) : decodingTable(format).to(codes.device());
    values = table.index_select(0, codes.flatten()).view({n, k});
  } else if (format.hasZeroPoints()) {
    values = codes - weight.zeros->to(at::kFloat).index_select(1, group);
  } else {
    values = at::where(codes.ge(1 << (format.bits - 1)), codes - (1 << format.bits), codes);
  }
  return (values * scales.index_select(1, group)).to(weight.scales.scalar_type());
}
