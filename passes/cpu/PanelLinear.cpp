// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// For many rows of activations.
#include "passes/cpu/PanelProduct.h"

using namespace mlir;
using namespace bq;

namespace {

class PanelLinear {
public:
  PanelLinear(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers)
      : b(b), plan(plan), buffers(buffers),
        product(b, plan, buffers, plan.layout, sumsOf(b, plan, buffers.scratch), panelOf(b, plan, buffers.scratch)) {}

  void write() {
    b.loop(buffers.begin, buffers.end, 1, [&](Value task) {
      auto finish = [&](Value row, Value m) {
        Value scale = writeRowScale(b, plan, buffers, m);
        b.loop(b.index(0), b.index(plan.vectors * b.lanes), b.lanes, [&](Value offset) {
          Value column = b.add(b.mul(task, plan.vectors * b.lanes), offset);
          writeEpilogue(b, plan, buffers, product.sumsAt(row, offset), scale, m, column);
        });
      };
      product.overRows([&](Value segment, Value first, Value rows) { product.add(task, segment, first, rows); },
                       finish);
    });
  }

private:
  // Scratch: the sums of a block of rows, then the panel.
  static Value sumsOf(KernelBuilder &b, const LinearPlan &plan, Value scratch) {
    return b.view(scratch, {PanelProduct::rowBlock, plan.vectors * b.lanes});
  }
  static Value panelOf(KernelBuilder &b, const LinearPlan &plan, Value scratch) {
    const int64_t words = PanelProduct::panelWords(plan), offset = PanelProduct::sumWords(plan);
    auto type =
        MemRefType::get({words}, b.getF32Type(), StridedLayoutAttr::get(b.getContext(), offset, ArrayRef<int64_t>{1}));
    return memref::ReinterpretCastOp::create(b, type, scratch, OpFoldResult(b.getIndexAttr(offset)),
                                             ArrayRef<OpFoldResult>{b.getIndexAttr(words)},
                                             ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
  }

  KernelBuilder &b;
  const LinearPlan &plan;
  const LinearBuffers &buffers;
  PanelProduct product;
};

} // namespace

void bq::writePanelLinear(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers) {
  PanelLinear(b, plan, buffers).write();
}

int64_t bq::panelScratchBytes(const LinearPlan &plan) {
  return 4 * (PanelProduct::sumWords(plan) + PanelProduct::panelWords(plan));
}
