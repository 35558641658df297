// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A weight in the order in which kernels for GPUs read it: what it is made of, and where that is in its memory.
#ifndef BQ_RUNTIME_CUDA_FRAGMENTWEIGHT_H
#define BQ_RUNTIME_CUDA_FRAGMENTWEIGHT_H

#include "codegen/KernelSpec.h"
#include "dialect/core/CudaAbi.h"
#include "dialect/core/FragmentLayout.h"
#include "runtime/Backend.h"

#include <vector>

namespace bq {

/// Every form of a table of `count` values (a power of two up to 16), shorter ones repeated.
void fillTable(cuda::WeightTable &table, const float *values, int count);

/// Describes one block of memory of a device: what a kernel (cuda::PrepackFn) writes, then what the host has to copy
/// there before. Holds nothing of the weight but the latter. Immutable.
class FragmentWeight {
public:
  /// `weight` has been verified. Of its memory only group index and table are read, and of the format `mixed` the
  /// scales and the levelsBegin() bytes that the codes begin with; the rest may be anywhere.
  explicit FragmentWeight(const CanonicalWeight &weight) : FragmentWeight(weight, 1) {}
  /// Of the format `mixed`: of several weights in one stream, each of as many rows as `weight`, which is the first.
  FragmentWeight(const CanonicalWeight &weight, int64_t groups);
  /// Such a weight, which lies in the memory of the first and has none of its own.
  FragmentWeight group(int64_t i) const;

  const Format &format() const { return weightFormat; }
  int64_t n() const { return rows; }
  int64_t k() const { return columns; }
  /// Only where n is positive.
  const FragmentLayout &layout() const { return order; }
  /// Those of the canonical weight.
  ElementType scaleType() const { return elementType; }
  ZeroPointType zeroType() const { return zeroPoints; }
  /// Of the kernel that writes it. None writes a weight of the format `mixed`.
  KernelSpec prepackSpec() const;

  /// All of the memory, which begins at a multiple of 64.
  int64_t bytes() const { return size; }
  /// Where in it something is, at a multiple of 64 bytes; without bytes where the weight has none of it.
  struct Part {
    int64_t offset = 0, bytes = 0;
    explicit operator bool() const { return bytes != 0; }
  };
  /// In the order of layout(); written by the kernel. For `mixed` as cuda::MixedLinearFn has them: no codes, which stay
  /// where they are, and all else is constants.
  Part codes, scales, zeros;
  Part columnScale; ///< f32 [k]; written by the kernel.
  Part permutation; ///< i32 [k]
  Part table;       ///< cuda::WeightTable; for `mixed` abi::MixedIndex, of each group
  /// Permutation and table, or all, the last of the memory, and the bytes to be copied there.
  Part constants;
  const std::vector<uint8_t> &constantBytes() const { return constantMemory; }

private:
  void describeMixed(const CanonicalWeight &weight, int64_t groups);
  Part reserve(int64_t bytes);

  Format weightFormat;
  int64_t rows, columns;
  FragmentLayout order;
  ElementType elementType;
  ZeroPointType zeroPoints;
  int64_t size = 0;
  std::vector<uint8_t> constantMemory;
};

} // namespace bq

#endif // BQ_RUNTIME_CUDA_FRAGMENTWEIGHT_H
