// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Rows that are read and written sixteen columns at a time, and whose last step is shorter.
#ifndef BQ_PASSES_CPU_ROWMEMORY_H
#define BQ_PASSES_CPU_ROWMEMORY_H

#include "passes/cpu/KernelBuilder.h"

#include <functional>

namespace bq {

/// Columns of a step.
constexpr int64_t rowStep = 16;

/// Loads and stores of a step that touch no memory but the row's. Made at the start of a function, where its stack is.
class RowMemory {
public:
  explicit RowMemory(KernelBuilder &b) : b(b) {}

  /// A buffer on the stack: `count` elements.
  mlir::Value onStack(mlir::Type element, int64_t count);
  /// Where the elements of a step that is cut short are kept meanwhile; asked for once for each type, before any loop.
  void prepare(mlir::Type element);

  /// body(column, count) for each step of [0, columns), an index: count is null for sixteen columns, else an index.
  void forEachStep(mlir::Value columns, llvm::function_ref<void(mlir::Value column, mlir::Value count)> body);
  /// The same with a value that each step gets from the one before; gives the last.
  mlir::Value
  forEachStep(mlir::Value columns, mlir::Value initial,
              llvm::function_ref<mlir::Value(mlir::Value column, mlir::Value count, mlir::Value carried)> body);
  /// The same with values that each step takes from the one before, and leaves for the next; gives the last.
  using Carried = llvm::SmallVector<mlir::Value>;
  Carried forEachStep(mlir::Value columns, mlir::ValueRange initial,
                      llvm::function_ref<void(mlir::Value column, mlir::Value count, Carried &carried)> body);
  /// Steps that give sixteen i32, whose low bytes are stored to `buffer` from `at` on, less `offset`: an i8, or null.
  struct ByteSteps {
    mlir::Value buffer, at;
    Carried carried;
    std::function<mlir::Value(mlir::Value column, mlir::Value count, Carried &carried)> step;
    mlir::Value offset;
  };
  /// Does them, several at once where the CPU gathers bytes of several vectors; leaves what they carry last in
  /// `carried`. Meanwhile the bytes that are `ahead` of those stored are asked for.
  void storeBytes(mlir::Value columns, mlir::Value ahead, ByteSteps &steps);
  int64_t stepsAtOnce() const { return b.target.has(CpuTarget::AVX512VBMI) ? 4 : 1; }
  /// The bytes of one step, or of stepsAtOnce(), that have this number in their lanes: 0 for the lowest, up to 3.
  mlir::Value bytesOf(mlir::ArrayRef<mlir::Value> steps, int64_t number = 0);

  /// `lanes` elements of a 1-D buffer from `at` on, of which `count` are the row's where it is not null; the others are
  /// zero.
  mlir::Value load(mlir::Type element, mlir::Value buffer, mlir::Value at, mlir::Value count, int64_t lanes = rowStep);
  void store(mlir::Value vector, mlir::Value buffer, mlir::Value at, mlir::Value count);

private:
  mlir::Value tempFor(mlir::Type element);

  KernelBuilder &b;
  llvm::SmallVector<std::pair<mlir::Type, mlir::Value>> temps;
};

} // namespace bq

#endif // BQ_PASSES_CPU_ROWMEMORY_H
