// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cpu/CpuDiffqNoise.h"

#include "dialect/core/NoiseAbi.h"

#include <vector>

using namespace bq;

/// Chunks for which a thread is worth waking.
static constexpr int64_t grain = (int64_t{1} << 15) / abi::noiseChunk;

Status bq::runDiffqNoise(const DiffqNoiseArgs &args, const CpuTarget &target, KernelCache &cache,
                         ParallelFor parallel) {
  Expected<std::shared_ptr<const Kernel>> kernel =
      cache.get({args.spec(KernelSpec::Op::DiffqNoise), target, /*schedule=*/""});
  if (!kernel)
    return kernel.error();
  const std::vector<uint32_t> counter = args.counter();
  parallel(0, args.chunks(), grain, [&](int64_t begin, int64_t end) {
    (*kernel)->diffqNoise()(args.weight, args.bits, &args.scale, counter.data(), args.noisy, args.count, begin, end);
  });
  return {};
}

Status bq::runDiffqNoiseGrad(const DiffqNoiseGradArgs &args, const CpuTarget &target, KernelCache &cache,
                             ParallelFor parallel) {
  Expected<std::shared_ptr<const Kernel>> kernel =
      cache.get({args.spec(KernelSpec::Op::DiffqNoiseGrad), target, /*schedule=*/""});
  if (!kernel)
    return kernel.error();
  const std::vector<uint32_t> counter = args.counter();
  std::vector<float> heads(args.chunks()), scaleParts(args.chunks());
  parallel(0, args.chunks(), grain, [&](int64_t begin, int64_t end) {
    (*kernel)->diffqNoiseGrad()(args.gradient, args.bits, &args.scale, counter.data(), args.bitsGradient, heads.data(),
                                scaleParts.data(), args.count, begin, end);
  });
  args.finish(heads.data(), scaleParts.data());
  return {};
}

Status bq::runWeightRange(const WeightRangeArgs &args, const CpuTarget &target, KernelCache &cache,
                          ParallelFor parallel) {
  Expected<std::shared_ptr<const Kernel>> kernel = cache.get({args.spec(), target, /*schedule=*/""});
  if (!kernel)
    return kernel.error();
  std::vector<float> lows(args.chunks()), highs(args.chunks());
  parallel(0, args.chunks(), grain, [&](int64_t begin, int64_t end) {
    (*kernel)->weightRange()(args.weight, lows.data(), highs.data(), args.count, begin, end);
  });
  return args.finish(lows.data(), highs.data());
}
