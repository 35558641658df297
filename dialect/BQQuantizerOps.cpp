// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/BQVerify.h"

#include "dialect/core/KernelAbi.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace bq;

LogicalResult MagnitudeSumsOp::verify() {
  auto input = cast<RankedTensorType>(getInput().getType());
  const int64_t n = input.getDimSize(0), k = input.getDimSize(1);
  // (C1)
  if (ShapedType::isDynamic(k))
    return emitOpError("expected 'input' with a static number of columns");
  // (C2)
  if (failed(verifyShape(*this, "row factors", getRowFactors(), {n})) ||
      failed(verifyShape(*this, "column factors", getColumnFactors(), {k})) ||
      failed(verifyShape(*this, "floor", getFloor(), {1})))
    return failure();
  // (C3)
  const int64_t chunks = ShapedType::isDynamic(n) ? n : llvm::divideCeil(n, abi::magnitudeChunk);
  return verifyShape(*this, "partials", getPartials(), {chunks, k});
}
