// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Writing tile-level IR for one CPU: constants, vectors, loops and element types.
#ifndef BQ_PASSES_CPU_KERNELBUILDER_H
#define BQ_PASSES_CPU_KERNELBUILDER_H

#include "dialect/core/CpuTarget.h"
#include "passes/Passes.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace bq {

/// An ImplicitLocOpBuilder with the vocabulary of kernels. Vectors have `lanes` 32-bit lanes.
class KernelBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;

  KernelBuilder(mlir::Location loc, mlir::OpBuilder &builder, const CpuTarget &target, int64_t lanes)
      : ImplicitLocOpBuilder(loc, builder), target(target), lanes(lanes) {}

  const CpuTarget &target;
  const int64_t lanes;

  // Types.
  mlir::VectorType vec(mlir::Type element, int64_t count) { return mlir::VectorType::get({count}, element); }
  mlir::VectorType i32s() { return vec(getI32Type(), lanes); }
  mlir::VectorType f32s() { return vec(getF32Type(), lanes); }
  mlir::VectorType bytes() { return vec(getI8Type(), 4 * lanes); }
  mlir::VectorType words() { return vec(getI16Type(), 2 * lanes); }
  mlir::VectorType bf16s() { return vec(getBF16Type(), 2 * lanes); }
  /// A raw pointer to elements of a type, of unknown shape; `view` gives it one.
  mlir::MemRefType pointer(mlir::Type element) { return mlir::MemRefType::get({}, element); }

  // Constants.
  Value index(int64_t value);
  Value i32(int64_t value);
  Value f32(float value);
  /// A splat in every lane of `type`; for integers the low bits of `value`.
  Value splat(mlir::VectorType type, int64_t value);
  Value splat(float value);
  Value zero(mlir::VectorType type);
  Value ints(mlir::ArrayRef<int32_t> values);

  // Index arithmetic, folded where both sides are constants.
  Value add(Value l, Value r);
  Value add(Value l, int64_t r) { return r ? add(l, index(r)) : l; }
  Value sub(Value l, Value r);
  Value mul(Value l, int64_t r);
  Value div(Value l, int64_t r);
  Value rem(Value l, int64_t r);
  Value min(Value l, Value r);
  Value max(Value l, Value r);

  // Memory.
  /// `pointer` as a buffer of this shape and row-major order with the given row stride (null = contiguous); dynamic
  /// sizes come from `sizes`.
  Value view(Value pointer, mlir::ArrayRef<int64_t> shape, ValueRange sizes = {}, Value rowStride = {});
  Value load(mlir::VectorType type, Value buffer, ValueRange at, int64_t alignment = 0);
  void store(Value vector, Value buffer, ValueRange at);
  Value loadScalar(Value buffer, ValueRange at);
  void storeScalar(Value value, Value buffer, ValueRange at);
  /// Asks for the cache line of an element that is used soon, or does not exist.
  void prefetch(Value buffer, ValueRange at);
  /// The scalar there, of 32 bits, as often as `type` has room for.
  Value broadcastLoad(mlir::VectorType type, Value buffer, ValueRange at);

  // Vectors.
  Value bitcast(mlir::Type type, Value value);
  /// `count` elements from `offset` on.
  Value slice(Value vector, int64_t offset, int64_t count);
  Value broadcast(Value scalar);
  Value broadcast(mlir::VectorType type, Value scalar);
  Value shiftRight(Value vector, int64_t bits);
  Value shiftLeft(Value vector, int64_t bits);
  Value bitAnd(Value vector, int64_t mask);
  Value bitOr(Value l, Value r);
  Value addI(Value l, Value r);
  Value subI(Value l, Value r);
  Value mulI(Value l, Value r);
  Value addF(Value l, Value r);
  Value subF(Value l, Value r);
  Value mulF(Value l, Value r);
  Value divF(Value l, Value r);
  /// a * b + c, rounded once where the CPU can.
  Value fma(Value a, Value b, Value c);
  Value toFloat(Value ints);
  /// A vector of f32 to the nearest i32, ties to even.
  Value roundToInt(Value floats);
  Value select(Value condition, Value yes, Value no);
  /// With AVX512VBMI, of 32 or 64 bytes: for each byte the eight bits of its quad of `data` that begin where the byte
  /// of `begins` says, counted in circles.
  Value extractBits(Value data, Value begins);

  /// f32, f16 or bf16 values as f32, and back with one rounding; scalars and vectors.
  Value extendFloat(Value value);
  Value truncateFloat(Value value, mlir::Type element);

  /// for i = begin to end step `step`, carrying values; the body gets i and the carried values and returns the next
  /// ones.
  mlir::SmallVector<Value> loop(Value begin, Value end, int64_t step, ValueRange initial,
                                mlir::function_ref<mlir::SmallVector<Value>(Value i, ValueRange carried)> body);
  void loop(Value begin, Value end, int64_t step, mlir::function_ref<void(Value i)> body);
  /// if condition then body.
  void when(Value condition, mlir::function_ref<void()> body);
};

/// An instruction that upstream dialects cannot say, by LLVM's name for it.
mlir::Value writeIntrinsic(mlir::ImplicitLocOpBuilder &b, llvm::StringRef name, mlir::Type result,
                           mlir::ValueRange operands);

} // namespace bq

#endif // BQ_PASSES_CPU_KERNELBUILDER_H
