// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cuda/CudaKernels.h"

#include "runtime/KernelCache.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <unordered_set>

using namespace bq;

namespace {

/// How a caller gets the kernel of `spec` before a capture.
std::string preparation(const KernelSpec &spec) {
  if (spec.op == KernelSpec::Op::LinearInputGradient)
    return "backward() once";
  if (spec.op != KernelSpec::Op::Linear)
    return "bq::prepare(layer)";
  const int rows = spec.rows ? spec.rows : cuda::maxExactRows + 1;
  return "bq::prepare(layer, {" + std::to_string(rows) + "})" +
         (spec.rows ? "" : ", which is for any number of rows above " + std::to_string(cuda::maxExactRows) + ",");
}

} // namespace

Expected<CudaTarget> CudaKernels::target(const CudaDevice &device) const {
  if (const std::optional<CudaTarget> &chosen = artifacts.options().cudaTarget)
    return *chosen;
  const CudaTarget own = device.capability();
  if (own.major < 8)
    return unsupported("device " + std::to_string(device.ordinal()) + " (" + device.name() +
                       ") has compute capability " + std::to_string(own.major) + "." + std::to_string(own.minor) +
                       ": kernels need 8.0 or newer");
  return own;
}

Expected<const LoadedCudaKernel *> CudaKernels::make(const CompileRequest &request, const KernelKey &key,
                                                     const CudaDevice &device) {
  auto found = [&] { artifacts.countMemoryHit(); };
  auto kernel = kernels.get(key.text, found, [&]() -> OnceTable<CudaKernel>::Result {
    std::shared_ptr<const CudaKernel> made;
    Status status = artifacts.get(request, key, [&](Artifact artifact) -> Status {
      auto loaded = CudaKernel::load(device, request.spec, std::move(artifact));
      if (!loaded)
        return loaded.error();
      made = std::move(*loaded);
      return {};
    });
    if (!status)
      return status.error();
    return made;
  });
  if (!kernel)
    return kernel.error();
  return (*kernel)->on(device);
}

Expected<const LoadedCudaKernel *> CudaKernels::get(const KernelSpec &spec, const CudaDevice &device,
                                                    cuda::Stream stream) {
  Expected<CudaTarget> target = this->target(device);
  if (!target)
    return target.error();
  const CompileRequest request{spec, *target, /*schedule=*/""};
  const KernelKey key = KernelKey::get(request);
  if (std::shared_ptr<const CudaKernel> known = kernels.find(key.text))
    if (const LoadedCudaKernel *loaded = known->find(device)) {
      artifacts.countMemoryHit();
      return loaded;
    }
  {
    CurrentContext context(device);
    if (!context.status)
      return context.status.error();
    Expected<bool> capturing = gpus.isCapturing(stream);
    if (!capturing)
      return capturing.error();
    if (*capturing)
      return invalidArgument("kernel " + spec.name() + " is not loaded on device " + std::to_string(device.ordinal()) +
                             ", and cannot be while the stream is captured into a graph: call " + preparation(spec) +
                             " before the capture");
  }
  return make(request, key, device);
}

Status CudaKernels::prepare(const std::vector<KernelSpec> &specs, const CudaDevice &device) {
  Expected<CudaTarget> target = this->target(device);
  if (!target)
    return target.error();
  std::vector<Status> results(specs.size());
  std::atomic<size_t> next{0};
  auto work = [&] {
    for (size_t i = next++; i < specs.size(); i = next++) {
      const CompileRequest request{specs[i], *target, /*schedule=*/""};
      if (auto made = make(request, KernelKey::get(request), device); !made)
        results[i] = made.error();
    }
  };
  std::vector<std::thread> threads;
  const size_t count = std::min<size_t>(specs.size(), std::max(1u, std::thread::hardware_concurrency()));
  try {
    while (threads.size() + 1 < count)
      threads.emplace_back(work);
  } catch (const std::system_error &) {
    // Where the system gives no more threads, those there are do all of it.
  }
  work();
  for (std::thread &thread : threads)
    thread.join();
  auto failed = std::find_if(results.begin(), results.end(), [](const Status &status) { return !status.ok(); });
  return failed == results.end() ? Status() : *failed;
}

Expected<CudaKernels *> CudaKernels::process() {
  static std::atomic<CudaKernels *> known{nullptr};
  if (CudaKernels *kernels = known.load(std::memory_order_acquire))
    return kernels;
  Expected<KernelCache *> cache = KernelCache::process();
  if (!cache)
    return cache.error();
  Expected<const Driver *> driver = Driver::process();
  if (!driver)
    return driver.error();
  auto made = std::make_unique<CudaKernels>(**driver, (*cache)->artifacts());
  CudaKernels *first = nullptr;
  if (known.compare_exchange_strong(first, made.get(), std::memory_order_acq_rel))
    return made.release();
  return first;
}

bool bq::isLasting(const Error &error) {
  return error.code != ErrorCode::InvalidArgument && error.code != ErrorCode::Io;
}

Error bq::firstLine(const Error &error) { return {error.code, error.message.substr(0, error.message.find('\n'))}; }

bool bq::fallsBack(const KernelSpec &spec, const Error &error) {
  if (!isLasting(error))
    return false;
  bool isNew;
  {
    std::lock_guard<std::mutex> guard(forkSafeMutex());
    static auto *warned = new std::unordered_set<std::string>;
    isNew = warned->insert(spec.str()).second;
  }
  if (isNew)
    logLine("warning: kernel " + spec.name() +
            " is replaced by dequantizing the weight and multiplying: " + firstLine(error).message);
  return true;
}
