// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Attributes: formats, compute modes, activations, layouts and schedules.
#ifndef BQ_DIALECT_BQATTRS_TD
#define BQ_DIALECT_BQATTRS_TD

include "dialect/BQBase.td"

class BQ_Attr<string name, string attrMnemonic, list<Trait> traits = []> : AttrDef<BQ_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def BQ_FormatAttr : BQ_Attr<"Format", "format"> {
  let summary = "How a weight is quantized and packed";
  let description = [{
    One string of the format grammar that the command line, the C++ interface and saved files share:

    | String | Codes | Weight |
    | --- | --- | --- |
    | `int<b>:g<G>`, b = 2..8 | two's complement | `scale * code` |
    | `uint<b>:g<G>`, b = 1..8 | unsigned, with zero point | `scale * (code - zero)` |
    | `nf4:g<G>`, `fp4:g<G>`, `lut<b>:g<G>`, b = 1..4 | index into a table of 2^b values | `scale * table[code]` |
    | `sign` | one bit, 1 is +1 and 0 is -1 | `a[n] * sign * b[k]` |
    | `mixed:g<G>` | 1 to 15 bits, by group | `min + (max - min) * code / (2^bits - 1)` |

    `G` codes along K share a scale; without `:g<G>` a group is the whole row. Groups of `mixed` are G weights of the
    flattened weight, or all of it.

    Example:
    ```mlir
    #w = #bq.format<"int4:g128">
    ```
  }];
  let parameters = (ins AttrParameter<"::bq::Format", "the parsed format">:$format);
  let hasCustomAssemblyFormat = 1;
}

def BQ_ComputeAttr : BQ_Attr<"Compute", "compute"> {
  let summary = "How the sum of products is taken";
  let description = [{
    - `f32`: activations as they are, summed in f32.
    - `bf16`: activations rounded to bf16, products of bf16 summed in f32.
    - `i16`: activations in fixed point for each row, 15 bits as two planes of 8; exact integer sums inside a segment.
    - `i8`: activations in fixed point for each row, symmetric, 8 bits; exact integer sums inside a segment.

    With `i16` and `i8` a row that holds a NaN or an infinity gives NaN throughout.

    Example:
    ```mlir
    #c = #bq.compute<i8>
    ```
  }];
  let parameters = (ins AttrParameter<"::bq::Compute", "the compute mode">:$value);
  let hasCustomAssemblyFormat = 1;
}

def BQ_ActivationAttr : BQ_Attr<"Activation", "activation"> {
  let summary = "What is applied to a layer's sum, element by element";
  let description = [{
    `none`, `relu`, `gelu` (exact, by erf), `gelu_tanh` (Hendrycks and Gimpel 2016, equation 2) or `silu`.

    Example:
    ```mlir
    #a = #bq.activation<gelu>
    ```
  }];
  let parameters = (ins AttrParameter<"::bq::Activation", "the function">:$value);
  let hasCustomAssemblyFormat = 1;
}

def BQ_UpdateRuleAttr : BQ_Attr<"UpdateRule", "update_rule"> {
  let summary = "How an optimizer step moves a weight";
  let description = [{
    `adam`, `sign_momentum` (formats `sign`) or `direction`, as `bq.update` says.

    Example:
    ```mlir
    #r = #bq.update_rule<adam>
    ```
  }];
  let parameters = (ins AttrParameter<"::bq::UpdateRule", "the rule">:$value);
  let hasCustomAssemblyFormat = 1;
}

def BQ_RoundingAttr : BQ_Attr<"Rounding", "rounding"> {
  let summary = "How the result of an optimizer step is put into codes";
  let description = [{
    `nearest`, `residual` or `stochastic`, as `bq.update` says.

    Example:
    ```mlir
    #r = #bq.rounding<residual>
    ```
  }];
  let parameters = (ins AttrParameter<"::bq::Rounding", "the rounding">:$value);
  let hasCustomAssemblyFormat = 1;
}

def BQ_ScaleUpdateAttr : BQ_Attr<"ScaleUpdate", "scale_update"> {
  let summary = "What an optimizer step does to scales and zero points";
  let description = [{
    `keep`, `group` or `tensor`, as `bq.update` says.

    Example:
    ```mlir
    #s = #bq.scale_update<group>
    ```
  }];
  let parameters = (ins AttrParameter<"::bq::ScaleUpdate", "what it does">:$value);
  let hasCustomAssemblyFormat = 1;
}

