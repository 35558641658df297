// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ops of the layer and schedule levels.
#ifndef BQ_DIALECT_BQOPS_TD
#define BQ_DIALECT_BQOPS_TD

include "dialect/BQTypes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

def BQ_EmbeddingOp : BQ_Op<"embedding", [Pure]> {
  let summary = "Rows of a quantized weight, dequantized";
  let description = [{
    Computes `result[i, k] = W(indices[i], k)`. Indices outside `[0, N)` are the caller's error and are not checked here.

    Constraints:

    - (C1) `result` is `[dim(indices, 0), K]` of the weight's scale type.

    Example:
    ```mlir
    func.func @words(%i: tensor<?xi64>, %w: !bq.weight<?x384, "int8", f32>) -> tensor<?x384xf32> {
      %y = bq.embedding %i, %w : (tensor<?xi64>, !bq.weight<?x384, "int8", f32>) -> tensor<?x384xf32>
      return %y : tensor<?x384xf32>
    }
    ```
  }];
  let arguments = (ins 1DTensorOf<[I64]>:$indices, BQ_WeightType:$weight, OptionalAttr<BQ_ScheduleAttr>:$schedule);
  let results = (outs 2DTensorOf<[BQ_Float]>:$result);
  let assemblyFormat = [{
    $indices `,` $weight attr-dict `:` `(` type($indices) `,` qualified(type($weight)) `)` `->` type($result)
  }];
  let hasVerifier = 1;
}

def BQ_QuantizeOp : BQ_Op<"quantize", [Pure]> {
  let summary = "Quantizes a float weight to canonical codes, scales and zero points";
  let description = [{
    For each row and each group of it, in f32, with `rint` to nearest, ties to even:

    - `int<b>`: `scale = max|w| / (2^(b-1) - 1)`, `code = rint(w / scale)`.
    - `uint<b>`: `low = min(w, 0)`, `high = max(w, 0)`, `scale = (high - low) / (2^b - 1)`, `zero = rint(-low / scale)`,
      `code = rint(w / scale) + zero`.
    - `nf4`: `scale = max|w|`; `fp4`: `scale = max|w| / 6`; `code` is the nearest entry to `w / scale`, ties to the lower code.
    - `sign`: `code = 1` where `w >= 0`; the scales are the caller's.
    - `mixed`: `level = rint((w - min) / (max - min) * (2^b - 1))`; the range and the bits of each group are the caller's.

    Codes are computed with the scale as stored and clamped to the format's range. A group of zeros gets scale 1 and codes
    that decode to 0.

    Constraints:

    - (C1) `input` has the shape of the weight.
    - (C2) the format is not `lut`, whose table comes from the caller.
    - (C3) zero points are `u8`.

    Example:
    ```mlir
    func.func @quantize(%x: tensor<?x384xf32>) -> !bq.weight<?x384, "int4:g32", f16> {
      %w = bq.quantize %x : tensor<?x384xf32> -> !bq.weight<?x384, "int4:g32", f16>
      return %w : !bq.weight<?x384, "int4:g32", f16>
    }
    ```
  }];
  let arguments = (ins 2DTensorOf<[BQ_Float]>:$input, OptionalAttr<BQ_ScheduleAttr>:$schedule);
  let results = (outs BQ_WeightType:$weight);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` qualified(type($weight))";
  let hasVerifier = 1;
}

def BQ_DequantizeOp : BQ_Op<"dequantize", [Pure]> {
  let summary = "The float weight that canonical codes stand for";
  let description = [{
    Computes `result[n, k] = W(n, k)` in f32, rounded once to the scale type.

    Constraints:

    - (C1) `result` has the shape and the scale type of the weight.

    Example:
    ```mlir
    func.func @dequantize(%w: !bq.weight<?x384, "nf4:g64", bf16>) -> tensor<?x384xbf16> {
      %x = bq.dequantize %w : !bq.weight<?x384, "nf4:g64", bf16> -> tensor<?x384xbf16>
      return %x : tensor<?x384xbf16>
    }
    ```
  }];
  let arguments = (ins BQ_WeightType:$weight, OptionalAttr<BQ_ScheduleAttr>:$schedule);
  let results = (outs 2DTensorOf<[BQ_Float]>:$result);
  let assemblyFormat = "$weight attr-dict `:` qualified(type($weight)) `->` type($result)";
  let hasVerifier = 1;
}

def BQ_PrepackOp : BQ_Op<"prepack", [Pure, AllTypesMatch<["weight", "result"]>]> {
  let summary = "A weight in the order in which products on GPUs read it";
  let description = [{
    The same weight: its codes, scales and zero points leave the canonical order for `order` (`#bq.fragments`). Each
    block of rows, each segment and each group of scales is filled up with zeros. Codes of `int<b>` become
    `code + 2^(b-1)`, so that none is negative. The scales of columns of `sign` become f32.

    With `permuted`, column k of `result` is column `permutation[k]` of `weight`, a permutation that the caller of the
    kernel supplies: columns in the order of their groups (GPTQ's activation order).

    Constraints:

    - (C1) `order` is the one of this format and this number of columns.

    Example:
    ```mlir
    func.func @prepack(%w: !bq.weight<?x384, "int4:g128", f16>) -> !bq.weight<?x384, "int4:g128", f16> {
      %p = bq.prepack %w {order = #bq.fragments<planes = [4], segment = 128, padded = 128>}
        : !bq.weight<?x384, "int4:g128", f16>
      return %p : !bq.weight<?x384, "int4:g128", f16>
    }
    ```
  }];
  let arguments = (ins
    BQ_WeightType:$weight,
    BQ_FragmentsAttr:$order,
    UnitAttr:$permuted,
    OptionalAttr<BQ_ScheduleAttr>:$schedule
  );
  let results = (outs BQ_WeightType:$result);
  let assemblyFormat = "$weight attr-dict `:` qualified(type($weight))";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// What follows a layer
//===----------------------------------------------------------------------===//

def BQ_AddBiasOp : BQ_Op<"add_bias", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "Adds a bias to every row, or to every channel of images";
  let description = [{
    Computes `result[m, n] = input[m, n] + bias[n]`, or `result[b, n, y, x] = input[b, n, y, x] + bias[n]`.

    Constraints:

    - (C1) `shape(bias) = [dim(input, 1)]`.

    Example:
    ```mlir
    func.func @bias(%x: tensor<?x64xf32>, %b: tensor<64xf32>) -> tensor<?x64xf32> {
      %y = bq.add_bias %x, %b : tensor<?x64xf32>, tensor<64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins AnyTypeOf<[2DTensorOf<[BQ_Float]>, 4DTensorOf<[BQ_Float]>]>:$input, 1DTensorOf<[F32]>:$bias);
  let results = (outs AnyTypeOf<[2DTensorOf<[BQ_Float]>, 4DTensorOf<[BQ_Float]>]>:$result);
  let assemblyFormat = "$input `,` $bias attr-dict `:` type($input) `,` type($bias)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def BQ_ActivateOp : BQ_Op<"activate", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "Applies an activation, element by element";
  let description = [{
    Computes `result = activation(input)` (`#bq.activation`). NaN stays NaN.

    Example:
    ```mlir
    func.func @silu(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %y = bq.activate %x {activation = #bq.activation<silu>} : tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins TensorOf<[BQ_Float]>:$input, BQ_ActivationAttr:$activation);
  let results = (outs TensorOf<[BQ_Float]>:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasFolder = 1;
}

#endif // BQ_DIALECT_BQOPS_TD
