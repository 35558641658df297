// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// For many rows of activations: a few blocks of rows of the weight become bytes, and meet the activations as a weight
// of 8 bits does.
#include "passes/cpu/MixedBytes.h"
#include "passes/cpu/PanelProduct.h"

using namespace mlir;
using namespace bq;

using abi::MixedIndex;

namespace {

/// Scratch, in bytes: sums, a panel, and what MixedBytes needs.
struct Places {
  int64_t rows; ///< Of the weight, that are decoded at a time.
  int64_t panel, bytes, end;

  explicit Places(const LinearPlan &plan) : rows(plan.vectors * plan.layout.lanes) {
    const LinearPlan inner = MixedBytes::planOf(plan);
    panel = PanelProduct::sumWords(inner) * 4;
    bytes = panel + PanelProduct::panelWords(inner) * 4;
    end = bytes + MixedBytes::scratchBytes(plan);
  }
};

class MixedPanel {
public:
  MixedPanel(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers)
      : b(b), plan(plan), inner(MixedBytes::planOf(plan)), buffers(buffers), places(plan), frame(b, plan, buffers),
        bytes(b, plan, buffers, frame, places.bytes), innerBuffers(bytes.buffersOf(buffers)),
        product(b, inner, innerBuffers, plan.layout,
                frame.scratch(b.getF32Type(), {PanelProduct::rowBlock, places.rows}, 0),
                frame.scratch(b.getF32Type(), {PanelProduct::panelWords(inner)}, places.panel)) {}

  void write() {
    const int64_t taskRows = MixedIndex::taskRows(plan.layout.k);
    bytes.begin(buffers.begin);
    Value end = b.min(b.mul(buffers.end, taskRows), b.index(plan.layout.n));
    b.loop(b.mul(buffers.begin, taskRows), end, places.rows, [&](Value first) {
      Value rows = b.min(b.sub(end, first), b.index(places.rows));
      Value tasks = bytes.decode(first, rows);
      product.overRows(
          [&](Value segment, Value firstX, Value count) {
            b.loop(b.index(0), tasks, 1, [&](Value task) { product.add(task, segment, firstX, count); });
          },
          [&](Value x, Value m) { finish(x, m, first, rows); });
    });
  }

private:
  /// Row `m` of results, from column `first` on. Sums are over t alone (MixedFrame).
  void finish(Value x, Value m, Value first, Value rows) {
    Value range = b.broadcast(frame.range()), scale = writeRowScale(b, plan, buffers, m);
    Value least = b.broadcast(frame.leastPart(m));
    b.loop(b.index(0), rows, b.lanes, [&](Value offset) {
      Value sum = b.fma(product.sumsAt(x, offset), range, least);
      writeEpilogue(b, plan, buffers, sum, scale, m, b.add(first, offset));
    });
  }

  KernelBuilder &b;
  const LinearPlan &plan;
  const LinearPlan inner; ///< Of the product with bytes.
  const LinearBuffers &buffers;
  const Places places;
  MixedFrame frame;
  MixedBytes bytes;
  const LinearBuffers innerBuffers;
  PanelProduct product;
};

} // namespace

void bq::writeMixedPanel(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers) {
  MixedPanel(b, plan, buffers).write();
}

int64_t bq::mixedPanelBytes(const LinearPlan &plan) { return Places(plan).end; }
