// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/cuda/GpuLinear.h"

#include "quantizers/Quantize.h"
#include "quantizers/cuda/GpuMixed.h"
#include "quantizers/cuda/GpuRows.h"
#include "quantizers/cuda/GpuWeight.h"

#include <ATen/Context.h>

#include <algorithm>

using namespace bq;
using namespace bq::gpu;

namespace {

int64_t roundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

/// Rows of x as sums in i8 see them: multiples of max|x| / 127, as floats.
at::Tensor roundToI8(const at::Tensor &x) {
  const at::Tensor x32 = x.to(at::kFloat);
  const at::Tensor unit = x32.abs().amax(1, /*keepdim=*/true) / 127;
  return at::where(unit > 0, at::round(x32 / unit) * unit, x32);
}

/// x W^T in float, exact products summed in f32.
at::Tensor multiplyF32(const at::Tensor &x, const at::Tensor &weight) {
  const at::NoTF32Guard exactProducts;
  return at::mm(x.to(at::kFloat), weight.t().to(at::kFloat));
}

/// The same for a weight in bf16 and x rounded to it.
at::Tensor multiplyBF16(const at::Tensor &x, const at::Tensor &weight) {
  const at::Tensor rounded = x.to(at::kBFloat16);
  // A result in float keeps parts of sums, bias and activation from being rounded to bf16. LibTorch has it on GPUs.
  return rounded.is_cuda() ? at::mm(rounded, weight.t(), at::kFloat) : multiplyF32(rounded, weight);
}

void linearByTorch(const char *op, const Place &place, const LinearRows &rows, const LinearWeight &weight,
                   const LinearChoice &choice) {
  const bool isBF16 = choice.compute == Compute::BF16;
  const at::ScalarType type = isBF16 ? at::kBFloat16 : at::kFloat;
  const at::Tensor dequantized =
      weight.format.isMixed()
          ? static_cast<const GpuMixedWeight &>(*weight.prepacked()).values(op, place).view({-1, weight.k}).to(type)
          : dequantizeAs(weight.canonical(), weight.format, {weight.n, weight.k}, type,
                         [&](const WeightTensors &tensors, const Format &format, at::IntArrayRef shape) {
                           return dequantize(op, place, tensors, format, shape[1]);
                         });
  at::Tensor sum = isBF16 ? multiplyBF16(rows.x, dequantized)
                          : multiplyF32(choice.compute == Compute::I8 ? roundToI8(rows.x) : rows.x, dequantized);
  if (rows.bias.defined())
    sum.add_(rows.bias);
  at::Tensor y = rows.y;
  y.view({rows.x.size(0), weight.n}).copy_(activate(sum, choice.activation));
}

bool takesTorch(int64_t m, Compute compute) { return m > maxKernelRows && compute != Compute::I8; }

/// What kernels read of a prepacked weight; null where they cannot.
const GpuWeight *productsOf(const PrepackedWeight &weight) {
  if (weight.format().isMixed()) {
    const auto &products = static_cast<const GpuMixedWeight &>(weight).products();
    return products.empty() ? nullptr : products.front().get();
  }
  return &static_cast<const GpuWeight &>(weight);
}

/// How the gradient of a layer that computes in `forward` is summed.
Compute gradientCompute(ElementType dataType, Compute forward) {
  const bool isBF16 = forward == Compute::BF16 || (forward == Compute::I8 && dataType == ElementType::BF16);
  return isBF16 ? Compute::BF16 : Compute::F32;
}

void checkCompute(const char *op, Compute compute) {
  TORCH_CHECK(compute != Compute::I16, op, ": compute i16 has no kernels for GPUs: use f32, bf16 or i8");
}

/// The kernel of a product; null where LibTorch takes its place, after one warning.
const LoadedCudaKernel *productKernel(const char *op, const Place &place, const GpuWeight &weight,
                                      const LinearArgs &args) {
  if (!weight.isPrepacked())
    return nullptr;
  const Expected<const LoadedCudaKernel *> kernel = weight.kernels().kernel(args, place.stream);
  if (!kernel && !fallsBack(weight.kernels().spec(args), kernel.error()))
    raise(op, kernel.error());
  return kernel ? *kernel : nullptr;
}

void launch(const char *op, const Place &place, const GpuWeight &weight, const LoadedCudaKernel &kernel,
            const LinearArgs &args) {
  weight.use(op, place);
  const LinearMemoryBytes bytes = weight.kernels().memoryBytes(kernel, args.m);
  const int64_t workspaceOffset = roundUp(bytes.panel, 256);
  at::Tensor scratch, counters;
  LinearMemory memory;
  if (bytes.panel || bytes.workspace) {
    scratch = at::empty({workspaceOffset + bytes.workspace}, at::device(place.tensors).dtype(at::kByte));
    memory.panel = scratch.mutable_data_ptr();
    memory.workspace = static_cast<uint8_t *>(memory.panel) + workspaceOffset;
  }
  if (bytes.counters) {
    counters = weight.counters(op, place, bytes.counters);
    memory.counters = counters.mutable_data_ptr();
  }
  check(op, weight.kernels().linear(kernel, args, memory, place.stream));
}

} // namespace

