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

    With words (i16), two products a lane of signed numbers; sums wrap around:

    ```
    result[i] = accumulator[i] + weights[2 i] * activations[2 i] + weights[2 i + 1] * activations[2 i + 1]
    ```

    With bf16, two products a lane, added in f32 in an order that is not specified; denormals may be taken as zero.

    Constraints:

    - (C1) `accumulator` has i32 lanes for bytes and words and f32 lanes for bf16, and the operands four bytes or two
      others for each.
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
    VectorOfRankAndType<[1], [I8, I16, BF16]>:$weights,
    VectorOfRankAndType<[1], [I8, I16, BF16]>:$activations,
    DefaultValuedAttr<I64Attr, "255">:$max
  );
  let results = (outs VectorOfRankAndType<[1], [I32, F32]>:$result);
  let assemblyFormat = "$accumulator `,` $weights `,` $activations attr-dict `:` type($accumulator) `,` type($weights)";
  let extraClassDeclaration = [{
    /// Whether the operands are bytes or words, else they are bf16.
    bool isInteger();
    /// Whether the operands are words.
    bool isOfWords();
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

def BQ_PhiloxOp : BQ_Op<"philox", [Pure, AllTypesMatch<["c0", "c1", "c2", "c3", "r0", "r1", "r2", "r3"]>]> {
  let summary = "Random numbers from a counter, in every lane";
  let description = [{
    Philox4x32 of Salmon et al. 2011 ("Parallel random numbers: as easy as 1, 2, 3"): 128 random bits that depend on
    nothing but the counter and the key, so that they are the same in every order of work. One round, in integers of 32
    bits:

    ```
    (c0, c1, c2, c3) = (high(0xCD9E8D57 c2) ^ c1 ^ k0, low(0xCD9E8D57 c2), high(0xD2511F53 c0) ^ c3 ^ k1, low(0xD2511F53 c0))
    k0 += 0x9E3779B9; k1 += 0xBB67AE85
    ```

    10 rounds are its authors' safe choice; 7 are the fewest that pass every test they know.

    Constraints:

    - (C1) `rounds` is between 1 and 16.

    Example:
    ```mlir
    func.func @bits(%c: vector<16xi32>, %k0: i32, %k1: i32) -> vector<16xi32> {
      %r:4 = bq.philox %c, %c, %c, %c, %k0, %k1 {rounds = 7} : vector<16xi32>
      return %r#0 : vector<16xi32>
    }
    ```
  }];
  let arguments = (ins
    AnyTypeOf<[I32, VectorOfRankAndType<[1], [I32]>]>:$c0,
    AnyTypeOf<[I32, VectorOfRankAndType<[1], [I32]>]>:$c1,
    AnyTypeOf<[I32, VectorOfRankAndType<[1], [I32]>]>:$c2,
    AnyTypeOf<[I32, VectorOfRankAndType<[1], [I32]>]>:$c3,
    I32:$k0, I32:$k1,
    I64Attr:$rounds
  );
  let results = (outs
    AnyTypeOf<[I32, VectorOfRankAndType<[1], [I32]>]>:$r0,
    AnyTypeOf<[I32, VectorOfRankAndType<[1], [I32]>]>:$r1,
    AnyTypeOf<[I32, VectorOfRankAndType<[1], [I32]>]>:$r2,
    AnyTypeOf<[I32, VectorOfRankAndType<[1], [I32]>]>:$r3
  );
  let assemblyFormat = "$c0 `,` $c1 `,` $c2 `,` $c3 `,` $k0 `,` $k1 attr-dict `:` type($c0)";
  let hasVerifier = 1;
}

#endif // BQ_DIALECT_BQTILEOPS_TD
