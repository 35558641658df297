// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/EmuBackend.h"

#include "runtime/MixedPlaces.h"
#include "runtime/emu/EmuLinear.h"
#include "runtime/emu/EmuMixed.h"
#include "runtime/emu/EmuNoise.h"
#include "runtime/emu/EmuRows.h"
#include "runtime/emu/EmuUpdate.h"

using namespace bq;
using namespace bq::emu;

namespace {

class EmuBackend final : public Backend, public MixedQuantizer {
public:
  std::string_view name() const override { return "emu"; }

  Expected<std::shared_ptr<const PrepackedWeight>> prepack(const CanonicalWeight &weight, ParallelFor) override {
    if (Status status = weight.verify(); !status)
      return status.error();
    if (weight.format.isMixed() && weight.n)
      if (Status status = verifyPlaces(*MixedStream::parse(weight)); !status)
        return status.error();
    if (weight.columnFactors)
      return unsupported("kernels for GPUs have no column factors: pass null");
    Expected<std::shared_ptr<const EmuWeight>> packed = EmuWeight::prepack(kernels, weight);
    if (!packed)
      return packed.error();
    return std::shared_ptr<const PrepackedWeight>(std::move(*packed));
  }

  Status linear(const PrepackedWeight &weight, const LinearArgs &args, ParallelFor) override {
    auto *packed = dynamic_cast<const EmuWeight *>(&weight);
    if (!packed)
      return invalidArgument("the weight was not prepacked by the emu backend");
    if (Status status = args.verify(weight.n(), weight.k()); !status || !args.m || !weight.n())
      return status;
    return runLinear(kernels, *packed, args);
  }

  Status embedding(const CanonicalWeight &weight, const int64_t *indices, int64_t count, void *y,
                   ParallelFor) override {
    if (Status status = weight.verifyRows(); !status)
      return status;
    return runEmbedding(kernels, weight, indices, count, y);
  }

  Status dequantize(const CanonicalWeight &weight, void *y, ParallelFor) override {
    if (Status status = weight.verifyRows(); !status)
      return status;
    return runDequantize(kernels, weight, y);
  }

  Status quantize(const QuantizeArgs &args, ParallelFor) override {
    if (Status status = args.verify(); !status)
      return status;
    return runQuantize(kernels, args);
  }

  Status fakeQuantize(const FakeQuantizeArgs &args, ParallelFor) override {
    if (Status status = args.verify(); !status)
      return status;
    return runFakeQuantize(kernels, args);
  }

  Status fakeQuantizeGrad(const FakeQuantizeGradArgs &args, ParallelFor) override {
    if (Status status = args.verify(); !status)
      return status;
    return runFakeQuantizeGrad(kernels, args);
  }

  Status update(const UpdateArgs &args, ParallelFor) override {
    if (Status status = args.verify(); !status)
      return status;
    return runUpdate(kernels, args);
  }

  Status diffqNoise(const DiffqNoiseArgs &args, ParallelFor) override {
    if (Status status = args.verify(); !status)
      return status;
    return runDiffqNoise(kernels, args);
  }

  Status diffqNoiseGrad(const DiffqNoiseGradArgs &args, ParallelFor) override {
    if (Status status = args.verify(); !status)
      return status;
    return runDiffqNoiseGrad(kernels, args);
  }

  Status weightRange(const WeightRangeArgs &args, ParallelFor) override {
    if (Status status = args.verify(); !status)
      return status;
    return runWeightRange(kernels, args);
  }

  Status quantizeMixed(const MixedQuantizeArgs &args) override { return emu::quantizeMixed(kernels, args); }

private:
  EmuKernels kernels;
};

} // namespace

Expected<Backend *> bq::emuBackend() {
  static EmuBackend backend;
  return &backend;
}
