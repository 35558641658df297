// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From activations as they are in memory to f32 rows: patches of images, and quantization with one scale.
#ifndef BQ_PASSES_CPU_PATCHGATHER_H
#define BQ_PASSES_CPU_PATCHGATHER_H

#include "passes/cpu/LinearPlan.h"

namespace bq {

/// The greatest of `most` and |v|, lane by lane, as bits: their order is that of the values, with infinity and NaN
/// above all.
mlir::Value maxMagnitude(KernelBuilder &b, mlir::Value most, mlir::Value v);

/// Quantizes f32 values, a vector or one, to the codes of `bits` bits that activations with one scale have.
class StaticQuantizer {
public:
  StaticQuantizer(KernelBuilder &b, int64_t bits, mlir::Value scale) : b(b), bits(bits), oneScale(scale) {}

  /// The codes in f32; NaN stays NaN.
  mlir::Value quantize(mlir::Value v);
  /// f32, as it was given.
  mlir::Value scale() const { return oneScale; }

private:
  KernelBuilder &b;
  int64_t bits;
  mlir::Value oneScale;
};

/// Copies the patch of an output pixel to f32 words (abi::Conv2dGeometry). Made at the entry of a kernel, where it
/// loads the geometry.
class PatchGather {
public:
  /// `images`: pointer to x. `quantizer` may be null and outlives this.
  PatchGather(KernelBuilder &b, const LinearPlan &plan, mlir::Value images, mlir::Value geometry,
              StaticQuantizer *quantizer);

  /// Words that a patch takes, with those that a copy may write beyond it.
  static int64_t words(const LinearPlan &plan) { return plan.layout.k + width; }

  /// Writes the patch of output pixel `pixel` to `words` from `base` on; maxMagnitude() of `most` and all of it.
  mlir::Value gather(mlir::Value pixel, mlir::Value words, int64_t base, mlir::Value most);

private:
  static constexpr int64_t width = Layout::segmentAlign;

  /// A coordinate before its division: quotient and remainder.
  struct Coordinate {
    mlir::Value quotient, remainder;
  };
  struct Axis {
    mlir::Value size, stride, multiply, divide, offset;
    mlir::Value bias; ///< Added to quotients, so that what is divided is not negative.
    Coordinate tapStep;
  };

  mlir::Value field(size_t offset);
  Axis axis(size_t size, size_t stride, int64_t which);
  mlir::Value biasFor(mlir::Value least, mlir::Value divisor);
  Coordinate divided(mlir::Value numerator, mlir::Value divisor, mlir::Value bias);
  Coordinate start(const Axis &axis, mlir::Value pixel);
  Coordinate next(const Axis &axis, Coordinate at);
  mlir::Value isInside(const Axis &axis, Coordinate at);
  mlir::Value gatherLine(mlir::Value line, mlir::Value to, Coordinate x, mlir::Value words, mlir::Value most);
  mlir::Value gatherPixels(mlir::Value line, mlir::Value to, Coordinate left, mlir::Value words, mlir::Value most);
  mlir::Value copyRun(int64_t count, mlir::Value from, mlir::Value to, mlir::Value words, mlir::Value most);
  mlir::Value copyVector(mlir::Value from, mlir::Value to, mlir::Value words, mlir::Value most);
  mlir::Value copyFew(int64_t count, mlir::Value from, mlir::Value to, mlir::Value words, mlir::Value most);
  void fill(mlir::Value to, int64_t count, mlir::Value words);
  mlir::Value orElse(mlir::Value condition, mlir::Value most, mlir::function_ref<mlir::Value()> yes,
                     mlir::function_ref<void()> no);

  KernelBuilder &b;
  const LinearPlan &plan;
  StaticQuantizer *quantizer;
  mlir::Value images, geometry, outHeight, outWidth, batchStride, padding;
  mlir::Value isDense; ///< Taps are neighbours in memory.
  Axis y, x;
};

} // namespace bq

#endif // BQ_PASSES_CPU_PATCHGATHER_H
