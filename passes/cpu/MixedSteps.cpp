// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MixedSteps.h"

using namespace mlir;
using namespace bq;

MixedSteps::Form::Form(const LinearPlan &plan) {
  const int64_t size = plan.format.group;
  parts = std::max<int64_t>(1, codes / size);
  // Several activations go to a lane. Fewer lanes of floats would be fewer sums, but cost more to load than that saves.
  lanes = plan.isInteger() || parts == 1 ? 16 / parts : std::min<int64_t>(16, size / plan.perWord());
  vectors = parts * lanes / 16;
}

SmallVector<MixedSteps::Widths> MixedSteps::widths() const {
  // A load that crosses the end of a cache line takes twice as long, which only short steps wait for: narrow widths are
  // loaded in fewer bytes there. Elsewhere code for them takes more time to make than it saves.
  switch (plan.form) {
  case LinearPlan::Form::I8:
    return {{1, 4}, {5, maxWidth}};
  case LinearPlan::Form::I16:
    return {{1, maxWidth}};
  case LinearPlan::Form::BF16:
    return {{1, 4}, {5, maxWidth - 1}, {maxWidth, maxWidth}};
  case LinearPlan::Form::F32:
    return {{1, maxWidth - 1}, {maxWidth, maxWidth}};
  }
  llvm_unreachable("a form of products");
}

void MixedSteps::begin(Widths some, Value width) {
  range = some;
  SmallVector<int64_t> eights;
  for (int64_t quad = 0; quad < 8; ++quad)
    eights.push_back(isBF16() ? codesOf(quad % 2)[quad / 2 * 8] / 8 : quad);
  narrow = decoder.narrow(arith::IndexCastOp::create(b, b.getI64Type(), width), range.last,
                          /*areMantissas=*/!plan.isInteger() && !isByte(), eights);
}

SmallVector<int64_t> MixedSteps::pieces(int64_t vector) const {
  const int64_t perSum = vectors() / form.vectors, parts = 16 / form.lanes;
  const int64_t sum = vector / perSum, inPart = vector % perSum;
  SmallVector<int64_t> begins;
  for (int64_t part = 0; part < parts; ++part)
    begins.push_back((sum * parts + part) * std::min(plan.format.group, codes) + inPart * length());
  return begins;
}

SmallVector<int64_t> MixedSteps::codesOf(int64_t vector) const {
  SmallVector<int64_t> numbers;
  for (int64_t begin : pieces(vector))
    for (int64_t i = 0; i < length(); ++i)
      numbers.push_back(begin + i);
  return numbers;
}

SmallVector<Value> MixedSteps::decode(Value at) {
  Value fields = decoder.fields(narrow, at);
  if (plan.isInteger())
    return {fields};
  if (isBF16() && isByte())
    return decoder.byteHalves(fields);
  if (isBF16())
    return decoder.halves(fields);
  SmallVector<Value> weights;
  for (int64_t vector = 0; vector < vectors(); ++vector) {
    const SmallVector<int64_t> numbers = codesOf(vector);
    weights.push_back(isByte() ? b.toFloat(decoder.widened(fields, numbers)) : decoder.floats(fields, numbers));
  }
  return weights;
}

Value MixedSteps::gather(int64_t plane, int64_t vector, Value entry, Value inGroup) {
  const int64_t size = plan.format.group;
  SmallVector<Value> loaded;
  for (int64_t code : pieces(vector)) {
    Value number = arith::ExtUIOp::create(b, b.getI64Type(), b.loadScalar(list, b.add(entry, code / size)));
    Value group = b.mul(arith::IndexCastOp::create(b, b.getIndexType(), number), size);
    Value column = b.add(group, b.add(inGroup, code % size));
    loaded.push_back(frame.activations(plane, b.index(0), b.index(0), column, length()));
  }
  return frame.joined(loaded);
}

void MixedSteps::add(MutableArrayRef<Value> sums, int64_t plane, ArrayRef<Value> decoded, Value entry, Value inGroup) {
  const size_t perVector = decoded.size() / vectors();
  // One sum would wait for itself: products are added first.
  const bool areAdded = form.vectors == 1 && decoded.size() > 1;
  Value product;
  for (int64_t vector = 0; vector < vectors(); ++vector) {
    Value x = gather(plane, vector, entry, inGroup);
    Value &to = areAdded ? product : sums[vector / (vectors() / form.vectors)];
    for (Value some : decoded.slice(vector * perVector, perVector)) {
      if (plan.form == LinearPlan::Form::F32)
        to = to ? b.fma(some, x, to) : b.mulF(some, x);
      else
        to = DotOp::create(b, sums[0].getType(), to ? to : b.zero(b.f32s()), some, x, (1 << range.last) - 1);
    }
  }
  if (areAdded)
    sums[0] = b.addF(sums[0], product);
}
