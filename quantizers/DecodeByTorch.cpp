// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/DecodeByTorch.h"

#include "quantizers/CodeRows.h"

using namespace bq;

at::Tensor bq::decodingTable(const Format &format) {
  const float *values = format.kind == Format::Kind::NF4 ? nf4Table : fp4Table;
  return at::from_blob(const_cast<float *>(values), {16}, at::kFloat).clone();
}

at::Tensor bq::decodeByTorch(const WeightTensors &weight, const Format &format, int64_t k) {
  const int64_t n = weight.codes.size(0);
  if (!n || !k)
    return at::empty({n, k}, weight.scales.options());
  const at::Tensor codes = unpackedByTorch(weight.codes, format.bits, k).to(at::kInt);
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
