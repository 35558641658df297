// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Products with a weight of the format `mixed`, whose codes are read in their canonical order.
#ifndef BQ_PASSES_CPU_MIXEDLINEAR_H
#define BQ_PASSES_CPU_MIXEDLINEAR_H

#include "passes/cpu/LinearPlan.h"

#include "dialect/core/MixedIndex.h"

namespace bq {

/// Whether writeMixedStream() can: groups of whole bytes that fill vectors or are filled by them, none in two rows of
/// the weight, and instructions that take fields out of bytes. Else the reason in `reason`.
bool canStreamMixed(const Format &format, int64_t k, const CpuTarget &target, std::string &reason);

/// Groups of one width are done one after the other by code for that width: their columns are listed, then each step
/// decodes 64 codes and multiplies them with the activations of their columns.
void writeMixedStream(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers);
/// For one row of activations: groups of one width are done one after the other over a block of rows of the weight, so
/// that there are few loops and these are long.
void writeMixedBlocks(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers);
/// Whether writeMixedStream() leaves it to writeMixedBlocks().
bool hasMixedBlocks(const LinearPlan &plan);
int64_t mixedBlockBytes(const LinearPlan &plan);

/// Whether the CPU has AVX2 and groups are whole bytes, none in two rows of the weight. Else the reason in `reason`.
bool hasMixedBytes(const Format &format, int64_t k, const CpuTarget &target, std::string &reason);

/// Whether writeMixedGroups() can: hasMixedBytes(), and sums that fit. Else the reason in `reason`.
bool canGroupMixed(const Format &format, int64_t k, const CpuTarget &target, std::string &reason);
/// Group after group of a row is decoded in registers, by what is kept for its width, and meets the activations.
void writeMixedGroups(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers);
int64_t mixedGroupBytes(const LinearPlan &plan);

/// A few blocks of rows are decoded to bytes, in the order of a weight of 8 bits, and meet all rows of activations.
/// hasMixedBytes() holds.
void writeMixedPanel(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers);
int64_t mixedPanelBytes(const LinearPlan &plan);

/// A row is decoded to floats, eight codes at a time where the CPU has vectors of so many; these meet the activations.
void writeMixedReference(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers);
int64_t mixedReferenceBytes(const LinearPlan &plan);

/// Bytes of scratch for each thread, for all of them.
int64_t mixedScratchBytes(const LinearPlan &plan);

/// What all have in common: tasks, rows, and what becomes of sums.
///
/// With integer activations a weight is min + range * t, so that all of the least value is one product with the sum of
/// the activations: sums are over t alone. With floats they are over weights.
class MixedFrame {
public:
  MixedFrame(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers);

  /// The whole kernel. `sumRow` gives the plan's rows of sums (f32) of one row of the weight with the activations from
  /// row firstX on.
  void write(mlir::function_ref<mlir::SmallVector<mlir::Value>(mlir::Value row, mlir::Value firstX)> sumRow);

  /// The same where `sumTask` keeps the sums of all rows of a task.
  void writeTasks(mlir::function_ref<void(mlir::Value firstRow, mlir::Value rows, mlir::Value firstX)> sumTask);
  /// Keeps the sum of row `row` of the task with row `x` of the plan's rows of activations.
  void keep(int64_t x, mlir::Value row, mlir::Value sum);

  /// Begins with the first row of a task: sets positions().
  void beginTask(mlir::Value task);
  /// Bit, counted from the stream's beginning, where the next group of each width begins: i64 [widths].
  mlir::Value positions() const { return next; }
  /// The least width of a group, and the bits of the fields that say how much a width is above it: i64.
  mlir::Value leastWidth() const { return leastBits; }
  mlir::Value fieldBits() const { return field; }
  /// The part of the scratch for the algorithm's own use, from `offset` bytes on.
  mlir::Value scratch(mlir::Type element, mlir::ArrayRef<int64_t> shape, int64_t offset = 0);
  /// `count` activations (f32, or bytes or words of a plane) of row `x` from `column` of a segment on.
  mlir::Value activations(int64_t plane, mlir::Value segment, mlir::Value x, mlir::Value column, int64_t count);
  /// Vectors of one length, a power of two of them, one after the other.
  mlir::Value joined(mlir::ArrayRef<mlir::Value> pieces);
  /// Row of the stream that the weight begins with, as an index.
  mlir::Value streamRow(mlir::Value row);
  mlir::Value min() const { return least; }
  mlir::Value range() const { return spread; }
  /// What the least value adds to every sum of row `m`: with what the plan prepares of sums of activations.
  mlir::Value leastPart(mlir::Value m);

  /// Bytes in front of the algorithm's own.
  static int64_t frameBytes(const LinearPlan &plan);

private:
  void finish(mlir::Value firstRow, mlir::Value rows, mlir::Value firstX);

  KernelBuilder &b;
  const LinearPlan &plan;
  const LinearBuffers &buffers;
  const int64_t taskRows;
  mlir::Value kept; ///< [rows of x, rows of a task] f32
  mlir::Value next, least, spread, firstStreamRow, leastBits, field;
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDLINEAR_H
