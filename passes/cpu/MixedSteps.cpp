// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedSteps.h"

using namespace mlir;
using namespace bq;

MixedSteps::Form::Form(const LinearPlan &plan) {
  const int64_t size = plan.format.group;
  parts = std::max<int64_t>(1, codes / size);
  // Several activations go to a lane. Fewer lanes of floats would be fewer sums, but cost more to load than that saves.
  lanes = plan.isInteger() || parts == 1 ? 16 / parts : std::min<int64_t>(16, size);
  vectors = parts * lanes / 16;
}

SmallVector<MixedSteps::Widths> MixedSteps::widths() const {
  // A load that crosses the end of a cache line takes twice as long: narrow widths are loaded in fewer bytes. With
  // floats eight bits are one more than fits a byte beside the bit that is always there; in their natural order the
  // fields of seven and eight bits are too long for one permutation.
  if (plan.isInteger())
    return {{1, 4}, {5, maxWidth}};
  if (plan.isDeinterleaved)
    return {{1, 4}, {5, maxWidth - 1}, {maxWidth, maxWidth}};
  return {{1, 4}, {5, 6}, {7, maxWidth}};
}

void MixedSteps::begin(Widths some, Value width) {
  range = some;
  Type element = plan.isInteger() ? Type(b.getI8Type()) : b.getF32Type();
  narrow =
      decoder.narrow(arith::IndexCastOp::create(b, b.getI64Type(), width), range.last, element, plan.isDeinterleaved);
}

SmallVector<Value> MixedSteps::groupsFrom(Value list, Value entry, int64_t steps) {
  // One load for as many numbers as a register holds.
  const int64_t count = steps * form.parts, inWord = std::min<int64_t>(8, count);
  const IntegerType word = b.getIntegerType(8 * inWord);
  auto constant = [&](int64_t value) { return arith::ConstantIntOp::create(b, word, value); };
  SmallVector<Value> groups;
  for (int64_t first = 0; first < count; first += inWord) {
    Value bytes = b.load(b.vec(b.getI8Type(), inWord), list, b.add(entry, first));
    Value numbers = vector::ExtractOp::create(b, b.bitcast(b.vec(word, 1), bytes), int64_t(0));
    for (int64_t i = 0; i < inWord; ++i) {
      Value number = arith::ShRUIOp::create(b, numbers, constant(8 * i));
      if (inWord > 1)
        number = arith::AndIOp::create(b, number, constant(0xff));
      groups.push_back(arith::IndexCastUIOp::create(b, b.getIndexType(), number));
    }
  }
  return groups;
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

void MixedSteps::add(MutableArrayRef<Value> sums, int64_t plane, ArrayRef<Value> decoded, ArrayRef<Value> groups,
                     Value inGroup) {
  const int64_t inVector = 16 * plan.perWord(), vectors = codes / inVector;
  // One sum would wait for itself: products are added first.
  const bool areAdded = form.vectors == 1 && vectors > 1;
  Value product;
  for (int64_t vector = 0; vector < vectors; ++vector) {
    Value x = gather(plane, vector * inVector, inVector, groups, inGroup);
    Value &to = areAdded ? product : sums[vector / (vectors / form.vectors)];
    if (plan.isInteger())
      to = DotOp::create(b, to.getType(), to, decoded[vector], x, (1 << range.last) - 1);
    else
      to = to ? b.fma(decoded[vector], x, to) : b.mulF(decoded[vector], x);
  }
  if (areAdded)
    sums[0] = b.addF(sums[0], product);
}
