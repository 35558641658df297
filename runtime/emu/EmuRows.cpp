// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/EmuRows.h"

#include "dialect/core/CudaAbi.h"
#include "runtime/FakeQuantizeSpec.h"
#include "runtime/RowSpec.h"
#include "runtime/WeightParts.h"
#include "runtime/emu/EmuLinear.h"
#include "runtime/emu/EmuMixed.h"
#include "runtime/emu/SortedRows.h"

using namespace bq;
using namespace bq::emu;

namespace {

EmuMemory memoryOf(const std::vector<float> &values) {
  return {values.data(), static_cast<int64_t>(values.size() * sizeof(float))};
}

/// What row kernels read of a canonical weight.
struct RowOperands {
  explicit RowOperands(const CanonicalWeight &weight)
      : weight(weight), table(memoryOf(repeatedTable(weight))), columnScale(memoryOf(columnScaleOf(weight))) {}

  std::vector<Buffer> buffers() const {
    const Format &format = weight.format;
    const int64_t groups = format.groupCount(weight.k);
    auto bytes = [&](int64_t perRow) { return static_cast<size_t>(weight.n * perRow); };
    return {{weight.codes, bytes(format.rowBytes(weight.k))},
            {weight.scales, bytes(groups * sizeOf(weight.scaleType))},
            {weight.zeros, bytes(groups * zeroPointBytes(weight.zeroType))},
            table.readable(),
            columnScale.readable()};
  }

  const CanonicalWeight &weight;
  const EmuMemory table, columnScale;
};

} // namespace

Status emu::runEmbedding(EmuKernels &kernels, const CanonicalWeight &weight, const int64_t *indices, int64_t count,
                         void *y) {
  if (Status status = verifyIndices(weight, indices, count, y); !status || !count)
    return status;
  if (weight.format.isMixed())
    return embedMixed(kernels, weight, indices, count, static_cast<float *>(y));
  auto dequantize = [&](const CanonicalWeight &sorted, void *values) { return runDequantize(kernels, sorted, values); };
  if (std::vector<int32_t> columns = columnsByGroup(weight); !columns.empty())
    return dequantizeSorted(weight, columns, indices, count, y, dequantize);
  Expected<std::shared_ptr<const EmuKernel>> kernel = kernels.get(rowSpec(KernelSpec::Op::Embedding, weight));
  if (!kernel)
    return kernel.error();
  const RowOperands operands(weight);
  std::vector<Buffer> buffers = operands.buffers();
  buffers.insert(buffers.end(), {{indices, static_cast<size_t>(count * 8)},
                                 {y, static_cast<size_t>(count * weight.k * sizeOf(weight.scaleType)), true}});
  return (*kernel)->launch<cuda::EmbeddingFn>(0, count, buffers, indices, weight.codes, weight.scales, weight.zeros,
                                              operands.table.data<float>(), operands.columnScale.data<float>(), y,
                                              count);
}

Status emu::runDequantize(EmuKernels &kernels, const CanonicalWeight &weight, void *y) {
  if (!weight.n)
    return {};
  if (!y)
    return invalidArgument("y is null: the weight has " + std::to_string(weight.n) + " rows");
  if (weight.format.isMixed())
    return dequantizeMixed(kernels, weight, static_cast<float *>(y));
  auto dequantize = [&](const CanonicalWeight &sorted, void *values) { return runDequantize(kernels, sorted, values); };
  if (std::vector<int32_t> columns = columnsByGroup(weight); !columns.empty())
    return dequantizeSorted(weight, columns, nullptr, weight.n, y, dequantize);
  Expected<std::shared_ptr<const EmuKernel>> kernel = kernels.get(rowSpec(KernelSpec::Op::Dequantize, weight));
  if (!kernel)
    return kernel.error();
  const RowOperands operands(weight);
  std::vector<Buffer> buffers = operands.buffers();
  buffers.push_back({y, static_cast<size_t>(weight.n * weight.k * sizeOf(weight.scaleType)), true});
  return (*kernel)->launch<cuda::DequantizeFn>(0, weight.n, buffers, weight.codes, weight.scales, weight.zeros,
                                               operands.table.data<float>(), operands.columnScale.data<float>(), y,
                                               weight.n);
}

Status emu::runQuantize(EmuKernels &kernels, const QuantizeArgs &args) {
  if (!args.n)
    return {};
  Expected<std::shared_ptr<const EmuKernel>> kernel = kernels.get(quantizeSpec(args));
  if (!kernel)
    return kernel.error();
  const int64_t element = sizeOf(args.dataType), groups = args.n * args.format.groupCount(args.k);
  std::vector<Buffer> buffers =
      rowBuffers(args.weight, args.n, args.k * element, args.stride * element, /*writable=*/false);
  buffers.push_back({args.codes, static_cast<size_t>(args.n * args.format.rowBytes(args.k)), true});
  if (!args.format.hasColumnScale())
    buffers.push_back({args.scales, static_cast<size_t>(groups * sizeOf(args.scaleType)), true});
  if (args.zeros)
    buffers.push_back({args.zeros, static_cast<size_t>(groups), true});
  return (*kernel)->launch<cuda::QuantizeFn>(0, args.n, buffers, args.weight, args.codes, args.scales, args.zeros,
                                             args.stride, args.n);
}

namespace {

/// What fake quantization and its gradient read.
std::vector<Buffer> fakeQuantizeOperands(const FakeQuantizeArgs &args) {
  const size_t perRow = static_cast<size_t>(args.rows) * sizeof(float);
  std::vector<Buffer> buffers{{args.x, static_cast<size_t>(args.rows * args.columns * sizeOf(args.dataType))},
                              {args.scale, perRow}};
  if (args.zero)
    buffers.push_back({args.zero, perRow});
  return buffers;
}

} // namespace

Status emu::runFakeQuantize(EmuKernels &kernels, const FakeQuantizeArgs &args) {
  if (!args.tasks())
    return {};
  auto kernel = kernels.get(fakeQuantizeSpec(KernelSpec::Op::FakeQuantize, args));
  if (!kernel)
    return kernel.error();
  std::vector<Buffer> buffers = fakeQuantizeOperands(args);
  buffers.push_back({args.y, buffers[0].bytes, true});
  return (*kernel)->launch<cuda::FakeQuantizeFn>(0, args.tasks(), buffers, args.x, args.scale, args.zero, args.y,
                                                 args.columns);
}

Status emu::runFakeQuantizeGrad(EmuKernels &kernels, const FakeQuantizeGradArgs &args) {
  const FakeQuantizeArgs &forward = args.forward;
  std::vector<float> partials(forward.tasks());
  if (!partials.empty()) {
    auto kernel = kernels.get(fakeQuantizeSpec(KernelSpec::Op::FakeQuantizeGrad, forward));
    if (!kernel)
      return kernel.error();
    std::vector<Buffer> buffers = fakeQuantizeOperands(forward);
    const size_t bytes = buffers[0].bytes;
    buffers.insert(buffers.end(), {{args.gradient, bytes},
                                   {args.xGradient, bytes, true},
                                   {partials.data(), partials.size() * sizeof(float), true}});
    if (Status status = (*kernel)->launch<cuda::FakeQuantizeGradFn>(0, forward.tasks(), buffers, args.gradient,
                                                                    forward.x, forward.scale, forward.zero,
                                                                    args.xGradient, partials.data(), forward.columns);
        !status)
      return status;
  }
  addPartials(args, partials);
  return {};
}
