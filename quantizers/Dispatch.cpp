// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Dispatch.h"

#include <ATen/core/dispatch/Dispatcher.h>

using namespace bq;

using at::Tensor;

template <typename Function>
static c10::TypedOperatorHandle<Function> find(const char *name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Function>();
}

Tensor dispatch::linear(const Tensor &x, const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                        const OptionalTensor &bias, c10::string_view format, c10::string_view compute,
                        c10::string_view activation, const OptionalTensor &groupIndex) {
  static const auto op =
      find<Tensor(const Tensor &, const Tensor &, const Tensor &, const OptionalTensor &, const OptionalTensor &,
                  c10::string_view, c10::string_view, c10::string_view, const OptionalTensor &)>("bq::linear");
  return op.call(x, codes, scales, zeros, bias, format, compute, activation, groupIndex);
}

Tensor dispatch::embedding(const Tensor &indices, const Tensor &codes, const Tensor &scales,
                           const OptionalTensor &zeros, c10::string_view format, int64_t dim) {
  static const auto op =
      find<Tensor(const Tensor &, const Tensor &, const Tensor &, const OptionalTensor &, c10::string_view, int64_t)>(
          "bq::embedding");
  return op.call(indices, codes, scales, zeros, format, dim);
}

Tensor dispatch::linearPacked(const Tensor &x, const PackedPtr &weight, const OptionalTensor &bias,
                              c10::string_view compute, c10::string_view activation) {
  static const auto op =
      find<Tensor(const Tensor &, const PackedPtr &, const OptionalTensor &, c10::string_view, c10::string_view)>(
          "bq::linear_packed");
  return op.call(x, weight, bias, compute, activation);
}

Tensor dispatch::embeddingPacked(const Tensor &indices, const PackedPtr &weight) {
  static const auto op = find<Tensor(const Tensor &, const PackedPtr &)>("bq::embedding_packed");
  return op.call(indices, weight);
}

Tensor dispatch::dequantize(const Tensor &codes, const Tensor &scales, const OptionalTensor &zeros,
                            const Format &format, at::IntArrayRef shape, const OptionalTensor &groupIndex,
                            std::optional<at::ScalarType> type) {
  static const auto op =
      find<Tensor(const Tensor &, const Tensor &, const OptionalTensor &, c10::string_view, at::IntArrayRef)>(
          "bq::dequantize");
  if (!groupIndex && !type)
    return op.call(codes, scales, zeros, format.str(), shape);
  Tensor scales32 = scales.to(at::kFloat);
  at::ScalarType resultType = type.value_or(scales.scalar_type());
  if (!groupIndex || format.hasColumnScale())
    return op.call(codes, scales32, zeros, format.str(), shape).to(resultType);

  // Kernels that go row by row take groups in order: get the bare code or table values with one unit scale for a row,
  // then scale each column with its own group.
  Format wholeRow = format;
  wholeRow.group = 0;
  Tensor column = scales32.slice(1, 0, 1);
  OptionalTensor noZeros = format.hasZeroPoints() ? at::zeros_like(column) : zeros;
  Tensor values = op.call(codes, at::ones_like(column), noZeros, wholeRow.str(), shape);
  if (format.hasZeroPoints())
    values = values - zeros->to(at::kFloat).index_select(1, *groupIndex);
  return (values * scales32.index_select(1, *groupIndex)).to(resultType);
}
