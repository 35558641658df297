// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/MagnitudeSums.h"

#include "quantizers/Tensors.h"

using namespace bq;
using namespace bq::onebit;

using at::Tensor;

MagnitudeSums bq::onebit::magnitudeSums(const Tensor &weight, Magnitude magnitude, const Tensor &rowFactors,
                                        const Tensor &columnFactors, RowStep step, double floor) {
  constexpr const char *op = "magnitudeSums";
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
