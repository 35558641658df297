// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/cuda/GpuNoise.h"

#include "dialect/core/NoiseAbi.h"
#include "quantizers/Tensors.h"
#include "quantizers/cuda/GpuRows.h"
#include "runtime/cuda/CudaNoise.h"

#include <cmath>

using namespace bq;
using namespace bq::gpu;

using at::Tensor;

namespace {

Tensor floatsOn(const Place &place, int64_t count) {
  return at::empty({count}, at::device(place.tensors).dtype(at::kFloat));
}

/// The first element that is `value`, of which `parts` says for each chunk whether it may be there; int64 [1].
Tensor firstOf(const Tensor &weight, const Tensor &parts, const Tensor &value) {
  const int64_t count = weight.numel();
  const Tensor chunk = parts.eq(value).to(at::kByte).argmax();
  const Tensor inChunk = at::arange(std::min(count, abi::noiseChunk), chunk.options());
  const Tensor elements = (chunk * abi::noiseChunk + inChunk).clamp_max(count - 1);
  const Tensor first = weight.index_select(0, elements).eq(value).to(at::kByte).argmax();
  return elements.index_select(0, first.view({1}));
}

/// Adds to each group's gradient its parts of later chunks: DiffqNoiseGradArgs::finish() without the host.
void addHeads(const DiffqNoiseGradArgs &args, const Tensor &heads, const Tensor &bitsGradient) {
  const int64_t size = args.groupSize ? args.groupSize : args.count, chunks = heads.numel();
  if (abi::noiseChunk % size == 0 || chunks == 1)
    return;
  const auto integers = heads.options().dtype(at::kLong);
  const Tensor begin = at::arange(args.groups(), integers).mul_(size).unsqueeze(1);
  const int64_t most = std::min(size / abi::noiseChunk + 1, chunks);
  const Tensor chunk = begin.floor_divide(abi::noiseChunk).add(1).add(at::arange(most, integers));
  const Tensor isPart = (chunk * abi::noiseChunk).lt(begin + size).logical_and_(chunk.lt(chunks));
  const Tensor parts = heads.index_select(0, chunk.clamp_max(chunks - 1).view(-1)).view(chunk.sizes());
  bitsGradient.add_(parts.where(isPart, 0.0f).sum(1, /*keepdim=*/false, at::kDouble));
}

} // namespace

WeightRange gpu::weightRange(const char *op, const Place &place, const Tensor &weight) {
  WeightRange range;
  WeightRangeArgs args;
  args.dataType = elementType(op, "weight", weight.scalar_type());
  args.count = weight.numel();
  args.weight = weight.const_data_ptr();
  args.low = &range.low, args.high = &range.high;
  args.lowAt = &range.lowAt, args.highAt = &range.highAt;
  check(op, args.verify());
  TORCH_CHECK(
      !isCapturing(op, place), op,
      ": the range of the weight comes to the host, and the stream is captured into a graph, which cannot wait: "
      "capture what comes after");
  const LoadedCudaKernel &kernel = kernelFor(op, place, args.spec());
  const Tensor lows = floatsOn(place, args.chunks()), highs = floatsOn(place, args.chunks());
  check(op,
        runWeightRange(kernel, args, lows.mutable_data_ptr<float>(), highs.mutable_data_ptr<float>(), place.stream));
  const Tensor flat = weight.view(-1), low = lows.min(), high = highs.max();
  // One copy to the host; places in a memory are exact in double.
  const Tensor found = at::cat({low.view({1}).to(at::kDouble), high.view({1}).to(at::kDouble),
                                firstOf(flat, lows, low).to(at::kDouble), firstOf(flat, highs, high).to(at::kDouble)})
                           .cpu();
  const double *values = found.const_data_ptr<double>();
  if (std::isnan(values[0]))
    raise(op, WeightRangeArgs::notFinite(flat.isfinite().logical_not_().to(at::kByte).argmax().item<int64_t>()));
  range.low = static_cast<float>(values[0]);
  range.high = static_cast<float>(values[1]);
  range.lowAt = static_cast<int64_t>(values[2]);
  range.highAt = static_cast<int64_t>(values[3]);
  return range;
}

void gpu::diffqNoise(const char *op, const Place &place, const DiffqNoiseArgs &args) {
  check(op, args.verify());
  if (args.count)
    check(op, runDiffqNoise(kernelFor(op, place, args.spec(KernelSpec::Op::DiffqNoise)), args, place.stream));
}

Tensor gpu::diffqNoiseGrad(const char *op, const Place &place, DiffqNoiseGradArgs args, const Tensor &bitsGradient) {
  double none = 0;
  args.bitsGradient = bitsGradient.mutable_data_ptr<float>();
  args.scaleGradient = &none;
  check(op, args.verify());
  if (!args.count)
    return at::zeros({}, at::device(place.tensors).dtype(at::kDouble));
  const LoadedCudaKernel &kernel = kernelFor(op, place, args.spec(KernelSpec::Op::DiffqNoiseGrad));
  const Tensor heads = floatsOn(place, args.chunks()), scaleParts = floatsOn(place, args.chunks());
  check(op, runDiffqNoiseGrad(kernel, args, heads.mutable_data_ptr<float>(), scaleParts.mutable_data_ptr<float>(),
                              place.stream));
  addHeads(args, heads, bitsGradient);
  return scaleParts.sum(at::kDouble);
}
