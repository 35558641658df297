// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cuda/CudaRows.h"

#include "dialect/core/CudaAbi.h"

using namespace bq;

KernelSpec CudaRows::spec(KernelSpec::Op op, const CudaRowWeight &weight) {
  KernelSpec spec;
  spec.op = op;
  spec.format = weight.format;
  spec.k = weight.k;
  spec.scaleType = weight.scaleType;
  spec.zeroType = weight.zeroType;
  return spec;
}

KernelSpec CudaRows::spec(const QuantizeArgs &args) {
  KernelSpec spec;
  spec.op = KernelSpec::Op::Quantize;
  spec.format = args.format;
  spec.k = args.k;
  spec.dataType = args.dataType;
  // Only codes are written for sign, whatever the type of the scales.
  spec.scaleType = args.format.hasColumnScale() ? ElementType::F32 : args.scaleType;
  spec.zeroType = args.format.hasZeroPoints() ? ZeroPointType::U8 : ZeroPointType::None;
  return spec;
}

Expected<const LoadedCudaKernel *> CudaRows::kernelFor(const KernelSpec &spec, cuda::Stream stream) {
  const RowKey key{spec.op, spec.format, spec.k, spec.dataType, spec.scaleType, spec.zeroType};
  if (const LoadedCudaKernel *kernel = known.find(key))
    return kernel;
  Expected<const LoadedCudaKernel *> kernel = kernels.get(spec, device, stream);
  // `kernels` owns it.
  if (kernel)
    known.add(key, std::shared_ptr<const LoadedCudaKernel>(*kernel, [](const LoadedCudaKernel *) {}));
  return kernel;
}

Status CudaRows::embedding(const CudaRowWeight &weight, const int64_t *indices, int64_t count, void *y,
                           cuda::Stream stream) {
  if (!count)
    return {};
  Expected<const LoadedCudaKernel *> kernel = kernelFor(spec(KernelSpec::Op::Embedding, weight), stream);
  if (!kernel)
    return kernel.error();
  return (*kernel)->launch<cuda::EmbeddingFn>(0, count, stream, indices, weight.codes, weight.scales, weight.zeros,
                                              weight.table, weight.columnScale, y, count);
}

Status CudaRows::dequantize(const CudaRowWeight &weight, void *y, cuda::Stream stream) {
  if (!weight.n)
    return {};
  Expected<const LoadedCudaKernel *> kernel = kernelFor(spec(KernelSpec::Op::Dequantize, weight), stream);
  if (!kernel)
    return kernel.error();
  return (*kernel)->launch<cuda::DequantizeFn>(0, weight.n, stream, weight.codes, weight.scales, weight.zeros,
                                               weight.table, weight.columnScale, y, weight.n);
}

Status CudaRows::quantize(const QuantizeArgs &args, cuda::Stream stream) {
  if (Status status = args.verify(); !status || !args.n)
    return status;
  Expected<const LoadedCudaKernel *> kernel = kernelFor(spec(args), stream);
  if (!kernel)
    return kernel.error();
  return (*kernel)->launch<cuda::QuantizeFn>(0, args.n, stream, args.weight, args.codes, args.scales, args.zeros,
                                             args.stride, args.n);
}
