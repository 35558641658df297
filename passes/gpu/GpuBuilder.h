// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Writing tile-level IR for one thread of a GPU: constants, arithmetic, memory, loops.
#ifndef BQ_PASSES_GPU_GPUBUILDER_H
#define BQ_PASSES_GPU_GPUBUILDER_H

#include "dialect/gpu/BQGPUDialect.h"
#include "passes/Passes.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace bq {

/// An ImplicitLocOpBuilder with the vocabulary of kernels for GPUs. Numbers of threads, rows and columns are i32,
/// offsets in memory i64. Arithmetic on constants is folded.
class GpuBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;

  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  /// A kernel of `threads` threads a block; the builder goes to the start of its body. The grid is (ceil(rows /
  /// rowsPerBlock), gridY, gridZ).
  struct Grid {
    int64_t threads = 128, rowsPerBlock = 1, y = 1, z = 1;
  };
  mlir::func::FuncOp kernel(llvm::StringRef name, mlir::TypeRange arguments, const Grid &grid);

  // Types.
  gpu::PtrType pointer(mlir::Type element, bool shared = false);
  /// Memory of 16-bit floats is memory of i16.
  gpu::PtrType floatPointer(mlir::Type element);
  mlir::VectorType vec(mlir::Type element, int64_t count) { return mlir::VectorType::get({count}, element); }

  // Constants.
  Value i32(int64_t value);
  Value i64(int64_t value);
  Value f32(float value);

  // Integers of one type.
  Value add(Value l, Value r);
  Value add(Value l, int64_t r) { return r ? add(l, constantLike(l, r)) : l; }
  Value sub(Value l, Value r);
  Value sub(Value l, int64_t r) { return add(l, -r); }
  Value mul(Value l, Value r);
  Value mul(Value l, int64_t r) { return r == 1 ? l : mul(l, constantLike(l, r)); }
  /// Of numbers that are not negative.
  Value div(Value l, int64_t r);
  Value rem(Value l, int64_t r);
  Value min(Value l, Value r);
  Value max(Value l, Value r);
  Value bitAnd(Value l, int64_t mask);
  Value bitOr(Value l, Value r);
  Value bitOr(Value l, int64_t mask) { return bitOr(l, constantLike(l, mask)); }
  Value bitXor(Value l, int64_t mask);
  Value shiftLeft(Value l, int64_t bits);
  /// Logical.
  Value shiftRight(Value l, int64_t bits);
  Value shiftRight(Value l, Value bits);
  /// Of a number with sign.
  Value shiftRightSigned(Value l, int64_t bits);
  /// By the positive count, or left by the negative one.
  Value shift(Value l, int64_t right) { return right >= 0 ? shiftRight(l, right) : shiftLeft(l, -right); }
  Value wide(Value narrow);         ///< i32 to i64, with sign.
  Value lessThan(Value l, Value r); ///< Signed.
  Value equal(Value l, Value r);
  Value both(Value l, Value r); ///< Of i1.

  // f32.
  Value addF(Value l, Value r);
  Value subF(Value l, Value r);
  Value mulF(Value l, Value r);
  Value divF(Value l, Value r);
  Value fma(Value a, Value b, Value c);
  Value negF(Value x);
  Value absF(Value x);
  Value minF(Value l, Value r); ///< Of numbers that are not NaN, as maxF().
  Value maxF(Value l, Value r);
  Value sqrtF(Value x); ///< Rounded to nearest.
  Value floorF(Value x);
  Value roundEven(Value x); ///< To an integer, ties to even.
  Value compareF(mlir::arith::CmpFPredicate predicate, Value l, Value r);
  Value toInt(Value f32);   ///< Signed, towards zero.
  Value toFloat(Value i32); ///< Signed.
  Value bits(Value f32);    ///< As i32.
  Value asFloat(Value i32); ///< The other way.
  Value select(Value condition, Value yes, Value no);

  // Memory. 8- and 16-bit integers come as i32 without sign.
  Value load(Value pointer, Value index);
  Value load(mlir::Type fragment, Value pointer, Value index, bool streamed = false);
  /// 32 bits that another block may have written.
  Value loadFresh(Value pointer, Value index);
  void store(Value value, Value pointer, Value index);
  /// An element of type f32, f16 or bf16 as f32, and back with one rounding. `pointer` is a floatPointer(element).
  Value loadFloat(mlir::Type element, Value pointer, Value index);
  void storeFloat(mlir::Type element, Value value, Value pointer, Value index);
  /// An f32 rounded to `element`, as f32.
  Value roundTo(mlir::Type element, Value value);
  /// Two f32 rounded to f16 or bf16, as one word: `low` in the lower half.
  Value roundPair(mlir::Type element, Value low, Value high);
  /// `count` elements in shared memory; made where the latest kernel begins.
  Value shared(mlir::Type element, int64_t count);

  // Fragments.
  Value pack(mlir::ValueRange elements);
  Value element(Value fragment, int64_t index);
  /// The fragment with this in every element.
  Value splat(Value element, int64_t count);

  // Control.
  /// for i = begin to end step `step`, i32, carrying values.
  mlir::SmallVector<Value> loop(Value begin, Value end, Value step, ValueRange initial,
                                mlir::function_ref<mlir::SmallVector<Value>(Value i, ValueRange carried)> body);
  void loop(Value begin, Value end, Value step, mlir::function_ref<void(Value i)> body);
  void when(Value condition, mlir::function_ref<void()> body, mlir::function_ref<void()> otherwise = nullptr);
  /// The value of `yes` or of `no`, of which one is done.
  Value choose(Value condition, mlir::function_ref<Value()> yes, mlir::function_ref<Value()> no);
  /// The same of several values.
  using Values = mlir::SmallVector<Value>;
  Values chooseAll(Value condition, mlir::function_ref<Values()> yes, mlir::function_ref<Values()> no);

  Value thread() { return gpu::ThreadOp::create(*this); }
  Value block(gpu::Dimension dimension) { return gpu::BlockOp::create(*this, dimension); }
  void barrier() { gpu::BarrierOp::create(*this); }
  Value shuffleXor(Value value, int64_t mask);
  /// combine() over all lanes of the warp, in every lane; combine() is associative and commutative.
  Value reduceWarp(Value value, mlir::function_ref<Value(Value, Value)> combine);
  /// The same over all `threads` threads of the block, by way of shared memory. Every thread must come here.
  Value reduceBlock(Value value, int64_t threads, mlir::function_ref<Value(Value, Value)> combine);

private:
  Value constantLike(Value value, int64_t constant);

  mlir::Block *entry = nullptr; ///< Of the latest kernel; what is nested is not yet part of it while it is written.
};

} // namespace bq

#endif // BQ_PASSES_GPU_GPUBUILDER_H
