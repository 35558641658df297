// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ops of the tile level: what kernels need of a machine and upstream dialects cannot say.
#ifndef BQ_DIALECT_BQTILEOPS_TD
#define BQ_DIALECT_BQTILEOPS_TD

include "dialect/BQBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def BQ_DotOp : BQ_Op<"dot", [Pure, AllTypesMatch<["accumulator", "result"]>,
                             AllTypesMatch<["weights", "activations"]>]> {
  let summary = "Dot products inside each 32-bit lane, added to an accumulator";
  let description = [{
    With bytes, four products a lane; `weights` are unsigned, at most `max`, `activations` are signed:

    ```
    result[i] = accumulator[i] + sum over j in 0..3 of weights[4 i + j] * activations[4 i + j]
    ```

    With bf16, two products a lane, added in f32 in an order that is not specified; denormals may be taken as zero.

    Constraints:

    - (C1) `accumulator` has i32 lanes for bytes and f32 lanes for bf16, and the operands four or two elements for each.
    - (C2) `max` is between 1 and 255 for bytes.

    Example:
    ```mlir
    func.func @dot(%acc: vector<16xi32>, %w: vector<64xi8>, %x: vector<64xi8>) -> vector<16xi32> {
      %r = bq.dot %acc, %w, %x {max = 15} : vector<16xi32>, vector<64xi8>
      return %r : vector<16xi32>
    }
    ```
  }];
  let arguments = (ins
    VectorOfRankAndType<[1], [I32, F32]>:$accumulator,
    VectorOfRankAndType<[1], [I8, BF16]>:$weights,
    VectorOfRankAndType<[1], [I8, BF16]>:$activations,
    DefaultValuedAttr<I64Attr, "255">:$max
  );
  let results = (outs VectorOfRankAndType<[1], [I32, F32]>:$result);
  let assemblyFormat = "$accumulator `,` $weights `,` $activations attr-dict `:` type($accumulator) `,` type($weights)";
  let extraClassDeclaration = [{
    /// Whether the operands are bytes, else they are bf16.
    bool isInteger();
  }];
  let hasVerifier = 1;
}

def BQ_LookupOp : BQ_Op<"lookup", [Pure]> {
  let summary = "Table lookup in every lane";
  let description = [{
    `result[i] = table[indices[i]]`. Of an index the lowest four bits are used (five for a table of 32 words); for tables
    of bytes the other bits are zero.

    Constraints:

    - (C1) `table` is 16 x i8, 32 x i16 or 16 x f32, and `indices` are i8, i16 or i32 accordingly.
    - (C2) `result` has the element type of `table` and as many lanes as `indices`.

    Example:
    ```mlir
    func.func @lookup(%table: vector<16xf32>, %codes: vector<16xi32>) -> vector<16xf32> {
      %r = bq.lookup %table, %codes : vector<16xf32>, vector<16xi32> -> vector<16xf32>
      return %r : vector<16xf32>
    }
    ```
  }];
  let arguments = (ins
    VectorOfRankAndType<[1], [I8, I16, F32]>:$table,
    VectorOfRankAndType<[1], [I8, I16, I32]>:$indices
  );
  let results = (outs VectorOfRankAndType<[1], [I8, I16, F32]>:$result);
  let assemblyFormat = "$table `,` $indices attr-dict `:` type($table) `,` type($indices) `->` type($result)";
  let hasVerifier = 1;
}

#endif // BQ_DIALECT_BQTILEOPS_TD
