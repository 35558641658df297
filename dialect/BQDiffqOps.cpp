// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/BQVerify.h"

#include "dialect/core/NoiseAbi.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace bq;

static int64_t sizeOf(Value tensor) { return cast<RankedTensorType>(tensor.getType()).getDimSize(0); }

/// How many parts of `size` elements a tensor has; dynamic where its elements are.
static int64_t countParts(Value tensor, int64_t size) {
  const int64_t elements = sizeOf(tensor);
  return ShapedType::isDynamic(elements) ? elements : llvm::divideCeil(elements, size);
}

template <typename OpTy>
static LogicalResult verifyNoise(OpTy op, Value elements) {
  // (C1)
  const auto group = static_cast<int64_t>(op.getGroup()), rounds = static_cast<int64_t>(op.getRounds());
  if (group < 0)
    return op.emitOpError("expected 'group' of 1 or more, or 0 for one group, got ") << group;
  if (rounds != 7 && rounds != 10)
    return op.emitOpError("expected 7 or 10 'rounds', got ") << rounds;
  // (C2)
  if (failed(verifyShape(op, "scale", op.getScale(), {1})) || failed(verifyShape(op, "counter", op.getCounter(), {4})))
    return failure();
  // (C3)
  return verifyShape(op, "bits", op.getBits(), {group ? countParts(elements, group) : sizeOf(op.getBits())});
}

LogicalResult WeightRangeOp::verify() {
  // (C1)
  return verifyShape(*this, "lows", getLows(), {countParts(getInput(), abi::noiseChunk)});
}

LogicalResult DiffqNoiseOp::verify() { return verifyNoise(*this, getInput()); }

LogicalResult DiffqNoiseGradOp::verify() {
  if (failed(verifyNoise(*this, getGradient())))
    return failure();
  // (C4)
  const int64_t chunks = countParts(getGradient(), abi::noiseChunk);
  if (failed(verifyShape(*this, "heads", getHeads(), {chunks})))
    return failure();
  return verifyShape(*this, "scale parts", getScaleParts(), {chunks});
}
