// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The bqgpu dialect: its pointer type, enumerations and ops.
#ifndef BQ_DIALECT_GPU_BQGPUDIALECT_H
#define BQ_DIALECT_GPU_BQGPUDIALECT_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialect/gpu/BQGPUDialect.h.inc"
#include "dialect/gpu/BQGPUEnums.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialect/gpu/BQGPUTypes.h.inc"
#define GET_OP_CLASSES
#include "dialect/gpu/BQGPUOps.h.inc"

#endif // BQ_DIALECT_GPU_BQGPUDIALECT_H