def BQ_NoiseAttr : BQ_Attr<"Noise", "noise"> {
  let summary = "How noise is distributed";
  let description = [{
    `gaussian` or `uniform`, as `bq.diffq_noise` says.

    Example:
    ```mlir
    #n = #bq.noise<uniform>
    ```
  }];
  let parameters = (ins AttrParameter<"::bq::NoiseKind", "the distribution">:$value);
  let hasCustomAssemblyFormat = 1;
}

def BQ_LayoutAttr : BQ_Attr<"Layout", "layout"> {
  let summary = "The order of a prepacked weight";
  let description = [{
    The rows of the weight are blocks of `lanes`; row r of a block lives in 32-bit lane r of every vector. Along K a row
    is cut into segments of `segment` codes, never across two groups, each padded to `padded` codes. The codes of a
    segment are stored as bit planes of the widths `planes`, least significant first. `dialect/core/Layout.h` says where
    every bit is.

    Example:
    ```mlir
    #l = #bq.layout<lanes = 16, planes = [2, 1], segment = 100, padded = 128>
    ```
  }];
  let parameters = (ins
    AttrParameter<"int64_t", "rows of a block">:$lanes,
    ArrayRefParameter<"int64_t", "widths of the bit planes">:$planes,
    AttrParameter<"int64_t", "codes of a segment">:$segment,
    AttrParameter<"int64_t", "codes of a segment with padding">:$padded
  );
  let assemblyFormat = "`<` `lanes` `=` $lanes `,` `planes` `=` `[` $planes `]` `,` `segment` `=` $segment `,` `padded` `=` $padded `>`";
}

def BQ_FragmentsAttr : BQ_Attr<"Fragments", "fragments"> {
  let summary = "The order of a prepacked weight on GPUs";
  let description = [{
    The rows of the weight are blocks of 16, which are operand A of tensor instructions. Along K a row is cut into
    segments of `segment` codes, never across two groups, each padded to `padded` codes. The codes of a segment are
    stored as bit planes of the widths `planes`, least significant first, in the order of the registers that a product
    reads. `dialect/core/FragmentLayout.h` says where every bit is.

    Example:
    ```mlir
    #f = #bq.fragments<planes = [2, 1], segment = 100, padded = 128>
    ```
  }];
  let parameters = (ins
    ArrayRefParameter<"int64_t", "widths of the bit planes">:$planes,
    AttrParameter<"int64_t", "codes of a segment">:$segment,
    AttrParameter<"int64_t", "codes of a segment with padding">:$padded
  );
  let assemblyFormat = "`<` `planes` `=` `[` $planes `]` `,` `segment` `=` $segment `,` `padded` `=` $padded `>`";
}

def BQ_ScheduleAttr : BQ_Attr<"Schedule", "schedule"> {
  let summary = "How an op is computed";
  let description = [{
    - `stream`: weights go once from memory to registers, are decoded there and meet each of the `rows` activations; on
      GPUs of the format `mixed`, `vectors` rows of the weight for each block of threads.
    - `panel`: the weights of `vectors` blocks are decoded to a panel near the core and meet tiles of `rows` activations.
    - `groups`: on CPUs, of the format `mixed`: each group is decoded in registers and meets `rows` activations.
    - `direct`: of a convolution whose groups are small, on CPUs: lanes are outputs, and a tile of `rows` pixels of a line
      keeps its sums in registers while the taps pass; there are no patches.
    - `rows`: row by row over a canonical weight.
    - `reference`: as `stream`, row after row; the last resort.
    - `fragment`, `pipeline`, `simt`: on GPUs, as `bq-select-schedule` says; a warp has `vectors` blocks of 16 rows of the
      weight, and a tile of `rows` activations. The sum over K is done in `splits` parts.
    - `gradient`: on GPUs, of `bq.linear_input_gradient`: a block of threads has the columns of `vectors` segments, and a
      tile of `rows` gradients. The sum over N is done in `splits` parts.

    Example:
    ```mlir
    #s = #bq.schedule<panel, rows = 6, vectors = 4, layout = <lanes = 16, planes = [4], segment = 128, padded = 128>>
    ```
  }];
  let parameters = (ins
    StringRefParameter<"name of the algorithm">:$algorithm,
    DefaultValuedParameter<"int64_t", "0", "rows of activations in a tile; 0 where it does not apply">:$rows,
    DefaultValuedParameter<"int64_t", "0", "blocks of weight rows in a tile; 0 where it does not apply">:$vectors,
    DefaultValuedParameter<"int64_t", "1", "parts of the sum that are done apart">:$splits,
    OptionalParameter<"::bq::LayoutAttr", "order of the prepacked weight, if it is prepacked">:$layout
  );
  let hasCustomAssemblyFormat = 1;
}

#endif // BQ_DIALECT_BQATTRS_TD
