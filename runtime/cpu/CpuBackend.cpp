// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cpu/CpuBackend.h"

#include "runtime/Fork.h"
#include "runtime/MixedRows.h"
#include "runtime/WeightParts.h"
#include "runtime/cpu/CpuDiffqNoise.h"
#include "runtime/cpu/CpuFakeQuantize.h"
#include "runtime/cpu/CpuLinear.h"
#include "runtime/cpu/CpuMagnitudeSums.h"
#include "runtime/cpu/CpuRows.h"
#include "runtime/cpu/CpuUpdate.h"

using namespace bq;

namespace {

class CpuBackend final : public Backend {
public:
  CpuBackend(const CpuTarget &target, KernelCache &cache)
      : target(target), cache(cache), rows(target, cache), rounding(target, cache) {}

  std::string_view name() const override { return "cpu"; }

  Expected<std::shared_ptr<const PrepackedWeight>> prepack(const CanonicalWeight &weight,
                                                           ParallelFor parallel) override {
    if (Status status = weight.verify(); !status)
      return status.error();
    Expected<std::shared_ptr<const CpuWeight>> packed = CpuWeight::pack(weight, target, parallel);
    if (!packed)
      return packed.error();
    return std::shared_ptr<const PrepackedWeight>(std::move(*packed));
  }

  Status linear(const PrepackedWeight &weight, const LinearArgs &args, ParallelFor parallel) override {
    auto *packed = dynamic_cast<const CpuWeight *>(&weight);
    if (!packed)
      return invalidArgument("the weight was not prepacked by the cpu backend");
    return runLinear(*packed, args, cache, parallel);
  }

  Status embedding(const CanonicalWeight &weight, const int64_t *indices, int64_t count, void *y,
                   ParallelFor parallel) override {
    if (Status status = weight.verifyRows(); !status)
      return status;
    if (!weight.format.isMixed())
      return rows.embedding(weight, indices, count, y, parallel);
    if (Status status = verifyIndices(weight, indices, count, y); !status || !count)
      return status;
    decodeMixedRows(weight, indices, count, static_cast<float *>(y), parallel);
    return {};
  }

  Status dequantize(const CanonicalWeight &weight, void *y, ParallelFor parallel) override {
    if (Status status = weight.verifyRows(); !status)
      return status;
    if (!weight.format.isMixed() || !weight.n)
      return rows.dequantize(weight, y, parallel);
    if (!y)
      return invalidArgument("y is null: the weight has " + std::to_string(weight.n) + " rows");
    decodeMixedRows(weight, nullptr, weight.n, static_cast<float *>(y), parallel);
    return {};
  }

  Status quantize(const QuantizeArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    return rows.quantize(args, parallel);
  }

  Status fakeQuantize(const FakeQuantizeArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    return rounding.forward(args, parallel);
  }

  Status fakeQuantizeGrad(const FakeQuantizeGradArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    return rounding.backward(args, parallel);
  }

  Status magnitudeSums(const MagnitudeSumsArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    return runMagnitudeSums(args, target, cache, parallel);
  }

  Status diffqNoise(const DiffqNoiseArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    return runDiffqNoise(args, target, cache, parallel);
  }

  Status diffqNoiseGrad(const DiffqNoiseGradArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    return runDiffqNoiseGrad(args, target, cache, parallel);
  }

  Status weightRange(const WeightRangeArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    return runWeightRange(args, target, cache, parallel);
  }

  Status update(const UpdateArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    return runUpdate(args, target, cache, parallel);
  }

private:
  CpuTarget target;
  KernelCache &cache;
  CpuRows rows;
  CpuFakeQuantize rounding;
};

Expected<Backend *> makeProcessBackend() {
  Expected<CpuTarget> target = CpuTarget::fromEnvironment();
  if (!target)
    return target.error();
  Expected<KernelCache *> cache = KernelCache::process();
  if (!cache)
    return cache.error();
  Expected<std::unique_ptr<Backend>> backend = createCpuBackend(*target, **cache);
  if (!backend)
    return backend.error();
  return backend->release();
}

} // namespace

Expected<std::unique_ptr<Backend>> bq::createCpuBackend(const CpuTarget &target, KernelCache &cache) {
  if (!target.runsOn(CpuTarget::host()))
    return unsupported("cpu '" + target.str() + "' has instructions that this machine (" + CpuTarget::host().str() +
                       ") has not");
  return std::unique_ptr<Backend>(new CpuBackend(target, cache));
}

Expected<Backend *> bq::cpuBackend() {
  // As in KernelCache::process().
  ForkDelay delay;
  static const Expected<Backend *> backend = makeProcessBackend();
  return backend;
}
