// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/Gba.h"

#include "quantizers/Tensors.h"

using namespace bq;

namespace {

constexpr const char *op = "bq::decodeGba";

/// (code - zero) * scale as [G, N], for codes [G, N / D, D].
at::Tensor decode(const at::Tensor &codes, const char *what, const at::Tensor &zero, const at::Tensor &scale) {
  const int64_t blocks = codes.size(1), size = codes.size(2);
  auto constant = [&](const at::Tensor &tensor) {
    TORCH_CHECK(tensor.defined() && at::isFloatingType(tensor.scalar_type()), op, ": the codes of ", what,
                " need floating constants, a zero point and a scale");
    // Mode 1 has a constant for each output, whatever the blocks.
    const bool isPerOutput = tensor.dim() == 3 && tensor.size(1) == blocks * size && tensor.size(2) == 1;
    at::Tensor shaped = isPerOutput ? tensor.reshape({tensor.size(0), blocks, size}) : tensor;
    TORCH_CHECK(at::is_expandable_to(shaped.sizes(), codes.sizes()), op, ": the constants of ", what, " ",
                shapeText(tensor.sizes()), " do not fit codes ", shapeText(codes.sizes()), ": use [", codes.size(0),
                ", ", blocks, ", 1] or [1, ", blocks * size, ", 1]");
    return shaped;
  };
  return ((codes - constant(zero)) * constant(scale)).reshape({codes.size(0), blocks * size});
}

} // namespace

std::pair<at::Tensor, at::Tensor> bq::decodeGba(const GbaStatistics &statistics) {
  const bool hasBoth = statistics.statistic.defined();
  TORCH_CHECK(hasBoth != statistics.scales.defined(), op, ": expected either 'statistic' or 'scales', got ",
              hasBoth ? "both" : "neither");
  const at::Tensor &codes = hasBoth ? statistics.statistic : statistics.scales;
  TORCH_CHECK(codes.scalar_type() == at::kByte && codes.dim() == 3, op,
              ": expected codes of type Byte [G, N / D, D], got ", codes.scalar_type(), " ", shapeText(codes.sizes()));
  if (!hasBoth)
    return {decode(codes, "scales", statistics.scaleZeros, statistics.scaleScales), at::Tensor()};
  return {decode(at::bitwise_right_shift(codes, 4), "scales", statistics.scaleZeros, statistics.scaleScales),
          decode(at::bitwise_and(codes, 15), "zero points", statistics.zeroZeros, statistics.zeroScales)};
}
