// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ops of the layer and schedule levels that only training needs.
#ifndef BQ_DIALECT_BQTRAININGOPS_TD
#define BQ_DIALECT_BQTRAININGOPS_TD

include "dialect/BQTypes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

//===----------------------------------------------------------------------===//
// Fake quantization
//===----------------------------------------------------------------------===//

def BQ_FakeQuantizeOp : BQ_Op<"fake_quantize", [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "Rounds a tensor to the values that a format can have, and stays in floats";
  let description = [{
    Each row m has a scale of its own and, where given, a zero point. In f32, with `rint` to nearest, ties to even:

    ```
    def result(m, k):
      s = max(scale[m], 2^-126)
      return s * (clamp(rint(input[m, k] / s + zero[m]), low, high) - zero[m])
    ```

    `low` and `high` are the least and the greatest code of `format`: -2^(b-1) and 2^(b-1) - 1 for `int<b>`, 0 and
    2^b - 1 for `uint<b>`. For `sign` the result is `s` where `input >= 0` and `-s` where it is below. NaN stays NaN. The
    result is rounded once, to its element type.

    Constraints:

    - (C1) `format` is `int<b>`, `uint<b>` or `sign`, without a group size.
    - (C2) `shape(scale) = [dim(input, 0)]`.
    - (C3) `shape(zero) = [dim(input, 0)]` where given; `sign` has none.

    Example:
    ```mlir
    func.func @to_4_bits(%x: tensor<?x?xf32>, %s: tensor<?xf32>) -> tensor<?x?xf32> {
      %y = bq.fake_quantize %x, %s {format = #bq.format<"int4">} : tensor<?x?xf32>, tensor<?xf32>
      return %y : tensor<?x?xf32>
    }
    ```
  }];
  let arguments = (ins
    2DTensorOf<[BQ_Float]>:$input,
    1DTensorOf<[F32]>:$scale,
    Optional<1DTensorOf<[F32]>>:$zero,
    BQ_FormatAttr:$format,
    OptionalAttr<BQ_ScheduleAttr>:$schedule
  );
  let results = (outs 2DTensorOf<[BQ_Float]>:$result);
  let assemblyFormat = [{
    $input `,` $scale (`zero` `(` $zero^ `:` type($zero) `)`)? attr-dict `:` type($input) `,` type($scale)
  }];
  let hasVerifier = 1;
}

