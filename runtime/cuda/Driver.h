// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// NVIDIA's driver and its devices, opened when first needed.
#ifndef BQ_RUNTIME_CUDA_DRIVER_H
#define BQ_RUNTIME_CUDA_DRIVER_H

#include "dialect/core/CudaTarget.h"
#include "runtime/cuda/DriverApi.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bq {

class Driver;

/// One GPU. Usable from any thread; lives as long as its driver.
class CudaDevice {
public:
  const Driver &driver() const { return owner; }
  int ordinal() const { return number; } ///< As CUDA and LibTorch count, from 0.
  const std::string &name() const { return model; }
  CudaTarget capability() const { return target; }
  int multiprocessors() const { return processors; }
  /// Shared memory that a block of threads may have.
  int64_t maxSharedBytes() const { return sharedBytes; }
  /// Bytes a second that its memory gives by clock and width; 0 where the driver does not say.
  double memoryBytesPerSecond() const { return bytesPerSecond; }

  /// The primary context, which LibTorch uses too: retained on the first call and never released.
  Expected<cuda::Context> context() const;

private:
  friend class Driver;
  CudaDevice(const Driver &owner, int number) : owner(owner), number(number) {}
  Status read();

  const Driver &owner;
  const int number;
  cuda::DeviceId id = 0;
  std::string model;
  CudaTarget target;
  int processors = 0;
  int64_t sharedBytes = 0;
  double bytesPerSecond = 0;
  mutable std::atomic<cuda::Context> primary{nullptr};
};

/// Usable from any thread. Not in a child of fork(), which CUDA does not survive: there all calls are errors that say
/// so.
class Driver {
public:
  /// The driver of this process, named by Options, opened on the first call. Without a driver, or without a GPU that it
  /// can use, every call is Unsupported with the same sentence; such a failure is not remembered.
  static Expected<const Driver *> process();
  /// Opens the driver at `path` and lists its devices; no context is made. Errors as above.
  static Expected<std::unique_ptr<const Driver>> open(const std::string &path);

  const cuda::DriverApi &api() const { return functions; }
  int devices() const { return static_cast<int>(all.size()); }
  /// InvalidArgument where there is none of this number.
  Expected<const CudaDevice *> device(int ordinal) const;
  /// The newest version of CUDA that the driver serves, as "13.0".
  std::string version() const;

  /// Whether `stream`, of the current context, is being captured into a graph.
  Expected<bool> isCapturing(cuda::Stream stream) const;

  /// What a call that failed means, after `what`: the driver's name for it and its words. Io where the device is out of
  /// memory, Unsupported where driver, device and code do not fit each other, else Internal.
  Error error(const std::string &what, cuda::Result result) const;

private:
  Driver() = default;
  Status start(const std::string &path);

  cuda::DriverApi functions;
  int versionNumber = 0;
  uint64_t generation = 0; ///< forkGeneration() when it was opened.
  std::vector<std::unique_ptr<CudaDevice>> all;
};

/// While one lives, the primary context of a device is that of the calling thread. Costs next to nothing where it is
/// that already.
class CurrentContext {
public:
  explicit CurrentContext(const CudaDevice &device);
  ~CurrentContext();
  CurrentContext(const CurrentContext &) = delete;
  CurrentContext &operator=(const CurrentContext &) = delete;

  /// Whether it worked.
  Status status;

private:
  const cuda::DriverApi &api;
  bool isPushed = false;
};

/// While one lives, the calling thread may load code although another one captures a stream.
class RelaxedCapture {
public:
  explicit RelaxedCapture(const cuda::DriverApi &api) : api(api) { api.exchangeCaptureMode(&mode); }
  ~RelaxedCapture() { api.exchangeCaptureMode(&mode); }
  RelaxedCapture(const RelaxedCapture &) = delete;
  RelaxedCapture &operator=(const RelaxedCapture &) = delete;

private:
  const cuda::DriverApi &api;
  int mode = cuda::captureModeRelaxed;
};

} // namespace bq

#endif // BQ_RUNTIME_CUDA_DRIVER_H
