// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/StepKernel.h"

#include "passes/gpu/RowKernel.h"

using namespace mlir;
using namespace bq;

/// New values that a block keeps in shared memory: 64 KiB, beside what it keeps of groups and random numbers.
static constexpr int64_t maxSharedValues = 16384;

int64_t bq::updateValueBytes(UpdateOp op) {
  WeightType packed = op.getPackedType();
  if (!packed || op.getScaling().getValue() == ScaleUpdate::Keep)
    return 0;
  const int64_t k = packed.getK(), group = packed.getFormat().groupSize(k);
  if (RowKernel::columnsPerBlock(k, group, stepUnit) <= maxSharedValues)
    return 0;
  return llvm::alignTo(k, RowPiece::columns) * static_cast<int64_t>(sizeof(float));
}
