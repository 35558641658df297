// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/EmuWeight.h"

#include "dialect/core/CudaMixedAbi.h"
#include "runtime/WeightParts.h"

using namespace bq;
using namespace bq::emu;

namespace {

EmuMemory constantsOf(const FragmentWeight &fragments, const FragmentWeight::Part &part) {
  return {fragments.constantBytes().data() + (part.offset - fragments.constants.offset), part.bytes};
}

/// What a kernel writes, or of the format `mixed` the host.
EmuMemory memoryOf(const FragmentWeight &fragments, const FragmentWeight::Part &part) {
  return fragments.format().isMixed() ? constantsOf(fragments, part) : EmuMemory(part.bytes);
}

EmuMemory codesOf(const FragmentWeight &fragments, const CanonicalWeight &weight) {
  if (!weight.format.isMixed())
    return EmuMemory(fragments.codes.bytes);
  const int64_t bytes = weight.mixed.codeBytes;
  EmuMemory codes(bytes + cuda::mixedSlack);
  std::memcpy(codes.data<uint8_t>(), weight.codes, bytes);
  return codes;
}

} // namespace

EmuWeight::EmuWeight(const CanonicalWeight &weight)
    : fragments(weight), codes(codesOf(fragments, weight)), scales(memoryOf(fragments, fragments.scales)),
      zeros(memoryOf(fragments, fragments.zeros)), columnScale(fragments.columnScale.bytes),
      permutation(constantsOf(fragments, fragments.permutation)), table(constantsOf(fragments, fragments.table)) {}

Expected<std::shared_ptr<const EmuWeight>> EmuWeight::prepack(EmuKernels &kernels, const CanonicalWeight &weight) {
  std::shared_ptr<EmuWeight> packed(new EmuWeight(weight));
  if (!weight.n || weight.format.isMixed())
    return std::shared_ptr<const EmuWeight>(std::move(packed));
  Expected<std::shared_ptr<const EmuKernel>> kernel = kernels.get(packed->fragments.prepackSpec());
  if (!kernel)
    return kernel.error();
  const Format &format = weight.format;
  const int64_t groups = weight.n * format.groupCount(weight.k);
  const int64_t scaleCount = format.hasColumnScale() ? weight.n + weight.k : groups;
  auto bytes = [](int64_t count, int64_t each) { return static_cast<size_t>(count * each); };
  const std::vector<Buffer> buffers = {{weight.codes, bytes(weight.n, format.rowBytes(weight.k))},
                                       {weight.scales, bytes(scaleCount, sizeOf(weight.scaleType))},
                                       {weight.zeros, bytes(groups, zeroPointBytes(weight.zeroType))},
                                       packed->permutation.readable(),
                                       packed->codes.writable(),
                                       packed->scales.writable(),
                                       packed->zeros.writable(),
                                       packed->columnScale.writable()};
  Status status = (*kernel)->launch<cuda::PrepackFn>(
      0, packed->fragments.layout().blocks(), buffers, weight.codes, weight.scales, weight.zeros,
      packed->permutation.data<int32_t>(), packed->codes.data<void>(), packed->scales.data<void>(),
      packed->zeros.data<void>(), packed->columnScale.data<float>(), weight.n);
  if (!status)
    return status.error();
  return std::shared_ptr<const EmuWeight>(std::move(packed));
}
