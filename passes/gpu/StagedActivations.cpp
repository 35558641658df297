// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/StagedActivations.h"

using namespace mlir;
using namespace bq;

StagedActivations::StagedActivations(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers)
    : b(b), plan(plan), layout(plan.layout), buffers(buffers) {
  tileRow = b.mul(b.block(gpu::Dimension::X), plan.rows);
  if (plan.splits == 1) {
    firstSegment = b.i32(0);
    lastSegment = b.i32(layout.segments());
    return;
  }
  firstSegment = b.mul(b.block(gpu::Dimension::Z), plan.segmentsPerSplit());
  lastSegment = b.min(b.add(firstSegment, plan.segmentsPerSplit()), b.i32(layout.segments()));
}

SmallVector<Value> StagedActivations::forEachSegment(ValueRange initial, Body body) {
  return plan.readsPanel ? copyFromPanel(initial, body) : stageFromInput(initial, body);
}

SmallVector<Value> StagedActivations::forEachSegment(ValueRange initial, Meanwhile meanwhile, Body body) {
  const int64_t stride = plan.stagedStride(layout.segmentSize);
  Value memory = b.shared(b.getI32Type(), plan.rows * stride), begin = b.i32(0);
  return b.loop(firstSegment, lastSegment, b.i32(1), initial, [&](Value segment, ValueRange carried) {
    // What was there is read no more.
    b.barrier();
    if (plan.readsPanel) {
      copy(memory, begin, stride, segment);
      gpu::CommitCopiesOp::create(b);
    } else {
      stage(memory, stride, segment, 1);
    }
    SmallVector<Value> state = meanwhile(segment, carried);
    if (plan.readsPanel)
      gpu::WaitCopiesOp::create(b, 0);
    b.barrier();
    return body({segment, memory, begin, stride}, state);
  });
}

//===----------------------------------------------------------------------===//
// From x, converted by the threads
//===----------------------------------------------------------------------===//

SmallVector<Value> StagedActivations::stageFromInput(ValueRange initial, Body body) {
  const int64_t segmentBytes = plan.rows * layout.segmentSize * plan.activationBytes();
  const int64_t chunk =
      std::max<int64_t>(1, std::min(plan.segmentsPerSplit(), FragmentPlan::stagedBytes / segmentBytes));
  const int64_t stride = plan.stagedStride(chunk * layout.segmentSize);
  Value memory = b.shared(b.getI32Type(), plan.rows * stride);
  return b.loop(firstSegment, lastSegment, b.i32(chunk), initial, [&](Value first, ValueRange carried) {
    // What was there is read no more.
    b.barrier();
    stage(memory, stride, first, chunk);
    b.barrier();
    Value last = b.min(b.add(first, chunk), lastSegment);
    return b.loop(first, last, b.i32(1), carried, [&](Value segment, ValueRange state) {
      Value words = b.mul(b.sub(segment, first), layout.segmentSize * plan.activationBytes() / 4);
      return body({segment, memory, words, stride}, state);
    });
  });
}

/// `segments` segments from `chunk` on; those after the last of the layout are not there.
void StagedActivations::stage(Value memory, int64_t stride, Value chunk, int64_t segments) {
  const int64_t pieces = segments * layout.segmentSize / 8;
  const bool isF32 = plan.form == FragmentPlan::Form::F32;
  ActivationReader reader(b, plan, buffers);
  b.loop(b.thread(), b.i32(plan.rows * pieces), b.i32(FragmentPlan::threads), [&](Value piece) {
    Value row = b.div(piece, pieces), inRow = b.rem(piece, pieces);
    Value column = b.add(b.mul(chunk, layout.segmentSize), b.mul(inRow, 8));
    Value source = b.add(tileRow, row);
    Value isThere = b.lessThan(column, b.i32(layout.paddedColumns()));
    b.when(isThere, [&] {
      // Rows after the last repeat it: their results are not stored.
      const ActivationReader::Row from = reader.rowOf(b.min(source, b.sub(buffers.m, 1)));
      Value to = b.add(b.mul(row, stride), b.mul(inRow, isF32 ? 8 : 4));
      auto store = [&](ArrayRef<Value> values) {
        for (int64_t part = 0; part < (isF32 ? 2 : 1); ++part) {
          SmallVector<Value> words;
          for (int64_t i = 0; i < 4; ++i)
            words.push_back(isF32 ? b.bits(values[4 * part + i])
                                  : gpu::RoundPairOp::create(b, values[2 * i], values[2 * i + 1]));
          b.store(b.pack(words), memory, b.add(to, 4 * part));
        }
      };
      if (reader.isCopied())
        reader.copy(from, column, memory, to, store);
      else
        store(reader.read(from, column));
    });
  });
  if (!reader.isCopied())
    return;
  gpu::CommitCopiesOp::create(b);
  gpu::WaitCopiesOp::create(b, 0);
}

//===----------------------------------------------------------------------===//
// From the panel, while segments before are multiplied
//===----------------------------------------------------------------------===//

SmallVector<Value> StagedActivations::copyFromPanel(ValueRange initial, Body body) {
  constexpr int64_t stages = FragmentPlan::stages;
  const int64_t stride = plan.stagedStride(layout.segmentSize), stageWords = plan.rows * stride;
  Value memory = b.shared(b.getI32Type(), stages * stageWords);
  auto copyIfThere = [&](Value segment, Value slot) {
    b.when(b.lessThan(segment, lastSegment), [&] { copy(memory, b.mul(slot, stageWords), stride, segment); });
    gpu::CommitCopiesOp::create(b);
  };
  b.loop(b.i32(0), b.i32(stages - 1), b.i32(1), [&](Value ahead) { copyIfThere(b.add(firstSegment, ahead), ahead); });
  return b.loop(firstSegment, lastSegment, b.i32(1), initial, [&](Value segment, ValueRange carried) {
    gpu::WaitCopiesOp::create(b, static_cast<int32_t>(stages - 2));
    // This segment is there for all threads, and the slot of the one before is free.
    b.barrier();
    Value done = b.sub(segment, firstSegment);
    copyIfThere(b.add(segment, stages - 1), b.rem(b.add(done, stages - 1), stages));
    return body({segment, memory, b.mul(b.rem(done, stages), stageWords), stride}, carried);
  });
}

void StagedActivations::copy(Value memory, Value stageWords, int64_t stride, Value segment) {
  const int64_t rowWords = layout.segmentSize * plan.activationBytes() / 4, pieces = rowWords / 4;
  Value strideWords = b.shiftRight(buffers.xStride, plan.activationBytes() == 2 ? 1 : 2);
  b.loop(b.thread(), b.i32(plan.rows * pieces), b.i32(FragmentPlan::threads), [&](Value piece) {
    Value row = b.div(piece, pieces), word = b.mul(b.rem(piece, pieces), 4);
    // Rows after the last repeat it: their results are not stored.
    Value source = b.min(b.add(tileRow, row), b.sub(buffers.m, 1));
    Value from = b.add(b.mul(b.wide(source), strideWords), b.wide(b.add(b.mul(segment, rowWords), word)));
    Value to = b.add(stageWords, b.add(b.mul(row, stride), word));
    gpu::CopyAsyncOp::create(b, buffers.x, from, memory, to, b.i32(16));
  });
}
