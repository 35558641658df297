// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ops that choose how a weight is quantized.
#ifndef BQ_DIALECT_BQQUANTIZEROPS_TD
#define BQ_DIALECT_BQQUANTIZEROPS_TD

include "dialect/BQTypes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def BQ_MagnitudeSumsOp : BQ_Op<"magnitude_sums", [Pure, AllTypesMatch<["rowFactors", "rows", "next"]>]> {
  let summary = "Weighted sums of the magnitudes of a weight's rows, and of its columns";
  let description = [{
    One read of the weight, for power iteration (`next = factor * sum`) and, with `divide`, for balancing rows and
    columns (Sinkhorn and Knopp 1967). With e the absolute values of `input`, or with `square` their squares, in f32:

    ```
    rows[n] = rowFactors[n] * sum over k of e[n, k] * columnFactors[k]
    next[n] = divide ? rowFactors[n] / max(rows[n], floor) : rowFactors[n] * rows[n]
    partials[c, k] = sum over n in 64 c .. 64 c + 63 of next[n] * e[n, k]
    ```

    Constraints:

    - (C1) `input` has a static number of columns, K.
    - (C2) `shape(rowFactors) = [dim(input, 0)]`, `shape(columnFactors) = [K]`, `shape(floor) = [1]`.
    - (C3) `partials` is `[ceil(dim(input, 0) / 64), K]`, dynamic where `input` has dynamic rows.

    Example:
    ```mlir
    func.func @power(%w: tensor<?x384xf32>, %r: tensor<?xf32>, %c: tensor<384xf32>, %f: tensor<1xf32>)
        -> (tensor<?xf32>, tensor<?xf32>, tensor<?x384xf32>) {
      %sums:3 = bq.magnitude_sums %w, %r, %c, %f
        : (tensor<?x384xf32>, tensor<?xf32>, tensor<384xf32>, tensor<1xf32>)
        -> (tensor<?xf32>, tensor<?xf32>, tensor<?x384xf32>)
      return %sums#0, %sums#1, %sums#2 : tensor<?xf32>, tensor<?xf32>, tensor<?x384xf32>
    }
    ```
  }];
  let arguments = (ins
    2DTensorOf<[BQ_Float]>:$input,
    1DTensorOf<[F32]>:$rowFactors,
    1DTensorOf<[F32]>:$columnFactors,
    1DTensorOf<[F32]>:$floor,
    UnitAttr:$square,
    UnitAttr:$divide,
    OptionalAttr<BQ_ScheduleAttr>:$schedule
  );
  let results = (outs 1DTensorOf<[F32]>:$rows, 1DTensorOf<[F32]>:$next, 2DTensorOf<[F32]>:$partials);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

#endif // BQ_DIALECT_BQQUANTIZEROPS_TD
