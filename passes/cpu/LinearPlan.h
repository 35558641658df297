// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the kernels of one scheduled bq.linear or bq.conv2d have in common, and the functions that write them.
#ifndef BQ_PASSES_CPU_LINEARPLAN_H
#define BQ_PASSES_CPU_LINEARPLAN_H

#include "passes/cpu/KernelBuilder.h"

namespace bq {

struct LinearPlan {
  /// The form of the converted activations, and so of the products. Fixed point of a row: bytes, or two planes of
  /// them; words of as many bits as those two, or two planes of words, which have all bits of a float that is no less
  /// than 1/64 of the row's greatest.
  enum class Form { F32, BF16, I8, I16, Words, TwoWords };

  Format format;
  Layout layout;
  Activation activation = Activation::None;
  bool hasBias = false, permuted = false;
  bool hasColumnScale = false;             ///< Columns of x are multiplied by scales of the format, or by factors.
  int64_t staticBits = 0;                  ///< Of activations quantized with one scale; 0 where they are not.
  int64_t patchHeight = 0, patchWidth = 0; ///< Where a row is a patch of an image, else 0.
  int64_t groups = 1;                      ///< Of a convolution whose kernel takes them all.
  bool hasPaddedRows = false;              ///< The panel may have rows beyond those of x.
  bool isPanel = false;                    ///< Weights are decoded for many rows of x.
  mlir::Type dataType, scaleType;
  ZeroPointType zero = ZeroPointType::None;
  Form form = Form::F32;
  /// bf16 asked for on a CPU without its dot product, for a mixed weight but as a panel, or for all groups of a
  /// convolution: activations rounded to bf16 take part in f32 products, which are exact.
  bool roundToBF16 = false;
  /// Of each 32 columns the panel has those at even places first, then those at odd ones, as MixedDecoder has codes.
  bool isDeinterleaved = false;
  int64_t rows = 0, vectors = 0; ///< Of the schedule.

  /// `layer` has a schedule.
  static LinearPlan get(ProductLayer layer, const CpuTarget &target);

  bool hasPatches() const { return patchHeight > 0; }
  /// Channels of an image, of those that one kernel sees.
  int64_t channels() const { return layout.k / (patchHeight * patchWidth); }
  bool isInteger() const { return form != Form::F32 && form != Form::BF16; }
  bool hasWords() const { return form == Form::Words || form == Form::TwoWords; }
  /// Rows of the panel are a multiple of this.
  int64_t rowMultiple() const;
  /// Activations are this many planes of bytes or words, most significant first; 1 for float forms.
  int64_t activationPlanes() const { return form == Form::I16 || form == Form::TwoWords ? 2 : 1; }
  /// Activations in 32 bits of the panel.
  int64_t perWord() const { return form == Form::F32 ? 1 : form == Form::BF16 || hasWords() ? 2 : 4; }
  /// 32-bit words of one row's segment, in one plane.
  int64_t segmentWords() const { return layout.segmentSize / perWord(); }
  /// Largest magnitude in fixed point: 127, what two planes of 7 and 8 bits hold, or of two words, whose lower one is
  /// signed, what leaves their sums a bit.
  float fixedPointMax() const { return form == Form::I8 ? 127.0f : form == Form::TwoWords ? 0x1p30f : 127.0f * 128.0f; }
  /// What sums count a unit of fixed point as. Two words: so that the row's scale is a power of two that floats have.
  float fixedPointUnit() const { return form == Form::TwoWords ? 0x1p-29f : 1.0f; }
  /// What one in each plane, the most significant first, is in sums.
  llvm::SmallVector<float> planeUnits() const;
  /// Zero point that all codes of the format share (int stores value + 2^(bits-1)); 0 where there is none.
  int64_t staticZero() const { return format.kind == Format::Kind::Int ? int64_t(1) << (format.bits - 1) : 0; }
  /// Whether kernels read the sums of activations: for zero points, and for the least value of a mixed weight.
  bool readsSums() const;

  /// The type that results are stored as: of 16-bit floats their bits, since a masked store of floats that the CPU
  /// lacks would convert them.
  mlir::Type storageType(mlir::Builder &b) const { return dataType.isF32() ? dataType : mlir::Type(b.getI16Type()); }
  /// Element types of the panel's data (32-bit words, or f32) and sums.
  mlir::Type dataWordType(mlir::Builder &b) const {
    return form == Form::F32 ? mlir::Type(b.getF32Type()) : b.getI32Type();
  }
  mlir::Type sumType(mlir::Builder &b) const {
    return isInteger() && form != Form::TwoWords ? mlir::Type(b.getI32Type()) : b.getF32Type();
  }
};

/// Buffers of a kernel with the signature abi::LinearFn, as views of known shape.
struct LinearBuffers {
  mlir::Value codes;     ///< [blocks, segments, bytes] i8
  mlir::Value scales;    ///< [blocks, segments, lanes]
  mlir::Value zeros;     ///< [blocks, segments, lanes], or null
  mlir::Value table;     ///< bytes of abi::WeightTable, or null
  mlir::Value bias;      ///< [n] f32, or null
  mlir::Value data;      ///< [planes, segments, rows, words]
  mlir::Value sums;      ///< [segments, rows]
  mlir::Value rowScales; ///< [rows] f32
  mlir::Value y;         ///< [m, n]
  mlir::Value scratch;   ///< pointer to f32
  mlir::Value m, paddedRows, begin, end;
};

/// Writes abi::PrepareFn. `func` has its arguments and an empty body.
void writePrepareActivations(KernelBuilder &b, const LinearPlan &plan, mlir::func::FuncOp func);

/// The kernels, one for each algorithm; tasks are blocks of `vectors` blocks of rows of the weight.
void writeStreamLinear(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers);
void writePanelLinear(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers);
void writeReferenceLinear(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers);

/// Height of the lowest tile, for the rows that others of a panel leave; a panel's rows are padded to a multiple of it.
constexpr int64_t panelRowMultiple = 2;
/// Rows that a mixed weight meets at a time where any number is given.
constexpr int64_t mixedRowMultiple = 8;

/// Columns of LinearPlan::isDeinterleaved.
constexpr int64_t deinterleavedColumns = 32;

/// Bytes of scratch for each thread.
int64_t prepareScratchBytes(const LinearPlan &plan);
int64_t streamScratchBytes(const LinearPlan &plan);
int64_t panelScratchBytes(const LinearPlan &plan);

/// The sum of one vector of results, in units of the fixed point where there is one, to y[m, column..]: scale, bias,
/// activation, rounding, and a store that leaves alone what lies beyond column n.
void writeEpilogue(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers, mlir::Value sum,
                   mlir::Value rowScale, mlir::Value m, mlir::Value column);
/// What `rowScale` is for row m: value of one unit of the sum in every lane, or null where that is 1.
mlir::Value writeRowScale(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers, mlir::Value m);

} // namespace bq

#endif // BQ_PASSES_CPU_LINEARPLAN_H
