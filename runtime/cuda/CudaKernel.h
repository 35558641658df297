// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A kernel for GPUs that can be launched.
#ifndef BQ_RUNTIME_CUDA_CUDAKERNEL_H
#define BQ_RUNTIME_CUDA_CUDAKERNEL_H

#include "codegen/Artifact.h"
#include "codegen/KernelSpec.h"
#include "runtime/cuda/Driver.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace bq {

class CudaKernel;

/// A kernel on one device. Immutable, usable from any thread; lives as long as its CudaKernel.
class LoadedCudaKernel {
public:
  const CudaKernel &kernel() const { return owner; }
  const CudaDevice &device() const { return place; }

  /// Launches artifact().gpuKernels[index], a function of type Fn of CudaAbi.h, over `rows` rows with these arguments,
  /// on `stream` of the device. Waits for nothing and allocates nothing. InvalidArgument where the rows need more
  /// blocks than a grid has; otherwise errors are the driver's, also of what was launched before.
  template <typename Fn, typename... Args>
  Status launch(size_t index, int64_t rows, cuda::Stream stream, Args... args) const {
    return launchAs(static_cast<Fn>(nullptr), index, rows, stream, args...);
  }

private:
  friend class CudaKernel;
  LoadedCudaKernel(const CudaKernel &owner, const CudaDevice &place) : owner(owner), place(place) {}

  /// Keeps a parameter from taking part in deduction, so that arguments are converted as in a call.
  template <typename T>
  struct Exactly {
    using Type = T;
  };
  template <typename... Parameters>
  Status launchAs(void (*)(Parameters...), size_t index, int64_t rows, cuda::Stream stream,
                  typename Exactly<Parameters>::Type... args) const {
    void *pointers[] = {const_cast<void *>(static_cast<const void *>(&args))...};
    return launch(index, rows, stream, pointers);
  }
  Status launch(size_t index, int64_t rows, cuda::Stream stream, void **arguments) const;

  const CudaKernel &owner;
  const CudaDevice &place;
  std::vector<cuda::Function> functions; ///< Of artifact().gpuKernels.
};

/// Code for one architecture and the devices of that architecture where it is loaded. Usable from any thread.
class CudaKernel {
public:
  /// Loads the artifact's code, and its functions on `device`. Internal where the artifact cannot be what it should;
  /// Unsupported where the device cannot run it, with what it could; the driver's errors otherwise.
  static Expected<std::shared_ptr<const CudaKernel>> load(const CudaDevice &device, const KernelSpec &spec,
                                                          Artifact artifact);
  ~CudaKernel();

  const KernelSpec &spec() const { return description; }
  /// Without its object.
  const Artifact &artifact() const { return metadata; }

  /// The kernel on a device, where it is then loaded if it was not; errors as above.
  Expected<const LoadedCudaKernel *> on(const CudaDevice &device) const;
  /// The same; null where it is not loaded there.
  const LoadedCudaKernel *find(const CudaDevice &device) const;

private:
  struct Place {
    std::atomic<const LoadedCudaKernel *> loaded{nullptr};
    std::atomic<cuda::Module> module{nullptr}; ///< Where the driver has no libraries.
  };
  CudaKernel(const Driver &driver, KernelSpec spec, Artifact artifact);

  Status verify() const;
  Status loadCode();
  Expected<cuda::Function> function(const CudaDevice &device, const GpuKernel &kernel) const;
  Expected<cuda::Module> module(const CudaDevice &device) const;
  Error failure(const std::string &step, cuda::Result result) const;

  const Driver &driver;
  KernelSpec description;
  Artifact metadata;
  std::string image;                 ///< Ends in a zero byte, as the driver wants of PTX.
  cuda::Library library = nullptr;   ///< For all devices.
  mutable std::vector<Place> places; ///< By ordinal.
};

} // namespace bq

#endif // BQ_RUNTIME_CUDA_CUDAKERNEL_H
