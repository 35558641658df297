// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers that are products with a quantized weight.
#ifndef BQ_DIALECT_BQPRODUCTOPS_TD
#define BQ_DIALECT_BQPRODUCTOPS_TD

include "dialect/BQInterfaces.td"
include "dialect/BQTypes.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class BQ_ProductOp<string mnemonic> : BQ_Op<mnemonic, [Pure, AttrSizedOperandSegments, BQ_ProductLayer]> {
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
  let extraClassDeclaration = [{
    // Of ProductLayer.
    ::bq::Activation getActivationKind() { return getActivation() ? getActivation()->getValue() : Activation::None; }
    int64_t getStaticBits() { return getActivationBits().value_or(0); }
    int64_t getProductRows();
    int64_t getKernelRows();
    ::llvm::ArrayRef<int64_t> getPatch();
  }];
  let assemblyFormat = [{
    $input `,` $weight (`bias` `(` $bias^ `:` type($bias) `)`)?
    (`quantized` `(` $activationScale^ `:` type($activationScale) `)`)? attr-dict
    `:` `(` type($input) `,` qualified(type($weight)) `)` `->` type($result)
  }];
}

def BQ_LinearOp : BQ_ProductOp<"linear"> {
  let summary = "Linear layer over a quantized weight";
  let description = [{
    Computes `result = activation(input * transpose(W) + bias)`:

    ```
    def result(m, n):
      sum = 0
      for k in range(K):
        sum += input[m, k] * W(n, k)
      return activation(sum + bias[n])
    ```

    `W` is what the format of `weight` says (`#bq.format`); how the sum is taken is said by `compute` (`#bq.compute`).
    The order of the sum is not specified. The result is rounded once, to the element type of `result`.

    With `permuted`, column k of the weight meets column `permutation[k]` of the input, a permutation that the caller of
    the kernel supplies (GPTQ's activation order). With `columnFactors`, column k of the weight is multiplied by
    `factors[k]`, f32 numbers that the caller supplies.

    With `quantized`, the activations are quantized with one static scale s, in f32, `rint` to nearest, ties to even:

    ```
    q = clamp(rint(input[m, k] / s), -2^(b-1), 2^(b-1) - 1)     # b = activationBits, 2..8
    q = 1 if input[m, k] >= 0 else -1                           # b = 1
    sum += s * q * W(n, k)
    ```

    A row that holds a NaN then gives NaN throughout; infinities count as the greatest and the least q.

    Constraints:

    - (C1) `input` is 2-D with as many columns as `weight`.
    - (C2) `weight` has a static number of rows.
    - (C3) `shape(bias) = [N]` where given.
    - (C4) `result` is `[dim(input, 0), N]` of the element type of `input`.
    - (C5) `activationScale` is given exactly where `activationBits` is, which is 1 to 8; `compute` then is `i8`, and
      columns have neither scales nor factors.
    - (C6) `columnFactors` is not given for `sign`, whose columns have scales of their own.

    Example:
    ```mlir
    func.func @ffn_up(%x: tensor<?x4096xf32>, %w: !bq.weight<11008x4096, "int4:g128", f16>, %b: tensor<11008xf32>)
        -> tensor<?x11008xf32> {
      %y = bq.linear %x, %w bias(%b : tensor<11008xf32>) {activation = #bq.activation<gelu>, compute = #bq.compute<i8>}
        : (tensor<?x4096xf32>, !bq.weight<11008x4096, "int4:g128", f16>) -> tensor<?x11008xf32>
      return %y : tensor<?x11008xf32>
    }
    ```
  }];
  let arguments = (ins
    2DTensorOf<[BQ_Float]>:$input,
    BQ_WeightType:$weight,
    Optional<1DTensorOf<[F32]>>:$bias,
    Optional<0DTensorOf<[F32]>>:$activationScale,
    BQ_ComputeAttr:$compute,
    OptionalAttr<BQ_ActivationAttr>:$activation,
    OptionalAttr<I64Attr>:$activationBits,
    UnitAttr:$permuted,
    UnitAttr:$columnFactors,
    OptionalAttr<BQ_ScheduleAttr>:$schedule
  );
  let results = (outs 2DTensorOf<[BQ_Float]>:$result);
}

def BQ_Conv2dOp : BQ_ProductOp<"conv2d"> {
  let summary = "Two-dimensional convolution over a quantized weight";
  let description = [{
    `input` is images [B, C, H, W], `result` [B, N, OH, OW]; both are in memory with channels last. With a kernel of
    [kh, kw] and C' = C / groups channels in each of `groups`, the weight is `N x kh * kw * C'`, its columns in the order
    `k = (r * kw + s) * C' + i`, so that groups of a format run along channels:

    ```
    def result(b, n, oy, ox):
      first = n / (N / groups) * C'
      sum = 0
      for r in range(kh):
        for s in range(kw):
          y = oy * stride[0] - padding[0] + r * dilation[0]
          x = ox * stride[1] - padding[1] + s * dilation[1]
          for i in range(C'):
            value = input[b, first + i, y, x] if 0 <= y < H and 0 <= x < W else 0
            sum += value * W(n, (r * kw + s) * C' + i)
      return activation(sum + bias[n])
    ```

    It is the linear layer on patches: a row is the patch of an output pixel, and what `bq.linear` says of `compute`,
    `permuted`, `columnFactors` and `quantized` holds for it. With `i8` and `i16` each patch has a fixed point of its own.
    With `quantized`, padding counts as the code that the caller of the kernel gives, which need not be 0.

    Where `stride`, `padding` or `dilation` is not given, it is that of the geometry that the caller of the kernel
    supplies (`dialect/core/KernelAbi.h`). A kernel does one group; the caller calls it for each. But where groups are
    small (`dialect/core/DirectConv2d.h`; depthwise above all), a kernel for CPUs does all of them, and takes the sums in
    f32, of activations as they are or, with `bf16`, rounded to it: what `i8` and `i16` allow, and no slower.

    Constraints:

    - (C1) `kernel`, and `stride`, `padding` and `dilation` where given, are two numbers, positive but for `padding`,
      which is not negative.
    - (C2) `weight` has a static number of rows, a multiple of `groups`, which is positive.
    - (C3) `input` has `groups * K / (kh * kw)` channels.
    - (C4) `shape(bias) = [N]` where given.
    - (C5) `result` is `[dim(input, 0), N, OH, OW]` of the element type of `input`; where H, `stride`, `padding` and
      `dilation` are given, `OH = (H + 2 * padding[0] - dilation[0] * (kh - 1) - 1) / stride[0] + 1`, and OW accordingly.
    - (C6) As (C5) and (C6) of `bq.linear`.

    Example:
    ```mlir
    func.func @conv(%x: tensor<?x64x56x56xf32>, %w: !bq.weight<128x576, "int4:g64", f16>) -> tensor<?x128x28x28xf32> {
      %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, stride = array<i64: 2, 2>, padding = array<i64: 1, 1>,
                             dilation = array<i64: 1, 1>, compute = #bq.compute<i8>}
        : (tensor<?x64x56x56xf32>, !bq.weight<128x576, "int4:g64", f16>) -> tensor<?x128x28x28xf32>
      return %y : tensor<?x128x28x28xf32>
    }
    ```
  }];
  let arguments = (ins
    4DTensorOf<[BQ_Float]>:$input,
    BQ_WeightType:$weight,
    Optional<1DTensorOf<[F32]>>:$bias,
    Optional<0DTensorOf<[F32]>>:$activationScale,
    DenseI64ArrayAttr:$kernel,
    OptionalAttr<DenseI64ArrayAttr>:$stride,
    OptionalAttr<DenseI64ArrayAttr>:$padding,
    OptionalAttr<DenseI64ArrayAttr>:$dilation,
    DefaultValuedAttr<I64Attr, "1">:$groups,
    BQ_ComputeAttr:$compute,
    OptionalAttr<BQ_ActivationAttr>:$activation,
    OptionalAttr<I64Attr>:$activationBits,
    UnitAttr:$permuted,
    UnitAttr:$columnFactors,
    OptionalAttr<BQ_ScheduleAttr>:$schedule
  );
  let results = (outs 4DTensorOf<[BQ_Float]>:$result);
}

def BQ_LinearInputGradientOp : BQ_Op<"linear_input_gradient", [Pure]> {
  let summary = "Gradient of a linear layer with respect to its input";
  let description = [{
    Computes `result = gradient * W`, with the weight that `bq.linear` reads, prepacked as it reads it:

    ```
    def result(m, k):
      sum = 0
      for n in range(N):
        sum += gradient[m, n] * W(n, k)
      return sum
    ```

    With `bf16` the product of a gradient and the scale of the weight's group is rounded to bf16, and so are entries of
    tables; with `f32` neither is. Sums are in f32 in both cases. Their order is not specified. The result is rounded
    once, to the element type of `result`. With `permuted`, column k of the weight is column `permutation[k]` of the
    result, as in `bq.linear`.

    A gradient may meet the scale before the code. Where that product overflows, results that it takes part in are
    infinite or NaN, also where a code of zero would take it out of the sum.

    Constraints:

    - (C1) `gradient` is 2-D with as many columns as `weight` has rows, whose number is static.
    - (C2) `result` is `[dim(gradient, 0), K]` of the element type of `gradient`.
    - (C3) `compute` is `f32` or `bf16`, since a fixed point loses small gradients beside large ones.

    Example:
    ```mlir
    func.func @ffn_up_backward(%dy: tensor<?x11008xf32>, %w: !bq.weight<11008x4096, "int4:g128", f16>)
        -> tensor<?x4096xf32> {
      %dx = bq.linear_input_gradient %dy, %w {compute = #bq.compute<f32>}
        : (tensor<?x11008xf32>, !bq.weight<11008x4096, "int4:g128", f16>) -> tensor<?x4096xf32>
      return %dx : tensor<?x4096xf32>
    }
    ```
  }];
  let arguments = (ins
    2DTensorOf<[BQ_Float]>:$gradient,
    BQ_WeightType:$weight,
    BQ_ComputeAttr:$compute,
    UnitAttr:$permuted,
    OptionalAttr<BQ_ScheduleAttr>:$schedule
  );
  let results = (outs 2DTensorOf<[BQ_Float]>:$result);
  let assemblyFormat = [{
    $gradient `,` $weight attr-dict `:` `(` type($gradient) `,` qualified(type($weight)) `)` `->` type($result)
  }];
  let hasVerifier = 1;
}

#endif // BQ_DIALECT_BQPRODUCTOPS_TD
