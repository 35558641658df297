// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cpu/CpuFakeQuantize.h"

#include "dialect/core/KernelAbi.h"
#include "runtime/FakeQuantizeSpec.h"

#include <algorithm>

using namespace bq;

/// Tasks for which a thread is worth waking: those of 2^15 elements.
static int64_t grainOf(const FakeQuantizeArgs &args) {
  return std::max<int64_t>(1, (int64_t{1} << 15) / std::min(args.columns, abi::fakeQuantizeChunk));
}

Status CpuFakeQuantize::forward(const FakeQuantizeArgs &args, ParallelFor parallel) {
  if (!args.tasks())
    return {};
  Expected<const Kernel *> kernel = kernels.get(fakeQuantizeSpec(KernelSpec::Op::FakeQuantize, args));
  if (!kernel)
    return kernel.error();
  parallel(0, args.tasks(), grainOf(args), [&](int64_t begin, int64_t end) {
    (*kernel)->fakeQuantize()(args.x, args.scale, args.zero, args.y, args.columns, begin, end);
  });
  return {};
}

Status CpuFakeQuantize::backward(const FakeQuantizeGradArgs &args, ParallelFor parallel) {
  const FakeQuantizeArgs &forward = args.forward;
  std::vector<float> partials(forward.tasks());
  if (!partials.empty()) {
    Expected<const Kernel *> kernel = kernels.get(fakeQuantizeSpec(KernelSpec::Op::FakeQuantizeGrad, forward));
    if (!kernel)
      return kernel.error();
    parallel(0, forward.tasks(), grainOf(forward), [&](int64_t begin, int64_t end) {
      (*kernel)->fakeQuantizeGrad()(args.gradient, forward.x, forward.scale, forward.zero, args.xGradient,
                                    partials.data(), forward.columns, begin, end);
    });
  }
  addPartials(args, partials);
  return {};
}
