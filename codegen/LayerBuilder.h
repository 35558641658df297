// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From a KernelSpec to layer-level IR.
#ifndef BQ_CODEGEN_LAYERBUILDER_H
#define BQ_CODEGEN_LAYERBUILDER_H

#include "codegen/KernelSpec.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace bq {

/// A module with one function, named spec.name(), that is the layer and what follows it. The spec must verify. The
/// context must have the dialects bq and func loaded.
mlir::OwningOpRef<mlir::ModuleOp> buildLayer(mlir::MLIRContext *context, const KernelSpec &spec);

} // namespace bq

#endif // BQ_CODEGEN_LAYERBUILDER_H
