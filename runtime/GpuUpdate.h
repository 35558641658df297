// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The launches that a step of an optimizer is on a GPU, for every backend that has kernels for one.
#ifndef BQ_RUNTIME_GPUUPDATE_H
#define BQ_RUNTIME_GPUUPDATE_H

#include "dialect/core/CudaUpdateAbi.h"
#include "runtime/UpdateArgs.h"
#include "runtime/WeightParts.h"

namespace bq {

/// The spec of a step's kernels: the correction comes with the step's numbers.
inline KernelSpec gpuUpdateSpec(const UpdateArgs &args) {
  KernelSpec spec = args.spec();
  spec.biasCorrection = false;
  return spec;
}

inline bool hasTensorScale(const UpdateArgs &args) {
  return args.packed && args.packed->scaling == ScaleUpdate::Tensor;
}

/// Memory that a step needs, in bytes: new values, then what each row wants of the tensor's scale. `valueBytes`:
/// Artifact::scratchBytes.
inline int64_t updateMemoryBytes(const UpdateArgs &args, int64_t valueBytes) {
  return args.n * valueBytes + (hasTensorScale(args) ? (args.n + 1) * static_cast<int64_t>(sizeof(float)) : 0);
}

/// Calls use(pointer, bytes) for all that a step changes, which are fields of `args`.
template <typename Use>
void forEachState(UpdateArgs &args, Use use) {
  const auto add = [&](auto *&pointer, int64_t bytes) {
    if (pointer)
      use(pointer, bytes);
  };
  const int64_t count = args.n * args.k, blocks = args.n * ((args.k + abi::momentBlock - 1) / abi::momentBlock);
  const int64_t momentBytes = args.moments == MomentType::F32      ? sizeof(float)
                              : args.moments == MomentType::Block8 ? 1
                                                                   : sizeof(uint16_t);
  const int64_t scaleBytes = blocks * static_cast<int64_t>(sizeof(float));
  add(args.m, count * momentBytes);
  add(args.v, count * momentBytes);
  add(args.mScales, scaleBytes);
  add(args.vScales, scaleBytes);
  if (!args.packed) {
    add(args.weight, count * sizeOf(args.weightType));
    return;
  }
  PackedTarget &packed = *args.packed;
  const int64_t groups = args.n * packed.format.groupCount(args.k);
  add(packed.codes, args.n * packed.format.rowBytes(args.k));
  add(packed.residual, count);
  if (packed.format.kind != Format::Kind::Sign)
    add(packed.scales, groups * sizeOf(packed.scaleType));
  add(packed.zeros, groups * zeroPointBytes(packed.zeroType));
}

/// The look at the gradient: launch(fn, index, rows, arguments...) launches kernel `index` of the artifact, a function
/// of the type of `fn`.
template <typename Launch>
Status launchGradientCheck(const UpdateArgs &args, int64_t *found, int64_t *report, int64_t ticket, Launch launch) {
  const int64_t count = args.n * args.k;
  return launch(cuda::GradientCheckFn(), 0, (count + cuda::gradientChunk - 1) / cuda::gradientChunk, args.gradient,
                found, report, ticket, count);
}

/// The step, which changes nothing where `found` is not zero then. `memory`: updateMemoryBytes(), aligned to 16 bytes.
template <typename Launch>
Status launchUpdate(const UpdateArgs &args, const int64_t *found, void *memory, int64_t valueBytes, Launch launch) {
  const PackedTarget packed = args.packed.value_or(PackedTarget());
  const abi::UpdateOptions options = args.options();
  const float rate = args.biasCorrection ? options.rate * options.correction : options.rate;
  const int64_t count = args.packed ? args.n : args.k;
  const int64_t rows = args.packed ? args.n : (count + abi::denseUpdateRow - 1) / abi::denseUpdateRow;
  auto *values = static_cast<float *>(memory);
  float *rowScales =
      hasTensorScale(args) ? values + args.n * valueBytes / static_cast<int64_t>(sizeof(float)) : nullptr;
  auto step = [&](size_t index) {
    return launch(cuda::UpdateFn(), index, rows, args.gradient, args.weight, packed.codes, packed.scales, packed.zeros,
                  packed.residual, args.m, args.mScales, args.v, args.vScales, found, rowScales,
                  valueBytes ? values : nullptr, rate, options.keep, options.beta1, options.fresh1, options.beta2,
                  options.fresh2, options.epsilon, static_cast<int32_t>(args.seed),
                  static_cast<int32_t>(args.seed >> 32), static_cast<int32_t>(args.step), count);
  };
  if (!rowScales)
    return step(1);
  if (Status status = step(1); !status)
    return status;
  if (Status status = launch(cuda::TensorScaleFn(), 2, 1, rowScales, count); !status)
    return status;
  return step(3);
}

} // namespace bq

#endif // BQ_RUNTIME_GPUUPDATE_H
