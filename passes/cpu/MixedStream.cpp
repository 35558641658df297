// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedRowSums.h"

using namespace mlir;
using namespace bq;

using abi::MixedIndex;

namespace {

class MixedStream {
public:
  MixedStream(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers)
      : b(b), plan(plan), frame(b, plan, buffers), decoder(b, buffers.codes), lists(b, plan, frame, decoder),
        rowSums(b, plan, frame, decoder, lists) {}

  void write() {
    frame.write([&](Value row, Value x) {
      const int64_t segments = plan.layout.segments();
      SmallVector<Value> sums(plan.rows, b.splat(0.0f));
      if (segments == 1)
        sums = addSegment(row, b.index(0), x, sums);
      else
        sums = b.loop(b.index(0), b.index(segments), 1, sums, [&](Value segment, ValueRange before) {
          return addSegment(row, segment, x, SmallVector<Value>(before));
        });
      for (Value &sum : sums)
        sum = vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum, arith::FastMathFlags::reassoc);
      return sums;
    });
  }

private:
  SmallVector<Value> addSegment(Value row, Value segment, Value x, SmallVector<Value> sums) {
    Value isWide = lists.load(row, segment, MixedRowSums::maxNarrow);
    sums = rowSums.addNarrow(segment, x, sums);
    auto branch = scf::IfOp::create(b, TypeRange(ValueRange(sums)), isWide, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, sums);
    b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(b, rowSums.addWide(segment, x, sums));
    return SmallVector<Value>(branch.getResults());
  }

  KernelBuilder &b;
  const LinearPlan &plan;
  MixedFrame frame;
  MixedDecoder decoder;
  MixedLists lists;
  MixedRowSums rowSums;
};

} // namespace

bool bq::canStreamMixed(const Format &format, int64_t k, const CpuTarget &target, std::string &reason) {
  const int64_t size = format.group;
  if (!target.has(CpuTarget::AVX512VBMI))
    reason = "cpu '" + target.name + "' has no VBMI, which takes fields out of bytes";
  else if (!MixedIndex::hasWholeSteps(size))
    reason = "groups of " + std::to_string(size) + "; of 8, 16, 32 or a multiple of 64 they fill vectors";
  else if (k % size)
    reason = "groups of " + std::to_string(size) + " lie in several rows of " + std::to_string(k);
  else
    return true;
  return false;
}

void bq::writeMixedStream(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers) {
  if (hasMixedBlocks(plan))
    return writeMixedBlocks(b, plan, buffers);
  MixedStream(b, plan, buffers).write();
}

int64_t bq::mixedScratchBytes(const LinearPlan &plan) {
  if (plan.isPanel)
    return MixedFrame::frameBytes(plan) + mixedPanelBytes(plan);
  const int64_t blocks = hasMixedBlocks(plan) ? mixedBlockBytes(plan) : 0;
  return MixedFrame::frameBytes(plan) +
         std::max({MixedLists::bytes(plan), mixedReferenceBytes(plan), mixedGroupBytes(plan), blocks});
}
