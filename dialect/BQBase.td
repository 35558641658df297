// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The bq dialect itself, and the constraints its ops share.
#ifndef BQ_DIALECT_BQBASE_TD
#define BQ_DIALECT_BQBASE_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/OpBase.td"

def BQ_Dialect : Dialect {
  let name = "bq";
  let cppNamespace = "::bq";
  let summary = "Quantized layers over packed low-bit weights";
  let description = [{
    Four levels share this dialect. On the *layer* level an op says what a quantized layer computes, on tensors and a
    `!bq.weight`. On the *schedule* level the same op also carries `#bq.schedule`, which says how. The *tile* level is
    loops over buffers and vectors, in which `bq.dot` and `bq.lookup` stand for what upstream dialects cannot say. The
    *target* level has no op of this dialect left.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
}

class BQ_Op<string mnemonic, list<Trait> traits = []> : Op<BQ_Dialect, mnemonic, traits>;

def BQ_Float : AnyTypeOf<[F32, F16, BF16]>;

#endif // BQ_DIALECT_BQBASE_TD
