// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/BQDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace bq;

#include "dialect/BQDialect.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialect/BQAttrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialect/BQTypes.cpp.inc"

#include "dialect/BQInterfaces.cpp.inc"
#define GET_OP_CLASSES
#include "dialect/BQOps.cpp.inc"

void BQDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/BQAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/BQTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/BQOps.cpp.inc"
      >();
}
