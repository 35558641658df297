// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cuda/CudaRows.h"

#include "dialect/core/CudaAbi.h"
#include "runtime/FakeQuantizeSpec.h"
#include "runtime/RowSpec.h"

using namespace bq;

Expected<const LoadedCudaKernel *> CudaRows::kernel(const KernelSpec &spec, cuda::Stream stream) {
  const RowKey key(spec);
  if (const Known *found = known.find(key))
    return *found;
  Expected<const LoadedCudaKernel *> kernel = kernels.get(spec, device, stream);
  if (kernel)
    known.add(key, std::make_shared<const Known>(kernel));
  else if (isLasting(kernel.error()))
    known.add(key, std::make_shared<const Known>(firstLine(kernel.error())));
  return kernel;
}

Status CudaRows::embedding(const CudaRowWeight &weight, const int64_t *indices, int64_t count, void *y,
                           cuda::Stream stream) {
  if (!count)
    return {};
  Expected<const LoadedCudaKernel *> kernel = this->kernel(rowSpec(KernelSpec::Op::Embedding, weight), stream);
  if (!kernel)
    return kernel.error();
  return (*kernel)->launch<cuda::EmbeddingFn>(0, count, stream, indices, weight.codes, weight.scales, weight.zeros,
                                              weight.table, weight.columnScale, y, count);
}

Status CudaRows::dequantize(const CudaRowWeight &weight, void *y, cuda::Stream stream) {
  if (!weight.n)
    return {};
  Expected<const LoadedCudaKernel *> kernel = this->kernel(rowSpec(KernelSpec::Op::Dequantize, weight), stream);
  if (!kernel)
    return kernel.error();
  return (*kernel)->launch<cuda::DequantizeFn>(0, weight.n, stream, weight.codes, weight.scales, weight.zeros,
                                               weight.table, weight.columnScale, y, weight.n);
}

Status CudaRows::quantize(const QuantizeArgs &args, cuda::Stream stream) {
  if (Status status = args.verify(); !status || !args.n)
    return status;
  Expected<const LoadedCudaKernel *> kernel = this->kernel(quantizeSpec(args), stream);
  if (!kernel)
    return kernel.error();
  return (*kernel)->launch<cuda::QuantizeFn>(0, args.n, stream, args.weight, args.codes, args.scales, args.zeros,
                                             args.stride, args.n);
}

Status CudaRows::prepack(const CanonicalWeight &weight, const FragmentWeight &packed, void *memory,
                         cuda::Stream stream) {
  if (!weight.n)
    return {};
  Expected<const LoadedCudaKernel *> kernel = this->kernel(packed.prepackSpec(), stream);
  if (!kernel)
    return kernel.error();
  auto at = [&](const FragmentWeight::Part &part) -> void * {
    return part ? static_cast<uint8_t *>(memory) + part.offset : nullptr;
  };
  return (*kernel)->launch<cuda::PrepackFn>(0, packed.layout().blocks(), stream, weight.codes, weight.scales,
                                            weight.zeros, static_cast<const int32_t *>(at(packed.permutation)),
                                            at(packed.codes), at(packed.scales), at(packed.zeros),
                                            static_cast<float *>(at(packed.columnScale)), weight.n);
}

Status CudaRows::fakeQuantize(const FakeQuantizeArgs &args, cuda::Stream stream) {
  if (Status status = args.verify(); !status || !args.tasks())
    return status;
  Expected<const LoadedCudaKernel *> kernel =
      this->kernel(fakeQuantizeSpec(KernelSpec::Op::FakeQuantize, args), stream);
  if (!kernel)
    return kernel.error();
  return (*kernel)->launch<cuda::FakeQuantizeFn>(0, args.tasks(), stream, args.x, args.scale, args.zero, args.y,
                                                 args.columns);
}

Status CudaRows::fakeQuantizeGrad(const FakeQuantizeGradArgs &args, float *partials, cuda::Stream stream) {
  const FakeQuantizeArgs &forward = args.forward;
  if (Status status = forward.verify(); !status || !forward.tasks())
    return status;
  Expected<const LoadedCudaKernel *> kernel =
      this->kernel(fakeQuantizeSpec(KernelSpec::Op::FakeQuantizeGrad, forward), stream);
  if (!kernel)
    return kernel.error();
  return (*kernel)->launch<cuda::FakeQuantizeGradFn>(0, forward.tasks(), stream, args.gradient, forward.x,
                                                     forward.scale, forward.zero, args.xGradient, partials,
                                                     forward.columns);
}
