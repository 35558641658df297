// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A weight in the order in which kernels for GPUs read it, in the host's memory.
#ifndef BQ_RUNTIME_CUDA_FRAGMENTWEIGHT_H
#define BQ_RUNTIME_CUDA_FRAGMENTWEIGHT_H

#include "dialect/core/CudaAbi.h"
#include "dialect/core/FragmentLayout.h"
#include "runtime/AlignedBuffer.h"
#include "runtime/Backend.h"

#include <vector>

namespace bq {

/// Every form of a table of `count` values (a power of two up to 16), shorter ones repeated.
void fillTable(cuda::WeightTable &table, const float *values, int count);

/// One block of memory, to be copied to a device as it is: codes, scales and zero points in the order of the layout,
/// then table, permutation and column scale, as CudaAbi.h describes them. Immutable.
class FragmentWeight {
public:
  /// `weight` has been verified. Parallel over blocks of rows. An error where memory runs out.
  static Expected<FragmentWeight> pack(const CanonicalWeight &weight, ParallelFor parallel);

  const Format &format() const { return weightFormat; }
  int64_t n() const { return rows; }
  int64_t k() const { return columns; }
  /// Only where n is positive.
  const FragmentLayout &layout() const { return order; }
  /// Those of the canonical weight.
  ElementType scaleType() const { return elementType; }
  ZeroPointType zeroType() const { return zeroPoints; }

  const uint8_t *data() const { return storage.data(); }
  int64_t bytes() const { return static_cast<int64_t>(storage.size()); }
  /// Where in data() something is, at a multiple of 64 bytes; without bytes where the weight has none of it.
  struct Part {
    int64_t offset = 0, bytes = 0;
    explicit operator bool() const { return bytes != 0; }
  };
  Part codes, scales, zeros;
  Part table;       ///< cuda::WeightTable
  Part permutation; ///< i32 [k]
  Part columnScale; ///< f32 [k]

private:
  FragmentWeight() = default;
  Status allocate(bool permuted);
  void packBlocks(const CanonicalWeight &weight, const std::vector<int32_t> &columnOrder, int64_t begin, int64_t end);

  Format weightFormat;
  int64_t rows = 0, columns = 0;
  FragmentLayout order;
  ElementType elementType = ElementType::F32;
  ZeroPointType zeroPoints = ZeroPointType::None;
  AlignedBuffer storage;
};

} // namespace bq

#endif // BQ_RUNTIME_CUDA_FRAGMENTWEIGHT_H
