// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cuda/CudaKernel.h"

#include <climits>

using namespace bq;
using namespace bq::cuda;

namespace {

/// What every device has at most.
constexpr int64_t maxThreads = 1024, maxBlocksX = INT32_MAX, maxBlocksYZ = 65535;
/// What a function may use without being allowed more.
constexpr int64_t ordinarySharedBytes = 48 << 10;

size_t kernelsOf(const KernelSpec &spec, const Artifact &artifact) {
  if (spec.op == KernelSpec::Op::Update || spec.op == KernelSpec::Op::UpdateDense)
    return spec.scaling == ScaleUpdate::Tensor ? 4 : 2;
  const bool isProduct = spec.op == KernelSpec::Op::Linear || spec.op == KernelSpec::Op::Conv2d;
  return isProduct && artifact.rowMajorColumns ? 2 : 1;
}

} // namespace

Status LoadedCudaKernel::launch(size_t index, int64_t rows, Stream stream, void **arguments) const {
  const GpuKernel &kernel = owner.artifact().gpuKernels[index];
  const int64_t blocks = (rows + kernel.rowsPerBlock - 1) / kernel.rowsPerBlock;
  if (blocks < 1 || blocks > maxBlocksX)
    return invalidArgument(kernel.entry + ": " + std::to_string(rows) + " rows are " + std::to_string(blocks) +
                           " blocks in x, must be 1 to " + std::to_string(maxBlocksX) + ": use 1 to " +
                           std::to_string(maxBlocksX * kernel.rowsPerBlock) + " rows at a time");
  CurrentContext context(place);
  if (!context.status)
    return context.status;
  const Result result = place.driver().api().launchKernel(
      functions[index], static_cast<unsigned>(blocks), static_cast<unsigned>(kernel.gridY),
      static_cast<unsigned>(kernel.gridZ), static_cast<unsigned>(kernel.threads), 1, 1,
      static_cast<unsigned>(kernel.sharedBytes), stream, arguments, nullptr);
  if (result != success)
    return place.driver().error("launching " + kernel.entry, result);
  return {};
}

CudaKernel::CudaKernel(const Driver &driver, KernelSpec spec, Artifact artifact)
    : driver(driver), description(std::move(spec)), metadata(std::move(artifact)),
      image(metadata.object.begin(), metadata.object.end()), places(driver.devices()) {
  metadata.object = {};
}

CudaKernel::~CudaKernel() {
  if (library)
    driver.api().libraryUnload(library);
  for (int i = 0; i < driver.devices(); ++i) {
    delete places[i].loaded.load();
    if (Module module = places[i].module.load())
      if (CurrentContext context(**driver.device(i)); context.status)
        driver.api().moduleUnload(module);
  }
}

Error CudaKernel::failure(const std::string &step, Result result) const {
  return driver.error("kernel " + metadata.name + ": " + step, result);
}

Status CudaKernel::verify() const {
  auto refuse = [&](const std::string &why) { return internalError("kernel " + metadata.name + ": " + why); };
  if (metadata.gpuKernels.size() != kernelsOf(description, metadata))
    return refuse("its metadata has " + std::to_string(metadata.gpuKernels.size()) + " functions, needs " +
                  std::to_string(kernelsOf(description, metadata)));
  if (metadata.rowMajorColumns < 0 || metadata.rowMajorBytes < 1 || metadata.splits < 1)
    return refuse("its metadata has a size out of range");
  for (const GpuKernel &kernel : metadata.gpuKernels) {
    if (kernel.threads < 1 || kernel.threads > maxThreads || kernel.rowsPerBlock < 1 || kernel.sharedBytes < 0 ||
        kernel.gridY < 1 || kernel.gridZ < 1)
      return refuse("the metadata of " + kernel.entry + " has a size out of range");
    for (auto [axis, blocks] : {std::pair("y", kernel.gridY), std::pair("z", kernel.gridZ)}) {
      if (blocks <= maxBlocksYZ)
        continue;
      const int64_t size = description.n ? description.n : description.k;
      return unsupported(kernel.entry + ": its grid has " + std::to_string(blocks) + " blocks in " + axis +
                         ", a GPU takes at most " + std::to_string(maxBlocksYZ) + ": use a weight of at most " +
                         std::to_string(size / blocks * maxBlocksYZ) + (description.n ? " rows" : " columns"));
    }
  }
  return {};
}

