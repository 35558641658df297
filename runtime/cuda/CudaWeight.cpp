// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cuda/CudaWeight.h"

#include "runtime/LinearSpec.h"

#include "dialect/core/CudaAbi.h"

#include <algorithm>
#include <climits>

using namespace bq;

namespace {

/// What the calls on one weight can vary but for m, in one word.
uint32_t callKey(ElementType dataType, Compute compute, Activation activation, bool hasBias) {
  return static_cast<uint32_t>(dataType) | static_cast<uint32_t>(compute) << 4 |
         static_cast<uint32_t>(activation) << 8 | (hasBias ? 1u : 0u) << 12;
}

uint32_t callKey(const LinearArgs &args) {
  return callKey(args.dataType, args.compute, args.activation, args.bias != nullptr);
}

uint32_t callKey(const KernelSpec &spec) { return callKey(spec.dataType, spec.compute, spec.activation, spec.hasBias); }

Error refuseRows(int64_t m, int least) {
  return invalidArgument("x has " + std::to_string(m) + " rows, must be " + std::to_string(least) + " to " +
                         std::to_string(INT32_MAX));
}

int64_t roundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

/// Bytes of the prepared activations, before the scales of their rows.
int64_t activationBytes(const LoadedCudaKernel &kernel, int64_t m) {
  const int64_t element = kernel.kernel().spec().compute == Compute::I8 ? 1 : 2;
  return roundUp(kernel.kernel().artifact().rowMajorColumns * m * element, 16);
}

} // namespace

CudaWeight::Kind::~Kind() {
  for (std::atomic<const Error *> &error : failed)
    delete error.load();
}

CudaWeight::CudaWeight(const FragmentWeight &packed, const CudaDevice &device, const void *memory, CudaKernels &kernels)
    : place(device), kernels(kernels), memory(memory), weightFormat(packed.format()), rows(packed.n()),
      columns(packed.k()), scaleType(packed.scaleType()), zeroType(packed.zeroType()), codes(packed.codes),
      scales(packed.scales), zeros(packed.zeros), table(packed.table), permutation(packed.permutation),
      columnScale(packed.columnScale), layout(rows ? packed.layout().str() : "") {}

KernelSpec CudaWeight::spec(const LinearArgs &args) const {
  return linearSpec(weightFormat, rows, columns, scaleType, zeroType, static_cast<bool>(permutation), args);
}

Status CudaWeight::prepare(LinearArgs args, const std::vector<int64_t> &rows) const {
  std::vector<KernelSpec> specs;
  for (int64_t m : rows) {
    if (m < 1 || m > INT32_MAX)
      return refuseRows(m, 1);
    args.m = m;
    if (KernelSpec spec = this->spec(args); std::find(specs.begin(), specs.end(), spec) == specs.end())
      specs.push_back(std::move(spec));
  }
  if (Status status = kernels.prepare(specs, place); !status)
    return status;
  for (int64_t m : rows) {
    args.m = m;
    if (Expected<const LoadedCudaKernel *> loaded = search(args, kind(args), nullptr); !loaded)
      return loaded.error();
  }
  return {};
}

const CudaWeight::Kind &CudaWeight::kind(const LinearArgs &args) const {
  const uint32_t key = callKey(args);
  if (const Kind *known = kinds.find(key))
    return *known;
  auto made = std::make_shared<const Kind>();
  kinds.add(key, made);
  return *made;
}

Expected<const LoadedCudaKernel *> CudaWeight::search(const LinearArgs &args, const Kind &kind,
                                                      cuda::Stream stream) const {
  const KernelSpec spec = this->spec(args);
  if (const Error *error = kind.failed[spec.rows].load(std::memory_order_acquire))
    return *error;
  Expected<const LoadedCudaKernel *> loaded = kernels.get(spec, place, stream);
  if (loaded)
    if (const Artifact &artifact = (*loaded)->kernel().artifact(); artifact.layout != layout)
      loaded = internalError("kernel " + artifact.name + " reads the layout '" + artifact.layout +
                             "', but the weight is packed as '" + layout + "'");
  if (loaded) {
    kind.loaded[spec.rows].store(*loaded, std::memory_order_release);
  } else if (isLasting(loaded.error())) {
    // What follows the first line is long, and has been told.
    const std::string &text = loaded.error().message;
    auto error = std::make_unique<const Error>(Error{loaded.error().code, text.substr(0, text.find('\n'))});
    const Error *first = nullptr;
    if (kind.failed[spec.rows].compare_exchange_strong(first, error.get(), std::memory_order_acq_rel))
      error.release();
  }
  return loaded;
}

