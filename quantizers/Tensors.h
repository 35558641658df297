// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The border between tensors and the runtime: types, checks of canonical tensors, errors as c10::Error.
#ifndef BQ_QUANTIZERS_TENSORS_H
#define BQ_QUANTIZERS_TENSORS_H

#include "dialect/core/Format.h"
#include "dialect/core/Types.h"
#include "runtime/Backend.h"

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bq {

/// Throws c10::Error with "`op`: " and the error's text.
[[noreturn]] void raise(const char *op, const Error &error);
/// Throws where `status` failed.
inline void check(const char *op, const Status &status) {
  if (!status)
    raise(op, status.error());
}
/// The value, or throws.
template <typename T>
T take(const char *op, Expected<T> value) {
  if (!value)
    raise(op, value.error());
  return std::move(*value);
}

/// The compiled backend of the CPU; throws where there is none.
Backend &backend(const char *op);
/// at::parallel_for.
void parallelFor(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)> &body);

at::ScalarType scalarType(ElementType type);
/// Throws, naming `what`, where the type is none of float, half and bfloat16.
ElementType elementType(const char *op, const char *what, at::ScalarType type);

/// A matrix's sizes as [2, 3].
std::string shapeText(at::IntArrayRef sizes);
/// Throws where `tensor` is on another device than `device`; the text names both.
void checkDevice(const char *op, const char *what, const at::Tensor &tensor, at::Device device);

/// A weight's tensors in canonical form, as operators take and PackedWeight holds them.
struct WeightTensors {
  at::Tensor codes;                     ///< uint8 [N, rowBytes(K)]; mixed: one stream
  at::Tensor scales;                    ///< [N, groupCount(K)]; sign: [N + K]; mixed: float [2]
  std::optional<at::Tensor> zeros;      ///< [N, groupCount(K)]; lut: the table, [2^bits]; else none or empty
  std::optional<at::Tensor> groupIndex; ///< int32 [K]
  /// What is made of them is held by whom they are held by, and so may keep them.
  bool isHeld = false;

  /// The tensors that are there.
  std::vector<at::Tensor> all() const;
  /// The same on a device, where the copy is complete when this returns.
  WeightTensors to(at::Device device) const;
};

/// Checks types, shapes and devices for a weight [codes.size(0), k] without reading data, but of mixed the number of
/// weights that its codes begin with; symbolic shapes become constants. Returns N. Throws, giving the shape expected
/// and the shape got.
int64_t checkWeight(const char *op, const WeightTensors &weight, const Format &format, int64_t k);
/// The same of a mixed weight without reading any data, so that nothing is known of its rows.
void checkMixedTensors(const char *op, const WeightTensors &weight, const Format &format);

/// A CanonicalWeight and what keeps its memory alive.
struct BorrowedWeight {
  CanonicalWeight view;
  std::vector<at::Tensor> keep;
};
/// Copies only tensors that are not contiguous, or of a type that the runtime does not read. The weight must have
/// passed checkWeight(). What is prepacked of a mixed weight keeps the codes where they are held, and there is room
/// behind them (withSlack()); else it copies them.
BorrowedWeight borrow(const WeightTensors &weight, const Format &format, int64_t k);

/// Codes of a mixed weight with memory behind them that kernels may read: the same tensor where there is such, else a
/// copy. It holds zeros.
at::Tensor withSlack(const at::Tensor &codes);

} // namespace bq

#endif // BQ_QUANTIZERS_TENSORS_H
