// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The type of a quantized weight.
#ifndef BQ_DIALECT_BQTYPES_TD
#define BQ_DIALECT_BQTYPES_TD

include "dialect/BQAttrs.td"

def BQ_WeightType : TypeDef<BQ_Dialect, "Weight"> {
  let mnemonic = "weight";
  let summary = "A quantized weight: codes, scales and, where the format has them, zero points or a table";
  let description = [{
    `N x K` weights in a format, with scales of type `scale`. Formats with zero points say their type after `zero`: `u8`
    or `f32`. `N` may be `?` where an op works row by row.

    Constraints:

    - (C1) `K` is positive, and so is `N` where it is given.
    - (C2) `zero` is given exactly for formats with zero points.

    Example:
    ```mlir
    !w = !bq.weight<64x256, "uint4:g32", f16, zero = u8>
    ```
  }];
  let parameters = (ins
    TypeParameter<"int64_t", "rows">:$n,
    TypeParameter<"int64_t", "columns">:$k,
    TypeParameter<"::bq::Format", "the parsed format">:$format,
    TypeParameter<"::mlir::Type", "element type of the scales">:$scale,
    TypeParameter<"::bq::ZeroPointType", "type of the zero points">:$zero
  );
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

#endif // BQ_DIALECT_BQTYPES_TD
