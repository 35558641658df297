// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The pixels that a tile of output pixels reads, where they are in the images (abi::Conv2dGeometry).
#ifndef BQ_PASSES_CPU_DIRECTPIXELS_H
#define BQ_PASSES_CPU_DIRECTPIXELS_H

#include "passes/cpu/PatchGather.h"

namespace bq {

/// Made at the entry of a kernel, where it loads the geometry; then a line is started, then a tile of it, and for each
/// line of the kernel the pixels are read. A tile is LinearPlan::rows output pixels; the last of a line overlaps with
/// the one before it, and where a line is shorter, those beyond it count as they come out.
class DirectPixels {
public:
  /// How a tile reads.
  struct Kind {
    bool isDense;  ///< Neighbouring outputs and neighbouring taps read neighbouring pixels.
    bool isMasked; ///< Some of the pixels are padding.
  };

  /// `images`, `geometry`, `scale` (of activations) and `scratch` are arguments of abi::DirectConv2dFn; scratch is used
  /// from `scratchByte` on. `span`: channels that are read together.
  DirectPixels(KernelBuilder &b, const LinearPlan &plan, mlir::Value images, mlir::Value geometry, mlir::Value scale,
               mlir::Value scratch, int64_t scratchByte, int64_t span);

  static int64_t scratchBytes(const LinearPlan &plan);

  /// Output lines of all images.
  mlir::Value lines() { return b.mulI(batch, y.outSize); }
  mlir::Value outWidth() const { return x.outSize; }
  /// The scale of activations, or null.
  mlir::Value scale() const { return quantizer ? quantizer->scale() : mlir::Value(); }

  void startLine(mlir::Value line);
  /// Calls body once for each kind; the kernel chooses one of them.
  void startTile(mlir::Value tile, mlir::function_ref<void(Kind kind)> body);
  /// What body() makes of `before`, or `before` itself where line `tapLine` of the kernel meets nothing but zeros.
  mlir::SmallVector<mlir::Value> whereSeen(Kind kind, mlir::Value tapLine, mlir::ValueRange before,
                                           mlir::function_ref<mlir::SmallVector<mlir::Value>()> body);
  /// body(x, pixel, tap) for each output pixel of the tile and each tap in line `tapLine` of the kernel: `x` is what
  /// meets it, in f32, from channel `channel` on.
  void forEach(Kind kind, mlir::Value tapLine, mlir::Value channel,
               mlir::function_ref<void(mlir::Value x, int64_t pixel, int64_t tap)> body);
  /// Asks for what the same tile of the next output line will read anew, from channel `channel` on, where tiles are
  /// dense: a strip of the image is cut into pieces by its lines, and processors see no pattern in that.
  void prefetchNextLine(mlir::Value channel);
  /// Row of the result that pixel `pixel` of the tile is.
  mlir::Value result(mlir::Value line, mlir::Value pixel);

private:
  struct Axis {
    mlir::Value size, stride, outSize, multiply, divide, offset, step;
    mlir::Value isWhole; ///< There is nothing to divide.
  };
  /// A coordinate of the image as elements from its start, 0 where it is padding.
  struct Place {
    mlir::Value offset, isInside;
  };

  mlir::Value field(size_t offset);
  Axis axis(size_t size, size_t stride, size_t outSize, int64_t which);
  Place locate(const Axis &axis, mlir::Value out, mlir::Value tap);
  void keep(Place place, mlir::Value offsets, mlir::Value masks, mlir::Value at);
  void placeColumns(bool isDense);
  mlir::Value isInsideTile();
  mlir::Value load(mlir::Value at, mlir::Value mask);

  KernelBuilder &b;
  const LinearPlan &plan;
  const int64_t span;
  std::optional<StaticQuantizer> quantizer;
  mlir::Value images, geometry, batch, batchStride, padding, isDense;
  Axis y, x;
  mlir::Value lineOffsets, lineMasks;     ///< [kernel height] i64 and i32: elements from x, ones inside the image.
  mlir::Value columnOffsets, columnMasks; ///< The same of the tile's columns.
  mlir::Value allLines;                   ///< No line of the kernel lies outside the image.
  mlir::Value firstPixel;                 ///< Of the tile.
};

} // namespace bq

#endif // BQ_PASSES_CPU_DIRECTPIXELS_H
