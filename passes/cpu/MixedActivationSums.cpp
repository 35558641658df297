// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedActivationSums.h"

using namespace mlir;
using namespace bq;

namespace {

Value reduce(KernelBuilder &b, Value sum) {
  return vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum, arith::FastMathFlags::reassoc);
}

} // namespace

int64_t MixedActivationSums::vectorGroups(const LinearPlan &plan) {
  return (plan.layout.k / plan.format.group + 15) / 16 * 16;
}

MixedActivationSums::MixedActivationSums(KernelBuilder &b, const LinearPlan &plan, MixedFrame &frame, Value scratch)
    : b(b), groups(vectorGroups(plan)), sums(scratch) {
  const int64_t size = plan.format.group, length = std::min<int64_t>(b.lanes, size);
  b.store(b.splat(0.0f), sums, b.index(groups - b.lanes));
  auto sumGroup = [&](Value group, ValueRange before) {
    Value sum = b.zero(b.vec(b.getF32Type(), length));
    sum = b.loop(b.index(0), b.index(size), length, ValueRange{sum}, [&](Value inGroup, ValueRange state) {
      Value x = frame.activations(0, b.index(0), b.index(0), b.add(b.mul(group, size), inGroup), length);
      return SmallVector<Value>{b.addF(state[0], x)};
    })[0];
    sum = reduce(b, sum);
    b.storeScalar(sum, sums, group);
    return SmallVector<Value>{b.addF(before[0], sum)};
  };
  total = b.loop(b.index(0), b.index(plan.layout.k / size), 1, ValueRange{b.f32(0.0f)}, sumGroup)[0];
}

Value MixedActivationSums::withoutExcess(Value sum, Value i, MixedDecoder &decoder, MixedLists &lists) const {
  SmallVector<float> factors(abi::MixedIndex::widths, 0.0f);
  for (int64_t width = 1; width <= 8; ++width)
    factors[width] = -static_cast<float>(1 << width) / static_cast<float>((1 << width) - 1);
  Value table = arith::ConstantOp::create(b, DenseElementsAttr::get(b.f32s(), ArrayRef<float>(factors)));
  for (int64_t group = 0; group < groups; group += b.lanes)
    sum = b.fma(decoder.lookup(table, lists.widthsFrom(i, group)), b.load(b.f32s(), sums, b.index(group)), sum);
  return sum;
}
