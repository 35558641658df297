// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedSteps.h"

using namespace mlir;
using namespace bq;

int64_t MixedSteps::greatest(const LinearPlan &plan) {
  const bool isOne = plan.form != LinearPlan::Form::F32 && plan.form != LinearPlan::Form::TwoWords;
  return ((1 << maxWidth) - 1) * (isOne ? static_cast<int64_t>(plan.fixedPointMax()) : 1 << 15);
}

MixedSteps::MixedSteps(KernelBuilder &b, const LinearPlan &plan, MixedFrame &frame, MixedDecoder &decoder, Value memory)
    : b(b), plan(plan), frame(frame), memory(memory) {
  b.loop(b.index(1), b.index(maxWidth + 1), 1, [&](Value width) {
    Value bits = arith::IndexCastOp::create(b, b.getI64Type(), width);
    SmallVector<Value> parts;
    if (plan.hasWords()) {
      const MixedDecoder::Words words = decoder.words(bits, maxWidth);
      parts = {words.order, words.shifts, words.mask, words.unused};
    } else {
      const MixedDecoder::Narrow bytes = decoder.narrow(bits, maxWidth, b.getI8Type());
      parts = {bytes.orders[0], bytes.shifts[0], bytes.mask};
    }
    for (auto [i, part] : llvm::enumerate(parts))
      b.store(b.bitcast(b.bytes(), part), memory, b.add(recordOf(width), 64 * i));
  });
}

void MixedSteps::begin(Widths some, Value width, Value codes) {
  range = some;
  ofCodes.emplace(b, codes);
  auto part = [&](int64_t i) { return b.load(b.bytes(), memory, b.add(recordOf(width), 64 * i)); };
  if (plan.hasWords()) {
    words = {part(0), part(1), b.bitcast(b.words(), part(2)), b.bitcast(b.words(), part(3)),
             MixedDecoder::bytesOf(range.last)};
  } else {
    bytes = MixedDecoder::Narrow{MixedDecoder::Lanes(b.getI8Type(), range.last, /*isDeinterleaved=*/false),
                                 {part(0)},
                                 {part(1)},
                                 MixedDecoder::bytesOf(range.last),
                                 part(2),
                                 {},
                                 {}};
  }
}

SmallVector<Value> MixedSteps::groupsFrom(Value list, Value entry) {
  SmallVector<Value> groups;
  for (int64_t part = 0; part < parts(plan); ++part)
    groups.push_back(arith::IndexCastUIOp::create(b, b.getIndexType(), b.loadScalar(list, b.add(entry, part))));
  return groups;
}

SmallVector<Value> MixedSteps::decode(Value at) {
  if (!plan.hasWords())
    return ofCodes->codesFrom(at, *bytes);
  auto [first, others] = ofCodes->wordsFrom(at, *words);
  return {first, others};
}

Value MixedSteps::gather(int64_t plane, int64_t first, int64_t count, ArrayRef<Value> groups, Value inGroup) {
  const int64_t size = plan.format.group, length = std::min(count, size);
  SmallVector<Value> pieces;
  for (int64_t code = first; code < first + count; code += length) {
    Value column = b.add(b.mul(groups[code / size], size), b.add(inGroup, code % size));
    pieces.push_back(frame.activations(plane, b.index(0), b.index(0), column, length));
  }
  return frame.joined(pieces);
}

Value MixedSteps::add(Value sum, int64_t plane, ArrayRef<Value> decoded, ArrayRef<Value> groups, Value inGroup) {
  const int64_t inVector = 16 * plan.perWord();
  for (auto [vector, some] : llvm::enumerate(decoded)) {
    Value x = gather(plane, vector * inVector, inVector, groups, inGroup);
    sum = DotOp::create(b, sum.getType(), sum, some, x, (1 << range.last) - 1);
  }
  return sum;
}
