// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A weight in the order in which this CPU's kernels read it.
#ifndef BQ_RUNTIME_CPU_CPUWEIGHT_H
#define BQ_RUNTIME_CPU_CPUWEIGHT_H

#include "dialect/core/CpuTarget.h"
#include "dialect/core/KernelAbi.h"
#include "dialect/core/Layout.h"
#include "runtime/AlignedBuffer.h"
#include "runtime/Backend.h"
#include "runtime/KernelTable.h"

#include <memory>
#include <vector>

namespace bq {

/// Every form of a table of `count` values (a power of two up to 16), shorter ones repeated.
void fillTable(abi::WeightTable &table, const float *values, int count);

/// Everything is in one allocation: codes, scales and zero points in the order of the layout, then table, permutation
/// and column scale, as KernelAbi.h describes them. Codes of a mixed weight that is given with their owner are not in
/// it: they stay where they are. Immutable but for the table of kernels.
class CpuWeight final : public PrepackedWeight {
public:
  /// `weight` has been verified. Parallel over blocks of rows. An error where memory runs out.
  static Expected<std::shared_ptr<const CpuWeight>> pack(const CanonicalWeight &weight, const CpuTarget &target,
                                                         ParallelFor parallel);

  const Format &format() const override { return weightFormat; }
  int64_t n() const override { return rows; }
  int64_t k() const override { return columns; }
  int64_t bytes() const override { return static_cast<int64_t>(storage.size()); }

  /// Only where n is positive; so are all below.
  const Layout &layout() const { return order; }
  const uint8_t *codes() const { return borrowed ? borrowed : storage.data(); }
  const void *scales() const { return storage.data() + scaleOffset; }
  /// Null where the format has none; so are the three below.
  const void *zeros() const { return at(zeroOffset); }
  const abi::WeightTable *table() const { return static_cast<const abi::WeightTable *>(at(tableOffset)); }
  const int32_t *permutation() const { return static_cast<const int32_t *>(at(permutationOffset)); }
  const float *columnScale() const { return static_cast<const float *>(at(columnScaleOffset)); }
  /// Whether that is of factors that the weight was given with its format.
  bool hasColumnFactors() const { return columnScaleOffset && !weightFormat.hasColumnScale(); }
  /// Of scales(): f32 where the target cannot convert what the weight has.
  ElementType scaleType() const { return elementType; }
  ZeroPointType zeroType() const { return zeroPoints; }
  /// The target that it was packed for; linear kernels are made for the same.
  const CpuTarget &target() const { return cpu; }

  /// What calls can vary beside the numbers of rows, columns and images (CpuLinear).
  struct CallKey {
    uint32_t call;
    int64_t kernelHeight, kernelWidth, groups;
    friend bool operator==(const CallKey &l, const CallKey &r) {
      return l.call == r.call && l.kernelHeight == r.kernelHeight && l.kernelWidth == r.kernelWidth &&
             l.groups == r.groups;
    }
  };
  /// Linear kernels met so far.
  KernelTable<CallKey> &kernels() const { return known; }

private:
  CpuWeight() = default;
  const void *at(size_t offset) const { return offset ? storage.data() + offset : nullptr; }
  Status allocate(const CanonicalWeight &weight, bool permuted);
  /// The rest of pack() for a mixed weight.
  static Expected<std::shared_ptr<const CpuWeight>> packMixed(std::shared_ptr<CpuWeight> packed,
                                                              const CanonicalWeight &weight);
  /// Where so many bytes go in an allocation that has `size` bytes before.
  static size_t reserve(size_t &size, size_t bytes);
  void packBlocks(const CanonicalWeight &weight, const std::vector<int32_t> &permutation, int64_t begin, int64_t end);

  Format weightFormat;
  int64_t rows = 0, columns = 0;
  CpuTarget cpu;
  Layout order;
  ElementType elementType = ElementType::F32;
  ZeroPointType zeroPoints = ZeroPointType::None;
  AlignedBuffer storage;
  const uint8_t *borrowed = nullptr; ///< Codes of a mixed weight in memory of their owner.
  std::shared_ptr<const void> owner;
  size_t scaleOffset = 0, zeroOffset = 0, tableOffset = 0, permutationOffset = 0, columnScaleOffset = 0;
  mutable KernelTable<CallKey> known;
};

} // namespace bq

#endif // BQ_RUNTIME_CPU_CPUWEIGHT_H
