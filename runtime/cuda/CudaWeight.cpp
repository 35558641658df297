// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cuda/CudaWeight.h"

#include "runtime/LinearSpec.h"

#include "dialect/core/CudaAbi.h"

#include <algorithm>
#include <climits>
#include <tuple>

using namespace bq;

namespace {

int rowsOfKernel(const LinearArgs &args) { return args.geometry ? 0 : cuda::kernelRows(args.m); }

Error refuseRows(int64_t m, int least) {
  return invalidArgument("x has " + std::to_string(m) + " rows, must be " + std::to_string(least) + " to " +
                         std::to_string(INT32_MAX));
}

int64_t roundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

/// Bytes of prepared activations, before the scales of their rows.
int64_t activationBytes(const LoadedCudaKernel &kernel, int64_t rows) {
  const Artifact &artifact = kernel.kernel().artifact();
  return roundUp(artifact.rowMajorColumns * rows * artifact.rowMajorBytes, 16);
}

/// Rows that are prepared at once: all, but of patches, which are many times what the images are, as many as stay in a
/// GPU's cache until they are read.
int64_t panelRows(const LoadedCudaKernel &kernel, int64_t m) {
  constexpr int64_t patchBytes = int64_t{16} << 20, rowMultiple = 32;
  const int64_t rowBytes = activationBytes(kernel, 1);
  if (kernel.kernel().spec().op == KernelSpec::Op::Linear || !rowBytes)
    return m;
  return std::min(m, std::max(patchBytes / rowBytes / rowMultiple, int64_t{1}) * rowMultiple);
}

/// LoadedCudaKernel::launch() of a function of type Fn with PatchArguments behind its own.
template <typename Fn, typename... Arguments>
Status launchPatches(const LoadedCudaKernel &kernel, size_t index, int64_t rows, cuda::Stream stream,
                     const abi::Conv2dGeometry &geometry, int64_t firstRow, Arguments... arguments) {
  const cuda::PatchArguments patches = cuda::patchArguments(geometry, firstRow);
  auto launch = [&](auto... all) {
    return kernel.launch<typename cuda::WithPatches<Fn>::Fn>(index, rows, stream, all...);
  };
  return std::apply(launch, std::tuple_cat(std::make_tuple(arguments...), patches.strides, patches.numbers));
}

} // namespace

CudaWeight::CallKey::CallKey(const LinearArgs &args)
    : dataType(args.dataType), compute(args.compute), activation(args.activation), isGradient(args.isGradient),
      hasBias(args.bias), activationBits(args.activationBits),
      patch{args.geometry ? args.geometry->kernelHeight : 0, args.geometry ? args.geometry->kernelWidth : 0} {}

CudaWeight::CallKey::CallKey(const KernelSpec &spec)
    : dataType(spec.dataType), compute(spec.compute), activation(spec.activation),
      isGradient(spec.op == KernelSpec::Op::LinearInputGradient), hasBias(spec.hasBias),
      activationBits(spec.activationBits), patch{spec.kernelHeight, spec.kernelWidth} {}

CudaWeight::Kind::~Kind() {
  for (std::atomic<const Error *> &error : failed)
    delete error.load();
}

CudaWeight::CudaWeight(const FragmentWeight &packed, const CudaDevice &device, const void *memory, CudaKernels &kernels,
                       const uint8_t *mixedCodes)
    : place(device), kernels(kernels), memory(memory), mixedCodes(mixedCodes), weightFormat(packed.format()),
      rows(packed.n()), columns(packed.k()), scaleType(packed.scaleType()), zeroType(packed.zeroType()),
      codes(packed.codes), scales(packed.scales), zeros(packed.zeros), table(packed.table),
      permutation(packed.permutation), columnScale(packed.columnScale), layout(rows ? packed.layout().str() : "") {}

KernelSpec CudaWeight::spec(const LinearArgs &given) const {
  const LinearArgs args = withoutPointwise(given);
  return linearSpec(weightFormat, rows, columns, scaleType, zeroType, static_cast<bool>(permutation),
                    /*columnFactors=*/false, rowsOfKernel(args), args);
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
  const CallKey key(args);
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
    auto error = std::make_unique<const Error>(firstLine(loaded.error()));
    const Error *first = nullptr;
    if (kind.failed[spec.rows].compare_exchange_strong(first, error.get(), std::memory_order_acq_rel))
      error.release();
  }
  return loaded;
}

Expected<const LoadedCudaKernel *> CudaWeight::kernel(const LinearArgs &given, cuda::Stream stream) const {
  if (given.m < 0 || given.m > INT32_MAX)
    return refuseRows(given.m, 0);
  const LinearArgs args = withoutPointwise(given);
  const Kind &known = kind(args);
  if (const LoadedCudaKernel *loaded = known.loaded[rowsOfKernel(args)].load(std::memory_order_acquire))
    return loaded;
  return search(args, known, stream);
}

