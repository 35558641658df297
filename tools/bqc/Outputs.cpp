// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Outputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

using namespace bq;
using namespace bq::cli;

namespace {

std::string sizes(const at::Tensor &tensor) { return fmt::format("[{}, {}]", tensor.size(0), tensor.size(1)); }

Status checkFinite(const at::Tensor &rows, const char *model) {
  const at::Tensor finite = rows.isfinite().all(1);
  if (finite.all().item<bool>())
    return {};
  return invalidArgument(fmt::format("row {} of the outputs of {} is not finite; outputs are compared where both are",
                                     finite.logical_not().nonzero()[0].item<int64_t>(), model));
}

/// Rows scaled to length one; rows of zeros stay.
at::Tensor directions(const at::Tensor &rows) { return rows / rows.norm(2, 1, true).clamp_min(1e-300); }

/// Indices [count, 10] of the nearest rows of each of the rows [begin, begin + count), without itself.
at::Tensor nearest(const at::Tensor &unit, int64_t begin, int64_t count) {
  at::Tensor similarity = unit.narrow(0, begin, count).matmul(unit.t());
  similarity.diagonal(begin).fill_(-2);
  return std::get<1>(similarity.topk(10, 1));
}

double neighbourOverlap(const at::Tensor &a, const at::Tensor &b) {
  constexpr int64_t block = 512;
  int64_t same = 0;
  for (int64_t begin = 0; begin < a.size(0); begin += block) {
    const int64_t count = std::min(block, a.size(0) - begin);
    const at::Tensor left = nearest(a, begin, count), right = nearest(b, begin, count);
    same += left.unsqueeze(2).eq(right.unsqueeze(1)).sum().item<int64_t>();
  }
  return static_cast<double>(same) / static_cast<double>(10 * a.size(0));
}

} // namespace

Expected<at::Tensor> cli::differentiableRows(const c10::IValue &result) {
  if (result.isTensor()) {
    const at::Tensor tensor = result.toTensor().to(at::kCPU, at::kDouble);
    return tensor.dim() < 2 ? tensor.reshape({1, -1}) : tensor.reshape({-1, tensor.size(-1)});
  }
  if (result.isTuple() && !result.toTupleRef().elements().empty())
    return differentiableRows(result.toTupleRef().elements()[0]);
  if (result.isList() && !result.toListRef().empty())
    return differentiableRows(result.toListRef()[0]);
  if (result.isGenericDict() && !result.toGenericDict().empty())
    return differentiableRows(result.toGenericDict().begin()->value());
  return invalidArgument(fmt::format("the result is of type {}, expected a tensor or a collection that begins with one",
                                     result.tagKind()));
}

Expected<at::Tensor> cli::outputRows(const c10::IValue &result) {
  Expected<at::Tensor> rows = differentiableRows(result);
  return rows ? Expected<at::Tensor>(rows->detach()) : rows;
}

Expected<Agreement> cli::compareRows(const at::Tensor &a, const at::Tensor &b) {
  if (a.sizes() != b.sizes())
    return invalidArgument(
        fmt::format("the outputs of A are {} and those of B {}; both must have the same rows", sizes(a), sizes(b)));
  if (a.size(0) == 0)
    return invalidArgument("the outputs have no rows");
  if (Status status = checkFinite(a, "A"); !status)
    return status.error();
  if (Status status = checkFinite(b, "B"); !status)
    return status.error();

  const at::Tensor unitA = directions(a), unitB = directions(b);
  const at::Tensor bothZero = a.eq(0).all(1).logical_and(b.eq(0).all(1));
  const at::Tensor cosine = (unitA * unitB).sum(1).masked_fill(bothZero, 1.0);
  Agreement agreement;
  agreement.rows = a.size(0);
  agreement.meanCosine = cosine.mean().item<double>();
  agreement.minCosine = cosine.min().item<double>();
  agreement.maxAbsError = a.numel() ? (a - b).abs().max().item<double>() : 0;
  if (a.size(0) >= 12 && a.size(0) <= Agreement::maxNeighbourRows)
    agreement.top10 = neighbourOverlap(unitA, unitB);
  return agreement;
}
