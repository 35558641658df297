// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Rows of a `mixed` weight as those of a weight of 8 bits, with AVX2.
#ifndef BQ_PASSES_CPU_MIXEDBYTES_H
#define BQ_PASSES_CPU_MIXEDBYTES_H

#include "passes/cpu/MixedRecords.h"

namespace bq {

/// Decodes a few blocks of rows at a time to bytes in the order of Layout: the codes, or where some of them are longer
/// the lower bytes of all and the upper bytes beside them. Scales are 1 / (2^width - 1), of upper bytes 256 times that.
/// For groups that hasMixedBytes() accepts.
class MixedBytes {
public:
  /// The plan for a product with the bytes. Task 0 are codes, or lower bytes; task 1 upper ones. Every segment is a
  /// group, none is padded, and there are no zero points.
  static LinearPlan planOf(const LinearPlan &plan);
  /// Bytes of scratch; the constructor's `offset` is what lies before them.
  static int64_t scratchBytes(const LinearPlan &plan);

  MixedBytes(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers, MixedFrame &frame, int64_t offset);

  /// `buffers` with the codes and scales of the bytes.
  LinearBuffers buffersOf(const LinearBuffers &buffers) const;
  /// Begins with the first row of a task.
  void begin(mlir::Value task);
  /// Decodes rows [first, first + rows) of the weight, which follow those before; how many tasks they are.
  mlir::Value decode(mlir::Value first, mlir::Value rows);

private:
  using Value = mlir::Value;

  /// Scratch, in bytes.
  struct Places {
    int64_t rowGroups; ///< Groups of a row.
    int64_t rowBytes;  ///< From a row of a block to the next, before they are put in order.
    int64_t groups, scales, rows, ordered, end;
    Places(const LinearPlan &plan, int64_t offset);
  };
  using Group = MixedRecords::Group;

  void decodeRow(Value row, Value block, Value lane);
  void decodeGroup(const Group &group, Value to);
  void decodeNarrow(const Group &group, Value to);
  void decodeInts(const Group &group, Value to);
  void overGroup(int64_t step, const Group &group, Value to, mlir::function_ref<void(Value at, Value to)> decode);
  void order(Value from, Value block);
  /// Where upper bytes of a block begin.
  int64_t upperRows() const { return lanes * places.rowBytes; }

  KernelBuilder &b;
  const LinearBuffers &buffers;
  MixedFrame &frame;
  const LinearPlan bytes;
  const int64_t lanes, size; ///< Of a vector, of a group.
  const MixedRecords::Narrow narrow;
  const Places places;
  MixedRecords records;
  Value groups;  ///< i32 [rows, rowGroups], the record of each, and what is left of eight
  Value scales;  ///< f32 [blocks, segments, lanes]
  Value rows;    ///< i8 [2, lanes, rowBytes]: a block row by row, lower and upper bytes
  Value ordered; ///< i32 [blocks, k / 4, lanes]
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDBYTES_H
