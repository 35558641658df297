// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/SoleOp.h"

using namespace mlir;
using namespace bq;

func::FuncOp bq::makeFunction(KernelBuilder &b, StringRef name, TypeRange arguments) {
  // The layer that is being lowered still has the kernel's name; it is erased right after.
  auto func = func::FuncOp::create(b, name, b.getFunctionType(arguments, {}));
  Block *entry = func.addEntryBlock();
  b.setInsertionPointToStart(entry);
  auto end = func::ReturnOp::create(b);
  b.setInsertionPoint(end);
  return func;
}
