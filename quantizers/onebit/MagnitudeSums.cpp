// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/MagnitudeSums.h"

#include "quantizers/Tensors.h"

#include <algorithm>

using namespace bq;
using namespace bq::onebit;

using at::Tensor;

MagnitudeSums bq::onebit::magnitudeSums(const Tensor &weight, Magnitude magnitude, const Tensor &rowFactors,
                                        const Tensor &columnFactors, RowStep step, double floor) {
  constexpr const char *op = "magnitudeSums";
  if (!weight.is_cpu())
    return magnitudeSumsByTorch(weight, magnitude, rowFactors, columnFactors, step, floor);
  Tensor rowWeights = rowFactors.to(at::kFloat).contiguous(), columnWeights = columnFactors.to(at::kFloat).contiguous();
  Tensor rows = at::empty({weight.size(0)}), next = at::empty({weight.size(0)});
  MagnitudeSums sums;
  sums.columns = at::empty({weight.size(1)}, at::kDouble);
  MagnitudeSumsArgs args;
  args.n = weight.size(0);
  args.k = weight.size(1);
  args.weight = weight.const_data_ptr<float>();
  args.stride = weight.size(1);
  args.square = magnitude == Magnitude::Square;
  args.divide = step == RowStep::Divide;
  args.floor = static_cast<float>(floor);
  args.rowFactors = rowWeights.const_data_ptr<float>();
  args.columnFactors = columnWeights.const_data_ptr<float>();
  args.rows = rows.mutable_data_ptr<float>();
  args.next = next.mutable_data_ptr<float>();
  args.columns = sums.columns.mutable_data_ptr<double>();
  check(op, backend(op).magnitudeSums(args, parallelFor));
  sums.rows = rows.to(at::kDouble);
  sums.next = next.to(at::kDouble);
  return sums;
}

MagnitudeSums bq::onebit::magnitudeSumsByTorch(const Tensor &weight, Magnitude magnitude, const Tensor &rowFactors,
                                               const Tensor &columnFactors, RowStep step, double floor) {
  constexpr int64_t elementsAtOnce = int64_t{1} << 22;
  const int64_t n = weight.size(0), k = weight.size(1);
  const int64_t rowsAtOnce = std::max<int64_t>(1, elementsAtOnce / std::max<int64_t>(1, k));
  MagnitudeSums sums{at::empty_like(rowFactors), at::empty_like(rowFactors), at::zeros_like(columnFactors)};
  for (int64_t first = 0; first < n; first += rowsAtOnce) {
    auto part = [&](const Tensor &tensor) { return tensor.slice(0, first, first + rowsAtOnce); };
    Tensor values = part(weight).to(at::kDouble);
    values = magnitude == Magnitude::Square ? values.square_() : values.abs_();
    const Tensor factors = part(rowFactors), rows = factors * at::mv(values, columnFactors);
    const Tensor next = step == RowStep::Divide ? factors / rows.clamp_min(floor) : factors * rows;
    part(sums.rows).copy_(rows);
    part(sums.next).copy_(next);
    sums.columns.addmv_(values.t(), next);
  }
  return sums;
}