Status CudaKernel::loadCode() {
  if (!driver.api().hasLibraries())
    return {};
  Result result = driver.api().libraryLoadData(&library, image.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0);
  if (result != success)
    return failure("loading its code", result);
  // The driver has a copy.
  image = {};
  return {};
}

Expected<std::shared_ptr<const CudaKernel>> CudaKernel::load(const CudaDevice &device, const KernelSpec &spec,
                                                             Artifact artifact) {
  std::shared_ptr<CudaKernel> kernel(new CudaKernel(device.driver(), spec, std::move(artifact)));
  if (Status status = kernel->verify(); !status)
    return status.error();
  {
    RelaxedCapture relaxed(device.driver().api());
    CurrentContext context(device);
    if (!context.status)
      return context.status.error();
    if (Status status = kernel->loadCode(); !status)
      return status.error();
  }
  if (Expected<const LoadedCudaKernel *> loaded = kernel->on(device); !loaded)
    return loaded.error();
  return std::shared_ptr<const CudaKernel>(std::move(kernel));
}

/// The code in the context of a device, which must be current.
Expected<Module> CudaKernel::module(const CudaDevice &device) const {
  Place &place = places[device.ordinal()];
  if (Module known = place.module.load(std::memory_order_acquire))
    return known;
  Module made = nullptr, first = nullptr;
  if (Result result = driver.api().moduleLoadData(&made, image.c_str()); result != success)
    return failure("loading its code on device " + std::to_string(device.ordinal()), result);
  if (place.module.compare_exchange_strong(first, made, std::memory_order_acq_rel))
    return made;
  driver.api().moduleUnload(made);
  return first;
}

Expected<Function> CudaKernel::function(const CudaDevice &device, const GpuKernel &kernel) const {
  const DriverApi &api = driver.api();
  if (kernel.sharedBytes > device.maxSharedBytes())
    return unsupported(kernel.entry + " needs " + std::to_string(kernel.sharedBytes) +
                       " bytes of shared memory for a block, and device " + std::to_string(device.ordinal()) + " (" +
                       device.name() + ") has " + std::to_string(device.maxSharedBytes()));
  Function function = nullptr;
  LibraryKernel inLibrary = nullptr;
  Result result;
  if (library) {
    result = api.libraryGetKernel(&inLibrary, library, kernel.entry.c_str());
    if (result == success)
      result = api.kernelGetFunction(&function, inLibrary);
  } else {
    Expected<Module> code = module(device);
    if (!code)
      return code.error();
    result = api.moduleGetFunction(&function, *code, kernel.entry.c_str());
  }
  if (result == success && api.functionLoad)
    result = api.functionLoad(function);
  if (result == success && kernel.sharedBytes > ordinarySharedBytes)
    result = api.functionSetAttribute(function, maxDynamicSharedBytes, static_cast<int>(kernel.sharedBytes));
  if (result != success)
    return failure("loading " + kernel.entry + " on device " + std::to_string(device.ordinal()), result);
  return function;
}

const LoadedCudaKernel *CudaKernel::find(const CudaDevice &device) const {
  return places[device.ordinal()].loaded.load(std::memory_order_acquire);
}

Expected<const LoadedCudaKernel *> CudaKernel::on(const CudaDevice &device) const {
  if (const LoadedCudaKernel *known = find(device))
    return known;
  RelaxedCapture relaxed(driver.api());
  CurrentContext context(device);
  if (!context.status)
    return context.status.error();
  std::unique_ptr<LoadedCudaKernel> made(new LoadedCudaKernel(*this, device));
  for (const GpuKernel &kernel : metadata.gpuKernels) {
    Expected<Function> loaded = function(device, kernel);
    if (!loaded)
      return loaded.error();
    made->functions.push_back(*loaded);
  }
  // Two threads that come here at once have the same functions.
  const LoadedCudaKernel *first = nullptr;
  if (places[device.ordinal()].loaded.compare_exchange_strong(first, made.get(), std::memory_order_acq_rel))
    return made.release();
  return first;
}
