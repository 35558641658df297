// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ops of the layer level for weights that learn their bits by noise (DiffQ).
#ifndef BQ_DIALECT_BQDIFFQOPS_TD
#define BQ_DIALECT_BQDIFFQOPS_TD

include "dialect/BQTypes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def BQ_WeightRangeOp : BQ_Op<"weight_range", [Pure, AllTypesMatch<["lows", "highs"]>]> {
  let summary = "Least and greatest element of each chunk of a weight";
  let description = [{
    Chunk c holds elements 1024 c to 1024 c + 1023; `lows[c]` and `highs[c]` are its least and its greatest, in f32. Where
    an element is NaN or infinite, both are NaN.

    Constraints:

    - (C1) `lows` and `highs` have one element for each chunk.

    Example:
    ```mlir
    func.func @range(%w: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
      %low, %high = bq.weight_range %w : (tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>)
      return %low, %high : tensor<?xf32>, tensor<?xf32>
    }
    ```
  }];
  let arguments = (ins 1DTensorOf<[BQ_Float]>:$input, OptionalAttr<BQ_ScheduleAttr>:$schedule);
  let results = (outs 1DTensorOf<[F32]>:$lows, 1DTensorOf<[F32]>:$highs);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def BQ_DiffqNoiseOp : BQ_Op<"diffq_noise", [Pure, AllTypesMatch<["input", "noisy"]>]> {
  let summary = "A weight with noise of the size that rounding to a learned number of bits would cause";
  let description = [{
    Défossez, Adi, Synnaeve 2021. Groups of `group` elements, the last perhaps shorter, have `bits` of their own; where
    `group` is 0, all elements are one group. In f32, with the noise n of element e:

    ```
    noisy[e] = input[e] + scale / (2^bits[e / group] - 1) * n
    ```

    Random integers are those of Philox4x32 with `rounds` rounds: key `counter[0..1]`; element e has word `e % 64 / 16` of
    the block of counter (i mod 2^32, i / 2^32, counter[2], counter[3]), i = e / 64 * 16 + e % 16. They do not depend on
    threads. `uniform` noise is `(word >> 8) * 2^-24 - 1/2`. `gaussian` noise has standard deviation 1/2 and is made of the
    words of a block in pairs (Box and Muller 1958), words 0 and 1 to the noise of both, words 2 and 3 to that of both:

    ```
    r = sqrt(-log(((first >> 8) + 1) * 2^-24) / 2)
    a = pi * second * 2^-32                         # second taken as a signed number
    noise of the first element = r * sin(a)
    noise of the second = r * cos(a), negative where bit 0 of first is set
    ```

    Constraints:

    - (C1) `group` is 0 or more; `rounds` is 7 or 10.
    - (C2) `shape(scale) = [1]`, `shape(counter) = [4]`.
    - (C3) `bits` has one element for each group.

    Example:
    ```mlir
    func.func @noise(%w: tensor<?xf32>, %b: tensor<?xf32>, %s: tensor<1xf32>, %c: tensor<4xi32>) -> tensor<?xf32> {
      %n = bq.diffq_noise %w, %b, %s, %c {noise = #bq.noise<gaussian>, group = 8 : i64, rounds = 7 : i64}
        : (tensor<?xf32>, tensor<?xf32>, tensor<1xf32>, tensor<4xi32>) -> tensor<?xf32>
      return %n : tensor<?xf32>
    }
    ```
  }];
  let arguments = (ins
    1DTensorOf<[BQ_Float]>:$input,
    1DTensorOf<[F32]>:$bits,
    1DTensorOf<[F32]>:$scale,
    1DTensorOf<[I32]>:$counter,
    BQ_NoiseAttr:$noise,
    I64Attr:$group,
    I64Attr:$rounds,
    OptionalAttr<BQ_ScheduleAttr>:$schedule
  );
  let results = (outs 1DTensorOf<[BQ_Float]>:$noisy);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def BQ_DiffqNoiseGradOp : BQ_Op<"diffq_noise_grad", [Pure, AllTypesMatch<["bits", "bitsGradient"]>]> {
  let summary = "The gradients of bq.diffq_noise, with the noise made again";
  let description = [{
    The gradient with respect to the weight is `gradient` itself. In f32, with the noise n of `bq.diffq_noise`, and
    s = 1 / (2^bits[g] - 1):

    ```
    sum[g, c] = sum of gradient[e] * n[e] over the elements of group g in chunk c
    part[g, c] = -scale * ln(2) * s * (1 + s) * sum[g, c]      # d noisy / d bits
    bitsGradient[g] = part[g, c] of the chunk c that g begins in
    heads[c] = part[g, c] of the first group of c, where that begins before c, else 0
    scaleParts[c] = sum over g of s * sum[g, c]                # d noisy / d scale
    ```

    Chunks are those of `bq.weight_range`. Parts of groups that begin in an earlier chunk are for the caller to add. The
    order of sums is fixed: they are the same for any number of threads.

    Constraints: those of `bq.diffq_noise`, and

    - (C4) `heads` and `scaleParts` have one element for each chunk.

    Example:
    ```mlir
    func.func @back(%g: tensor<?xf32>, %b: tensor<?xf32>, %s: tensor<1xf32>, %c: tensor<4xi32>)
        -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) {
      %r:3 = bq.diffq_noise_grad %g, %b, %s, %c {noise = #bq.noise<uniform>, group = 0 : i64, rounds = 10 : i64}
        : (tensor<?xf32>, tensor<?xf32>, tensor<1xf32>, tensor<4xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
      return %r#0, %r#1, %r#2 : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>
    }
    ```
  }];
  let arguments = (ins
    1DTensorOf<[BQ_Float]>:$gradient,
    1DTensorOf<[F32]>:$bits,
    1DTensorOf<[F32]>:$scale,
    1DTensorOf<[I32]>:$counter,
    BQ_NoiseAttr:$noise,
    I64Attr:$group,
    I64Attr:$rounds,
    OptionalAttr<BQ_ScheduleAttr>:$schedule
  );
  let results = (outs 1DTensorOf<[F32]>:$bitsGradient, 1DTensorOf<[F32]>:$heads, 1DTensorOf<[F32]>:$scaleParts);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

#endif // BQ_DIALECT_BQDIFFQOPS_TD
