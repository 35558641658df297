// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The launches that move codes of the format `mixed` on a GPU, for every backend that has kernels for one. launch(fn,
/// rows, arguments...) launches the kernel of the spec beside it, a function of the type of `fn`.
#ifndef BQ_RUNTIME_GPUMIXED_H
#define BQ_RUNTIME_GPUMIXED_H

#include "codegen/KernelSpec.h"
#include "dialect/core/CudaMixedAbi.h"
#include "runtime/MixedStream.h"

#include <algorithm>
#include <vector>

namespace bq {

/// `op`: Quantize or Dequantize. `group`: as Format has it, 0 = one group. `dataType`: of the weight to quantize.
inline KernelSpec gpuMixedSpec(KernelSpec::Op op, int64_t group, ElementType dataType = ElementType::F32) {
  KernelSpec spec;
  spec.op = op;
  spec.format = {Format::Kind::Mixed, MixedStream::maxBits, group};
  spec.k = 1;
  spec.dataType = dataType;
  return spec;
}

/// Elements of a weight to be decoded, and how they lie in y (cuda::MixedDequantizeFn).
struct MixedElements {
  int64_t first = 0, count = 0;
  int64_t k = 1, taps = 1;
};

/// y[i, :] = W[indices[i], :] of a weight that `decode(values)` writes whole, as Backend::embedding().
template <typename Decode>
Status embedDecoded(const CanonicalWeight &weight, const int64_t *indices, int64_t count, float *y, Decode decode) {
  std::vector<float> all(static_cast<size_t>(weight.n * weight.k));
  if (Status status = decode(all.data()); !status)
    return status;
  for (int64_t i = 0; i < count; ++i)
    std::copy_n(all.data() + indices[i] * weight.k, weight.k, y + i * weight.k);
  return {};
}

/// Writes the levels of a weight, with a launch for each width that groups have; its range is not negative. `order` is
/// MixedStream::order(); pointers are to the memory of the device.
template <typename Launch>
Status launchMixedQuantize(const MixedStream &stream, const void *weight, const int32_t *order, float least,
                           float greatest, uint8_t *codes, Launch launch) {
  int64_t firstGroup = 0;
  for (int bits = 1; bits <= MixedStream::maxBits; ++bits) {
    const MixedStream::Width &width = stream.width(bits);
    const int64_t count = stream.codesOf(bits), rows = (count + cuda::mixedRow - 1) / cuda::mixedRow;
    if (count)
      if (Status status = launch(cuda::MixedQuantizeFn(), rows, weight, order, codes, least, greatest, int32_t{bits},
                                 width.begin, firstGroup, count);
          !status)
        return status;
    firstGroup += width.groups;
  }
  return {};
}

/// Writes `elements` of a weight to `y`, which are one or more; its stream passed verifyPlaces(). `scales`, `places`
/// and `index` are cuda::MixedDequantizeFn's; pointers are to the memory of the device.
template <typename Launch>
Status launchMixedDequantize(const uint8_t *codes, const float *scales, const uint32_t *places,
                             const abi::MixedIndex *index, const MixedElements &elements, float *y, Launch launch) {
  const int64_t rows = (elements.count + cuda::mixedRow - 1) / cuda::mixedRow;
  return launch(cuda::MixedDequantizeFn(), rows, codes, scales, places, index, y, elements.first, elements.count,
                elements.k, elements.taps);
}

} // namespace bq

#endif // BQ_RUNTIME_GPUMIXED_H
