// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/EmuMixed.h"

#include "runtime/GpuMixed.h"
#include "runtime/MixedPlaces.h"
#include "runtime/emu/EmuMemory.h"

using namespace bq;
using namespace bq::emu;

Status emu::dequantizeMixed(EmuKernels &kernels, const CanonicalWeight &weight, float *y) {
  auto kernel = kernels.get(gpuMixedSpec(KernelSpec::Op::Dequantize, weight.format.group));
  if (!kernel)
    return kernel.error();
  const MixedPart &part = weight.mixed;
  const Expected<MixedStream> stream = MixedStream::parse(weight);
  if (!stream)
    return stream.error();
  const std::vector<uint32_t> numbers = mixedPlaces(*stream, weight.codes);
  const EmuMemory places(numbers.data(), static_cast<int64_t>(numbers.size() * sizeof(uint32_t)));
  const abi::MixedIndex index = mixedIndex(*stream, part.firstRow);
  const MixedElements elements{part.firstRow * weight.k, weight.n * weight.k, weight.k, part.taps};
  const std::vector<Buffer> buffers{{weight.codes, static_cast<size_t>(part.codeBytes)},
                                    {weight.scales, 2 * sizeof(float)},
                                    places.readable(),
                                    {&index, sizeof(index)},
                                    {y, static_cast<size_t>(elements.count) * sizeof(float), true}};
  auto launch = [&](auto function, int64_t rows, auto... arguments) {
    return (*kernel)->launch<decltype(function)>(0, rows, buffers, arguments...);
  };
  return launchMixedDequantize(weight.codes, static_cast<const float *>(weight.scales), places.data<uint32_t>(), &index,
                               elements, y, launch);
}

Status emu::embedMixed(EmuKernels &kernels, const CanonicalWeight &weight, const int64_t *indices, int64_t count,
                       float *y) {
  return embedDecoded(weight, indices, count, y,
                      [&](float *values) { return dequantizeMixed(kernels, weight, values); });
}

Status emu::quantizeMixed(EmuKernels &kernels, const MixedQuantizeArgs &args) {
  const MixedStream &stream = args.stream;
  auto kernel = kernels.get(gpuMixedSpec(KernelSpec::Op::Quantize, stream.groupSize(), args.dataType));
  if (!kernel)
    return kernel.error();
  const std::vector<int32_t> numbers = stream.order(args.codes);
  const EmuMemory order(numbers.data(), static_cast<int64_t>(numbers.size() * sizeof(int32_t)));
  const std::vector<Buffer> buffers{{args.weight, static_cast<size_t>(stream.weights() * sizeOf(args.dataType))},
                                    order.readable(),
                                    {args.codes, static_cast<size_t>(stream.bytes()), true}};
  return launchMixedQuantize(stream, args.weight, order.data<int32_t>(), args.least, args.greatest, args.codes,
                             [&](auto function, int64_t rows, auto... arguments) {
                               return (*kernel)->launch<decltype(function)>(0, rows, buffers, arguments...);
                             });
}