LinearMemoryBytes CudaWeight::memoryBytes(const LoadedCudaKernel &kernel, int64_t m) const {
  const Artifact &artifact = kernel.kernel().artifact();
  LinearMemoryBytes bytes;
  if (const int64_t held = panelRows(kernel, m); artifact.rowMajorColumns)
    bytes.panel = activationBytes(kernel, held) + (kernel.kernel().spec().compute == Compute::I8 ? held * 4 : 0);
  if (artifact.splits > 1) {
    const GpuKernel &gpu = artifact.gpuKernels.back();
    bytes.workspace = artifact.splits * m * workspaceColumns(kernel.kernel().spec()) * 4;
    bytes.counters = (m + gpu.rowsPerBlock - 1) / gpu.rowsPerBlock * gpu.gridY * 4;
  }
  return bytes;
}

Status CudaWeight::linear(const LoadedCudaKernel &kernel, const LinearArgs &given, const LinearMemory &memory,
                          cuda::Stream stream) const {
  if (Status status = given.verify(rows, columns); !status)
    return status;
  if (Status status = verifyPatches(given); !status)
    return status;
  const LinearArgs args = withoutPointwise(given);
  if (!args.m || !rows)
    return {};
  const KernelSpec &spec = kernel.kernel().spec();
  const Artifact &artifact = kernel.kernel().artifact();
  if (!(CallKey(args) == CallKey(spec)) || rowsOfKernel(args) != spec.rows || spec.n != rows || spec.k != columns)
    return invalidArgument("kernel " + artifact.name + " is not the one for this call with " + std::to_string(args.m) +
                           " rows: use the one that kernel() gives for it");
  const LinearMemoryBytes needed = memoryBytes(kernel, args.m);
  if ((needed.panel && !memory.panel) || (needed.workspace && !memory.workspace) ||
      (needed.counters && !memory.counters))
    return invalidArgument("kernel " + artifact.name + " needs " + std::to_string(needed.panel) + " bytes of panel, " +
                           std::to_string(needed.workspace) + " of workspace and " + std::to_string(needed.counters) +
                           " of counters, and one of them is null");

  const bool hasPanel = artifact.rowMajorColumns && !areRowsPrepared(spec, artifact, args);
  if (!hasPanel)
    return multiply(kernel, args, memory, args.x, args.xStride, stream);
  const int64_t held = panelRows(kernel, args.m);
  LinearArgs part = args;
  for (int64_t first = 0; first < args.m; first += held) {
    part.m = std::min(held, args.m - first);
    part.y = static_cast<uint8_t *>(args.y) + first * args.yStride * sizeOf(args.dataType);
    if (Status status = prepareRows(kernel, part, first, memory, stream); !status)
      return status;
    if (Status status = multiply(kernel, part, memory, memory.panel, artifact.rowMajorColumns, stream); !status)
      return status;
  }
  return {};
}

float *CudaWeight::rowScales(const LoadedCudaKernel &kernel, const LinearArgs &args, const LinearMemory &memory) {
  if (kernel.kernel().spec().compute != Compute::I8)
    return nullptr;
  return reinterpret_cast<float *>(static_cast<uint8_t *>(memory.panel) + activationBytes(kernel, args.m));
}

Status CudaWeight::prepareRows(const LoadedCudaKernel &kernel, const LinearArgs &args, int64_t first,
                               const LinearMemory &memory, cuda::Stream stream) const {
  const auto m = static_cast<int32_t>(args.m);
  auto launch = [&](auto... arguments) {
    if (args.geometry)
      return launchPatches<cuda::PrepareFn>(kernel, 0, m, stream, *args.geometry, first, arguments...);
    return kernel.launch<cuda::PrepareFn>(0, m, stream, arguments...);
  };
  return launch(args.x, at<int32_t>(permutation), at<float>(columnScale), args.activationScale, memory.panel,
                rowScales(kernel, args, memory), args.xStride, m);
}

Status CudaWeight::multiply(const LoadedCudaKernel &kernel, const LinearArgs &args, const LinearMemory &memory,
                            const void *x, int64_t xStride, cuda::Stream stream) const {
  const Artifact &artifact = kernel.kernel().artifact();
  const size_t index = artifact.gpuKernels.size() - 1;
  const auto m = static_cast<int32_t>(args.m);
  const bool isSplit = artifact.splits > 1;
  auto launch = [&](auto... arguments) {
    if (args.geometry && !artifact.rowMajorColumns)
      return launchPatches<cuda::LinearFn>(kernel, index, m, stream, *args.geometry, 0, arguments...);
    return kernel.launch<cuda::LinearFn>(index, m, stream, arguments...);
  };
  return launch(mixedCodes ? mixedCodes : at<void>(codes), at<void>(scales), at<void>(zeros),
                at<cuda::WeightTable>(table), args.bias, x, rowScales(kernel, args, memory), at<int32_t>(permutation),
                at<float>(columnScale), args.y, isSplit ? static_cast<float *>(memory.workspace) : nullptr,
                isSplit ? static_cast<int32_t *>(memory.counters) : nullptr, xStride, args.yStride, m);
}