void gpu::makeKernels(const Place &place, const PrepackedWeight &weight, const CallKind &calls, at::IntArrayRef rows) {
  static constexpr float someBias = 0;
  const Compute compute = calls.choice.compute;
  auto isTorchs = [&](int64_t m) { return takesTorch(m, compute); };
  // The one kernel that LibTorch's products need does not depend on their rows.
  if (weight.format().isMixed() && std::any_of(rows.begin(), rows.end(), isTorchs))
    static_cast<const GpuMixedWeight &>(weight).values("bq::prepare", place);
  const GpuWeight *prepacked = productsOf(weight);
  if (!prepacked)
    return;
  prepacked->finish();
  if (!prepacked->isPrepacked())
    return;
  std::vector<KernelSpec> specs;
  auto add = [&](const LinearArgs &args) {
    KernelSpec spec = prepacked->kernels().spec(args);
    if (std::find(specs.begin(), specs.end(), spec) == specs.end())
      specs.push_back(std::move(spec));
  };
  for (int64_t m : rows) {
    LinearArgs args;
    args.dataType = calls.dataType;
    args.m = m;
    if (calls.inputGradient && takesInputGradient(m, calls.dataType, weight.format(), compute)) {
      args.isGradient = true;
      args.compute = gradientCompute(calls.dataType, compute);
      add(args);
    }
    if (isTorchs(m))
      continue;
    args.isGradient = false;
    args.bias = calls.hasBias ? &someBias : nullptr;
    args.compute = compute;
    // A gradient takes what went into an activation from a second product.
    if (calls.inputGradient)
      add(args);
    args.activation = calls.choice.activation;
    add(args);
  }
  const Status whatRunsSayToo = place.kernels->prepare(specs, *place.device);
  static_cast<void>(whatRunsSayToo);
}

bool gpu::isLeftToTorch(const char *op, int64_t m, int64_t groups, const Format &format, Compute compute) {
  checkCompute(op, compute);
  return takesTorch(m, compute) || (format.isMixed() && groups > maxMixedGroups && compute != Compute::I8);
}

void gpu::linear(const char *op, const Place &place, const LinearRows &rows, const LinearWeight &weight,
                 const LinearChoice &choice) {
  const LinearArgs args = rows.args(choice);
  checkCompute(op, choice.compute);
  if (takesTorch(args.m, choice.compute))
    return linearByTorch(op, place, rows, weight, choice);
  const std::shared_ptr<const PrepackedWeight> prepacked = weight.prepacked();
  const GpuWeight *products = productsOf(*prepacked);
  if (const LoadedCudaKernel *kernel = products ? productKernel(op, place, *products, args) : nullptr)
    return launch(op, place, *products, *kernel, args);
  linearByTorch(op, place, rows, weight, choice);
}

bool gpu::takesInputGradient(int64_t m, ElementType dataType, const Format &format, Compute forward) {
  if (format.isMixed())
    return false;
  if (gradientCompute(dataType, forward) == Compute::BF16)
    return m <= maxGradientRows;
  return m <= maxKernelRows && format.isExactInBF16();
}

bool gpu::linearInputGradient(const char *op, const Place &place, const LinearRows &rows, const LinearWeight &weight,
                              Compute forward) {
  LinearArgs args = rows.args({});
  if (!takesInputGradient(args.m, args.dataType, weight.format, forward))
    return false;
  args.isGradient = true;
  args.compute = gradientCompute(args.dataType, forward);
  const std::shared_ptr<const PrepackedWeight> prepacked = weight.prepacked();
  const GpuWeight &products = *productsOf(*prepacked);
  const LoadedCudaKernel *kernel = productKernel(op, place, products, args);
  if (kernel)
    launch(op, place, products, *kernel, args);
  return kernel;
}

at::Tensor gpu::conv2dInputGradient(const char *op, const Place &place, const at::Tensor &dy, const Conv2dShape &shape,
                                    const LinearWeight &weight, Compute forward) {
  const ElementType type = elementType(op, "gradient", dy.scalar_type());
  const int64_t pixels = dy.numel() / shape.outChannels, area = shape.outHeight() * shape.outWidth();
  if (shape.groups != 1 || !takesInputGradient(pixels, type, weight.format, forward))
    return {};
  // Where patches meet their sum is rounded once.
  const bool isPointwise = shape.k() == shape.channels;
  const at::Tensor rows = dy.permute({0, 2, 3, 1})
                              .reshape({pixels, shape.outChannels})
                              .to(isPointwise ? dy.scalar_type() : at::kFloat)
                              .contiguous();
  const at::Tensor patches = at::empty({pixels, shape.k()}, rows.options());
  if (!linearInputGradient(op, place, {rows, {}, patches}, weight, gradientCompute(type, forward)))
    return {};
  // [B, C, taps, OH * OW]
  const at::Tensor columns = patches.view({shape.batch, area, -1, shape.channels}).permute({0, 3, 2, 1});
  return at::col2im(columns.reshape({shape.batch, shape.k(), area}), {shape.height, shape.width}, shape.kernel,
                    shape.dilation, shape.padding, shape.stride)
      .to(dy.scalar_type());
}

bool gpu::conv2d(const char *op, const Place &place, const GroupedProducts &products, const GroupedWeight &weight) {
  auto productOf = [&](size_t i) { return static_cast<const GpuWeight *>(weight.products[i].get()); };
  // Groups are all alike: there is a kernel for each, or for none; and none where kernels cannot count the codes.
  if (weight.products.empty())
    return false;
  std::vector<const LoadedCudaKernel *> kernels;
  for (size_t i = 0; i < weight.products.size(); ++i) {
    kernels.push_back(productKernel(op, place, *productOf(i), products.at(static_cast<int64_t>(i))));
    if (!kernels.back())
      return false;
  }
  for (size_t i = 0; i < kernels.size(); ++i)
    launch(op, place, *productOf(i), *kernels[i], products.at(static_cast<int64_t>(i)));
  return true;
}