def BQ_FakeQuantizeGradOp : BQ_Op<"fake_quantize_grad", [Pure,
    AllTypesMatch<["input", "gradient", "inputGradient"]>, AllTypesMatch<["scale", "scaleGradient"]>]> {
  let summary = "The gradients of bq.fake_quantize by the straight-through estimator";
  let description = [{
    With respect to the input the rounding counts as the identity inside the range of the format and as a constant
    outside; with respect to the scale, that is the gradient of Esser et al. 2020 (LSQ), before its factor:

    ```
    t = input[m, k] / s + zero[m]              # s as in bq.fake_quantize
    q = clamp(rint(t), low, high)              # for sign: 1 where input >= 0, else -1; low = -1, high = 1
    inside = low <= t <= high
    inputGradient[m, k] = inside ? gradient[m, k] : 0
    scaleGradient[m] = sum over k of gradient[m, k] * (q - (inside ? t : zero[m]))
    ```

    The order of the sum is fixed: it is the same for any number of threads.

    Constraints: those of `bq.fake_quantize`.

    Example:
    ```mlir
    func.func @back(%g: tensor<?x?xf32>, %x: tensor<?x?xf32>, %s: tensor<?xf32>) -> (tensor<?x?xf32>, tensor<?xf32>) {
      %dx, %ds = bq.fake_quantize_grad %g, %x, %s {format = #bq.format<"int4">} : tensor<?x?xf32>, tensor<?xf32>
      return %dx, %ds : tensor<?x?xf32>, tensor<?xf32>
    }
    ```
  }];
  let arguments = (ins
    2DTensorOf<[BQ_Float]>:$gradient,
    2DTensorOf<[BQ_Float]>:$input,
    1DTensorOf<[F32]>:$scale,
    Optional<1DTensorOf<[F32]>>:$zero,
    BQ_FormatAttr:$format,
    OptionalAttr<BQ_ScheduleAttr>:$schedule
  );
  let results = (outs 2DTensorOf<[BQ_Float]>:$inputGradient, 1DTensorOf<[F32]>:$scaleGradient);
  let assemblyFormat = [{
    $gradient `,` $input `,` $scale (`zero` `(` $zero^ `:` type($zero) `)`)? attr-dict
    `:` type($input) `,` type($scale)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Optimizer steps
//===----------------------------------------------------------------------===//

def BQ_UpdateOp : BQ_Op<"update", [Pure]> {
  let summary = "One step of an optimizer on a weight";
  let description = [{
    In f32, for each element of the weight w with its gradient g and moments m and v. `options` are lr, correction,
    keep, beta1, 1 - beta1, beta2, 1 - beta2, eps, scale; correction is sqrt(1 - beta2^t) / (1 - beta1^t) in step t,
    keep is 1 - lr * weight decay.

    ```
    rate = bias_correction ? lr * correction : lr
    adam:           m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
                    w = (w - rate * m / max(sqrt(v) + eps, 2^-126)) * keep
    direction:      w = (w - rate * g) * keep
    sign_momentum:  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) lr sign(m)
                    w = v <= 0 ? 1 : -1
    ```

    The step is taken with m and v as they are stored. AdamW of Loshchilov and Hutter 2019 with decay before the step
    and eps beside the corrected root is `adam` too, with `eps * sqrt(1 - beta2^t)` for eps and `rate / keep` for rate.

    **Moments** are of type f32; or f16 or bf16, rounded up or down at random, so that their mean is exact, and v to no
    less than the least positive number where it is positive; or i8, `state` then being m, its scales, v, its scales, one
    f32 scale for each block of 256 columns of a row (of elements, for a weight of floats), all zeros at first. Code c of
    v is (1 + c % 8 / 8) * 2^(c / 8 - 31) times its scale, a power of two from 2^-95 times 1 - beta2: never 0, so that no step explodes. m
    is stored as m / (sqrt(v) + eps), which says the step itself, in integers times a scale of the block's greatest by
    127; for `sign_momentum`, m and v both are integers times such a scale. All are rounded at random: to nearest, a
    change of less than half a step, which is what a decay of 1 in 10000 is, would be lost each time.

    **Quantized weights.** w = scale * (code - zero), plus scale * residual / 256 where rounding is `residual`. With
    `scaling` `keep`, scales and zero points stay; with `group` they become those that `bq.quantize` gives the new
    weights (zero points of type f32 are not rounded); with `tensor` each row's scale becomes `options` scale, and the
    kernel has a first part that gives the greatest absolute value of each row. Codes are rounded to nearest; or, for
    `stochastic`, up or down at random; or to nearest with what is left over, in units of scale / 256, rounded at random
    to the residual.

    **Random numbers** are those of Philox4x32 with 7 rounds: key `counter[0..1]`. Column c of row r, or element
    1024 r + c, has word `c % 16 / 4` of the block of counter (c / 256 * 4 + c % 4, r, counter[2], stream), and to it is
    added, modulo 2^32, c % 256 / 16 times 0x9E379E37: columns 16 apart share a word, so that each number by itself is
    uniform and together they lie evenly. That of stream 0 is for the weight: its low half. That of stream 1 is for the
    moments: its low half for m, its high half for v, of which i8 takes four bits more. They do not depend on threads.

    Constraints:

    - (C1) `gradient` has the shape of the weight.
    - (C2) `state` holds no tensor for `direction`, else m and v, or m, scales, v, scales; then the residual where
      rounding is `residual`. Moments and residual have the shape of the weight, scales one element for each block.
    - (C3) `sign_momentum` is the rule of `sign` and of nothing else, with `nearest` and `keep`; other quantized weights
      are `int<b>` or `uint<b>`, and `tensor` takes `int<b>` without groups. `bias_correction` belongs to `adam`.
    - (C4) A weight of floats has `nearest` and `keep`.
    - (C5) Results have the types of the weight and of `state`.

    Example:
    ```mlir
    func.func @step(%w: tensor<?xf32>, %g: tensor<?xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?xf32>,
                    %v: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) {
      %r:3 = bq.update %w, %g, %o, %c, %m, %v {rule = #bq.update_rule<adam>, rounding = #bq.rounding<nearest>,
                                              scaling = #bq.scale_update<keep>, bias_correction}
        : (tensor<?xf32>, tensor<?xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?xf32>, tensor<?xf32>)
        -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
      return %r#0, %r#1, %r#2 : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>
    }
    ```
  }];
  let arguments = (ins
    AnyTypeOf<[1DTensorOf<[BQ_Float]>, BQ_WeightType]>:$weight,
    AnyTypeOf<[1DTensorOf<[BQ_Float]>, 2DTensorOf<[BQ_Float]>]>:$gradient,
    StaticShapeTensorOf<[F32]>:$options,
    StaticShapeTensorOf<[I32]>:$counter,
    Variadic<AnyTypeOf<[1DTensorOf<[BQ_Float, I8]>, 2DTensorOf<[BQ_Float, I8]>]>>:$state,
    BQ_UpdateRuleAttr:$rule,
    UnitAttr:$bias_correction,
    BQ_RoundingAttr:$rounding,
    BQ_ScaleUpdateAttr:$scaling,
    OptionalAttr<BQ_ScheduleAttr>:$schedule
  );
  let results = (outs
    AnyTypeOf<[1DTensorOf<[BQ_Float]>, BQ_WeightType]>:$newWeight,
    Variadic<AnyTypeOf<[1DTensorOf<[BQ_Float, I8]>, 2DTensorOf<[BQ_Float, I8]>]>>:$newState
  );
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
  let extraClassDeclaration = [{
    /// The quantized weight's type, or null for a weight of floats.
    ::bq::WeightType getPackedType();
    ::bq::MomentType getMomentType();
  }];
  let hasVerifier = 1;
}

#endif // BQ_DIALECT_BQTRAININGOPS_TD
