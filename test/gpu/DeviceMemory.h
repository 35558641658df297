// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Memory of a GPU and the time that its work takes, for programs without LibTorch.
#ifndef BQ_TEST_GPU_DEVICEMEMORY_H
#define BQ_TEST_GPU_DEVICEMEMORY_H

#include "runtime/cuda/Driver.h"

#include <cstddef>
#include <cstdint>
#include <functional>

namespace bq::test {

/// The driver's functions for one device, which are not among those that bq itself calls. All work goes to the default
/// stream. Calls may come from any thread.
class DeviceMemory {
public:
  /// Looks the functions up in the driver of Options. Unsupported where it lacks one.
  static Expected<DeviceMemory> open(const CudaDevice &device);

  const CudaDevice &device() const { return *place; }

  /// At a multiple of 256 bytes, to be given back by free(). Errors are the driver's.
  Expected<void *> allocate(size_t bytes) const;
  void free(void *memory) const;
  Status copyIn(void *memory, const void *host, size_t bytes) const;
  Status copyOut(void *host, const void *memory, size_t bytes) const;
  /// Waits for all work; the error may be of any launch before.
  Status synchronize() const;

  /// Microseconds on the device that `work` takes, waited for. Errors are those of `work` or the driver's.
  Expected<double> microseconds(const std::function<Status()> &work) const;

private:
  using Address = unsigned long long;
  using Event = void *;

  explicit DeviceMemory(const CudaDevice &device) : place(&device) {}
  Status check(const char *what, cuda::Result result) const;

  const CudaDevice *place;
  cuda::Result (*allocateMemory)(Address *, size_t) = nullptr;
  cuda::Result (*freeMemory)(Address) = nullptr;
  cuda::Result (*copyToDevice)(Address, const void *, size_t) = nullptr;
  cuda::Result (*copyToHost)(void *, Address, size_t) = nullptr;
  cuda::Result (*synchronizeContext)() = nullptr;
  cuda::Result (*createEvent)(Event *, unsigned flags) = nullptr;
  cuda::Result (*destroyEvent)(Event) = nullptr;
  cuda::Result (*recordEvent)(Event, cuda::Stream) = nullptr;
  cuda::Result (*elapsedTime)(float *milliseconds, Event start, Event end) = nullptr;
};

/// A block of a device's memory, freed at the end.
class DeviceBlock {
public:
  /// Nothing is allocated for 0 bytes.
  static Expected<DeviceBlock> allocate(const DeviceMemory &memory, size_t bytes);
  DeviceBlock(DeviceBlock &&other) noexcept
      : memory(other.memory), block(std::exchange(other.block, nullptr)), size(other.size) {}
  DeviceBlock &operator=(DeviceBlock &&) = delete;
  ~DeviceBlock();

  /// Null where it has no bytes.
  void *data() const { return block; }
  size_t bytes() const { return size; }

private:
  DeviceBlock(const DeviceMemory &memory, void *block, size_t size) : memory(&memory), block(block), size(size) {}

  const DeviceMemory *memory;
  void *block;
  size_t size;
};

} // namespace bq::test

#endif // BQ_TEST_GPU_DEVICEMEMORY_H
