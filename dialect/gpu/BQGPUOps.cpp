// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/gpu/BQGPUDialect.h"

#include "mlir/IR/TypeUtilities.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace bq::gpu;

/// `vector<2xi32>` for a fragment of two i32 elements: the elements' types follow from the fragment's.
static ParseResult parseFragmentOfElements(OpAsmParser &parser, SmallVectorImpl<Type> &elements, Type &fragment) {
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseType(fragment))
    return failure();
  auto vector = dyn_cast<VectorType>(fragment);
  if (!vector)
    return parser.emitError(loc) << "expected a vector, got " << fragment;
  elements.assign(vector.getNumElements(), vector.getElementType());
  return success();
}

static void printFragmentOfElements(OpAsmPrinter &printer, Operation *, TypeRange, Type fragment) {
  printer << fragment;
}

#define GET_OP_CLASSES
#include "dialect/gpu/BQGPUOps.cpp.inc"

/// Checks that values of type `type` are read from and written to elements of `pointer`.
static LogicalResult verifyMoved(Operation *op, StringRef name, Type type, PtrType pointer) {
  Type element = pointer.getElement();
  bool isNarrow = element.isInteger(8) || element.isInteger(16), isWhole = isNarrow && isa<VectorType>(type);
  if (isNarrow ? getElementTypeOrSelf(type).isInteger(32) : getElementTypeOrSelf(type) == element)
    return success();
  InFlightDiagnostic diag = op->emitOpError("expected '") << name << "' ";
  if (isWhole)
    diag << "made of i32";
  else if (isNarrow)
    diag << "of type i32";
  else
    diag << "made of " << element;
  return diag << " for elements of " << pointer << ", got " << type;
}

LogicalResult SharedOp::verify() {
  // (C1)
  if (!getResult().getType().getShared())
    return emitOpError("expected 'result' in shared memory, got ") << getResult().getType();
  // (C2)
  if (!isa_and_nonnull<FunctionOpInterface>((*this)->getParentOp()) || !(*this)->getBlock()->isEntryBlock())
    return emitOpError("expected to stand in the entry block of a function");
  return success();
}

LogicalResult AddressOp::verify() {
  // (C1)
  if (getPointer().getType().getShared())
    return emitOpError("expected 'pointer' in global memory, got ") << getPointer().getType();
  return success();
}

LogicalResult LoadOp::verify() {
  // (C1)
  PtrType pointer = getPointer().getType();
  Type type = getResult().getType();
  const bool isWhole = pointer.getElement().getIntOrFloatBitWidth() < 32 && isa<VectorType>(type);
  if (failed(verifyMoved(*this, "result", type, pointer)))
    return failure();
  // (C2)
  if ((getStreamed() || getFresh()) && getPointer().getType().getShared())
    return emitOpError("expected 'pointer' in global memory for 'streamed' and 'fresh', got ")
           << getPointer().getType();
  if (getStreamed() && getFresh())
    return emitOpError("expected 'streamed' or 'fresh', got both");
  if ((getStreamed() || getFresh()) && isWhole)
    return emitOpError("expected 'result' of type i32 for 'streamed' and 'fresh' elements of ")
           << pointer << ", got " << type;
  return success();
}

LogicalResult StoreOp::verify() {
  // (C1)
  return verifyMoved(*this, "value", getValue().getType(), getPointer().getType());
}

LogicalResult CopyAsyncOp::verify() {
  PtrType source = getSource().getType(), target = getTarget().getType();
  // (C1)
  if (!source.getShared() && target.getShared())
    return success();
  return emitOpError("expected 'source' in global and 'target' in shared memory, got ") << source << " and " << target;
}

LogicalResult AtomicAddOp::verify() {
  PtrType pointer = getPointer().getType();
  // (C1)
  if (!pointer.getShared() && pointer.getElement().isInteger(32))
    return success();
  return emitOpError("expected 'pointer' to i32 in global memory, got ") << pointer;
}

LogicalResult MmaOp::verify() {
  Type element = getAccumulator().getType().getElementType();
  // (C1)
  if (getKind() == MmaKind::U8S8 ? element.isInteger(32) : element.isF32())
    return success();
  return emitOpError("expected 'accumulator' made of ")
         << (getKind() == MmaKind::U8S8 ? "i32" : "f32") << " for " << stringifyMmaKind(getKind()) << ", got "
         << getAccumulator().getType();
}

LogicalResult PackOp::verify() {
  VectorType fragment = getResult().getType();
  // (C1)
  if (getElements().size() == static_cast<size_t>(fragment.getNumElements()) &&
      llvm::all_of(getElements().getTypes(), [&](Type type) { return type == fragment.getElementType(); }))
    return success();
  InFlightDiagnostic diag = emitOpError("expected ") << fragment.getNumElements() << " 'elements' of type "
                                                     << fragment.getElementType() << ", got ";
  llvm::interleaveComma(getElements().getTypes(), diag);
  return diag;
}

LogicalResult ElementOp::verify() {
  // (C1)
  int64_t count = getFragment().getType().getNumElements();
  if (getIndex() < count)
    return success();
  return emitOpError("expected 'index' below ") << count << ", got " << getIndex();
}
