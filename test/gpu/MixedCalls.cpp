// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/gpu/MixedCalls.h"

#include "runtime/MixedPlaces.h"
#include "runtime/cuda/CudaMixed.h"
#include "test/gpu/Operands.h"

using namespace bq;
using namespace bq::test;

Status test::dequantizeMixed(const DeviceMemory &memory, CudaRows &rows, const CanonicalWeight &weight, float *y) {
  Expected<const LoadedCudaKernel *> kernel =
      rows.kernel(gpuMixedSpec(KernelSpec::Op::Dequantize, weight.format.group), nullptr);
  if (!kernel)
    return kernel.error();
  const MixedPart &part = weight.mixed;
  const Expected<MixedStream> stream = MixedStream::parse(weight);
  if (!stream)
    return stream.error();
  if (Status status = verifyPlaces(*stream); !status)
    return status;
  const std::vector<uint32_t> numbers = mixedPlaces(*stream, weight.codes);
  const abi::MixedIndex begins = mixedIndex(*stream, part.firstRow);
  const MixedElements elements{part.firstRow * weight.k, weight.n * weight.k, weight.k, part.taps};
  Operands operands(memory);
  const uint8_t *codes = operands.read(weight.codes, part.codeBytes);
  const uint32_t *places = operands.read(numbers.data(), static_cast<int64_t>(numbers.size()) * 4, alignof(uint32_t));
  const abi::MixedIndex *index = operands.read(&begins, sizeof(begins), alignof(abi::MixedIndex));
  const auto *scales = static_cast<const float *>(operands.read(weight.scales, 2 * sizeof(float), alignof(float)));
  float *values = operands.write(y, elements.count * 4, alignof(float));
  if (!operands.status())
    return operands.status();
  Status status = bq::dequantizeMixed(**kernel, codes, scales, places, index, elements, values, nullptr);
  return status ? operands.finish() : status;
}

Status test::embedMixed(const DeviceMemory &memory, CudaRows &rows, const CanonicalWeight &weight,
                        const int64_t *indices, int64_t count, float *y) {
  return embedDecoded(weight, indices, count, y,
                      [&](float *values) { return dequantizeMixed(memory, rows, weight, values); });
}

Status test::quantizeMixed(const DeviceMemory &memory, CudaRows &rows, const MixedQuantizeArgs &args) {
  const MixedStream &stream = args.stream;
  Expected<const LoadedCudaKernel *> kernel =
      rows.kernel(gpuMixedSpec(KernelSpec::Op::Quantize, stream.groupSize(), args.dataType), nullptr);
  if (!kernel)
    return kernel.error();
  const std::vector<int32_t> numbers = stream.order(args.codes);
  Operands operands(memory);
  const void *weight = operands.read(args.weight, stream.weights() * sizeOf(args.dataType), sizeOf(args.dataType));
  const int32_t *order = operands.read(numbers.data(), static_cast<int64_t>(numbers.size()) * 4, alignof(int32_t));
  uint8_t *codes = operands.write(args.codes, stream.bytes());
  if (!operands.status())
    return operands.status();
  Status status = bq::quantizeMixed(**kernel, stream, weight, order, args.least, args.greatest, codes, nullptr);
  return status ? operands.finish() : status;
}
