// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedActivations.h"

using namespace mlir;
using namespace bq;

namespace {

Value reduce(KernelBuilder &b, Value sum) {
  return vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum, arith::FastMathFlags::reassoc);
}

/// Codes of two vectors in turns.
constexpr int64_t turn = 32;

/// The row's groups, rounded up to whole vectors.
int64_t vectorGroups(const LinearPlan &plan) { return (plan.layout.k / plan.format.group + 15) / 16 * 16; }

/// With the zeros that a step of 64 codes reads which has fewer groups than it could.
int64_t copiedCodes(const LinearPlan &plan) { return plan.layout.k + 64; }

} // namespace

MixedDecoder::Order MixedActivations::order(const LinearPlan &plan) {
  const bool isInterleaved = !plan.isInteger() && plan.format.group % turn == 0;
  return isInterleaved ? MixedDecoder::Order::Interleaved : MixedDecoder::Order::Natural;
}

int64_t MixedActivations::bytes(const LinearPlan &plan) {
  const int64_t copied = order(plan) == MixedDecoder::Order::Interleaved ? copiedCodes(plan) : 0;
  return (vectorGroups(plan) + copied) * 4;
}

MixedActivations::MixedActivations(KernelBuilder &b, const LinearPlan &plan, MixedFrame &frame, int64_t offset)
    : b(b), plan(plan), frame(frame) {
  const int64_t size = plan.format.group, groups = vectorGroups(plan), length = std::min<int64_t>(b.lanes, size);
  sums = frame.scratch(b.getF32Type(), groups, offset);
  if (order(plan) == MixedDecoder::Order::Interleaved) {
    interleaved = frame.scratch(b.getF32Type(), copiedCodes(plan), offset + groups * 4);
    interleave();
  }
  b.store(b.splat(0.0f), sums, b.index(groups - b.lanes));
  auto sumGroup = [&](Value group, ValueRange before) {
    Value sum = b.zero(b.vec(b.getF32Type(), length));
    sum = b.loop(b.index(0), b.index(size), length, ValueRange{sum}, [&](Value inGroup, ValueRange state) {
      return SmallVector<Value>{b.addF(state[0], load(b.add(b.mul(group, size), inGroup), length))};
    })[0];
    sum = reduce(b, sum);
    b.storeScalar(sum, sums, group);
    return SmallVector<Value>{b.addF(before[0], sum)};
  };
  total = b.loop(b.index(0), b.index(plan.layout.k / size), 1, ValueRange{b.f32(0.0f)}, sumGroup)[0];
}

void MixedActivations::interleave() {
  b.loop(b.index(0), b.index(copiedCodes(plan)), turn, [&](Value column) {
    Value low = frame.activations(0, b.index(0), b.index(0), column, b.lanes);
    Value high = frame.activations(0, b.index(0), b.index(0), b.add(column, b.lanes), b.lanes);
    for (int64_t odd = 0; odd < 2; ++odd) {
      SmallVector<int64_t> order;
      for (int64_t i = 0; i < b.lanes; ++i)
        order.push_back(2 * i + odd);
      b.store(vector::ShuffleOp::create(b, low, high, order), interleaved, b.add(column, odd * b.lanes));
    }
  });
}

Value MixedActivations::load(Value column, int64_t count) const {
  if (interleaved)
    return b.load(b.vec(b.getF32Type(), count), interleaved, column);
  return frame.activations(0, b.index(0), b.index(0), column, count);
}

Value MixedActivations::withoutExcess(Value sum, Value i, MixedDecoder &decoder, MixedLists &lists) const {
  SmallVector<float> factors(abi::MixedIndex::widths, 0.0f);
  for (int64_t width = 1; width <= 8; ++width)
    factors[width] = -static_cast<float>(1 << width) / static_cast<float>((1 << width) - 1);
  Value table = arith::ConstantOp::create(b, DenseElementsAttr::get(b.f32s(), ArrayRef<float>(factors)));
  for (int64_t group = 0; group < vectorGroups(plan); group += b.lanes)
    sum = b.fma(decoder.lookup(table, lists.widthsFrom(i, group)), b.load(b.f32s(), sums, b.index(group)), sum);
  return sum;
}
