// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From a call of fake quantization to the kernel it needs, for every backend.
#ifndef BQ_RUNTIME_FAKEQUANTIZESPEC_H
#define BQ_RUNTIME_FAKEQUANTIZESPEC_H

#include "codegen/KernelSpec.h"
#include "runtime/FakeQuantizeArgs.h"
#include "runtime/RowKey.h"

#include <vector>

namespace bq {

/// `op`: FakeQuantize or FakeQuantizeGrad.
inline KernelSpec fakeQuantizeSpec(KernelSpec::Op op, const FakeQuantizeArgs &args) {
  KernelSpec spec;
  spec.op = op;
  spec.format = args.format;
  spec.dataType = args.dataType;
  spec.zeroType = args.zero ? ZeroPointType::F32 : ZeroPointType::None;
  return spec;
}

/// The gradient of each row's scale from those of its tasks, which are added one after the other.
inline void addPartials(const FakeQuantizeGradArgs &args, const std::vector<float> &partials) {
  const int64_t perRow = args.forward.tasksPerRow();
  for (int64_t row = 0; row < args.forward.rows; ++row) {
    double sum = 0;
    for (int64_t i = row * perRow; i < (row + 1) * perRow; ++i)
      sum += partials[i];
    args.scaleGradient[row] = static_cast<float>(sum);
  }
}

} // namespace bq

#endif // BQ_RUNTIME_FAKEQUANTIZESPEC_H