Expected<const LoadedCudaKernel *> CudaWeight::kernel(const LinearArgs &args, cuda::Stream stream) const {
  if (args.m < 0 || args.m > INT32_MAX)
    return refuseRows(args.m, 0);
  const Kind &known = kind(args);
  if (const LoadedCudaKernel *loaded = known.loaded[KernelSpec::rowsFor(args.m)].load(std::memory_order_acquire))
    return loaded;
  return search(args, known, stream);
}

LinearMemoryBytes CudaWeight::memoryBytes(const LoadedCudaKernel &kernel, int64_t m) const {
  const Artifact &artifact = kernel.kernel().artifact();
  LinearMemoryBytes bytes;
  if (artifact.rowMajorColumns)
    bytes.panel = activationBytes(kernel, m) + (kernel.kernel().spec().compute == Compute::I8 ? m * 4 : 0);
  if (artifact.splits > 1) {
    const GpuKernel &gpu = artifact.gpuKernels.back();
    bytes.workspace = artifact.splits * m * rows * 4;
    bytes.counters = (m + gpu.rowsPerBlock - 1) / gpu.rowsPerBlock * gpu.gridY * 4;
  }
  return bytes;
}

Status CudaWeight::linear(const LoadedCudaKernel &kernel, const LinearArgs &args, const LinearMemory &memory,
                          cuda::Stream stream) const {
  if (Status status = args.verify(rows, columns); !status)
    return status;
  if (!args.m || !rows)
    return {};
  const KernelSpec &spec = kernel.kernel().spec();
  const Artifact &artifact = kernel.kernel().artifact();
  if (callKey(args) != callKey(spec) || KernelSpec::rowsFor(args.m) != spec.rows || spec.n != rows || spec.k != columns)
    return invalidArgument("kernel " + artifact.name + " is not the one for this call with " + std::to_string(args.m) +
                           " rows: use the one that kernel() gives for it");
  const LinearMemoryBytes needed = memoryBytes(kernel, args.m);
  if ((needed.panel && !memory.panel) || (needed.workspace && !memory.workspace) ||
      (needed.counters && !memory.counters))
    return invalidArgument("kernel " + artifact.name + " needs " + std::to_string(needed.panel) + " bytes of panel, " +
                           std::to_string(needed.workspace) + " of workspace and " + std::to_string(needed.counters) +
                           " of counters, and one of them is null");

  const auto m = static_cast<int32_t>(args.m);
  const void *x = args.x;
  float *rowScales = nullptr;
  if (artifact.rowMajorColumns) {
    if (spec.compute == Compute::I8)
      rowScales = reinterpret_cast<float *>(static_cast<uint8_t *>(memory.panel) + activationBytes(kernel, args.m));
    if (Status status =
            kernel.launch<cuda::PrepareFn>(0, m, stream, args.x, at<int32_t>(permutation), at<float>(columnScale),
                                           memory.panel, rowScales, args.xStride, m);
        !status)
      return status;
    x = memory.panel;
  }
  const bool isSplit = artifact.splits > 1;
  return kernel.launch<cuda::LinearFn>(
      artifact.gpuKernels.size() - 1, m, stream, at<void>(codes), at<void>(scales), at<void>(zeros),
      at<cuda::WeightTable>(table), args.bias, x, rowScales, at<int32_t>(permutation), at<float>(columnScale), args.y,
      isSplit ? static_cast<float *>(memory.workspace) : nullptr,
      isSplit ? static_cast<int32_t *>(memory.counters) : nullptr, args.xStride, args.yStride, m);
}
