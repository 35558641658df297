// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/gpu/BQGPUDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace bq::gpu;

#include "dialect/gpu/BQGPUDialect.cpp.inc"
#include "dialect/gpu/BQGPUEnums.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialect/gpu/BQGPUTypes.cpp.inc"

void BQGPUDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/gpu/BQGPUTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/gpu/BQGPUOps.cpp.inc"
      >();
}

Type PtrType::parse(AsmParser &parser) {
  Type element;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseType(element))
    return {};
  bool shared = succeeded(parser.parseOptionalComma());
  if ((shared && parser.parseKeyword("shared")) || parser.parseGreater())
    return {};
  return PtrType::getChecked([&] { return parser.emitError(loc); }, parser.getContext(), element, shared);
}

void PtrType::print(AsmPrinter &printer) const { printer << "<" << getElement() << (getShared() ? ", shared>" : ">"); }

LogicalResult PtrType::verify(function_ref<InFlightDiagnostic()> emitError, Type element, bool shared) {
  if (element.isF32() || element.isSignlessInteger(8) || element.isSignlessInteger(16) ||
      element.isSignlessInteger(32) || element.isSignlessInteger(64))
    return success();
  return emitError() << "expected elements of type i8, i16, i32, i64 or f32, got " << element;
}
