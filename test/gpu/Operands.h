// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Memory of the device for the operands of one call that has them on the host.
#ifndef BQ_TEST_GPU_OPERANDS_H
#define BQ_TEST_GPU_OPERANDS_H

#include "test/gpu/DeviceMemory.h"

#include <deque>
#include <vector>

namespace bq::test {

/// What one call reads and writes, on the device. Usable until an error, which status() says.
class Operands {
public:
  explicit Operands(const DeviceMemory &memory) : memory(memory) {}

  /// A copy of the host's bytes; null where there are none. The address has the host's remainder by `alignment`.
  template <typename T>
  const T *read(const T *host, int64_t bytes, size_t alignment = 1) {
    return host ? static_cast<const T *>(copy(host, bytes, alignment)) : nullptr;
  }
  /// The same, and finish() copies back what is then there.
  template <typename T>
  T *write(T *host, int64_t bytes, size_t alignment = 1) {
    if (!host)
      return nullptr;
    void *device = copy(host, bytes, alignment);
    written.push_back({host, device, static_cast<size_t>(bytes)});
    return static_cast<T *>(device);
  }
  /// Memory that begins with bytes of `value`; null where there are none.
  void *fill(int64_t bytes, uint8_t value) {
    return bytes ? copy(std::vector<uint8_t>(bytes, value).data(), bytes, 1) : nullptr;
  }

  const Status &status() const { return state; }
  /// Waits for the device, and copies results back.
  Status finish() {
    if (state)
      state = memory.synchronize();
    for (const Result &result : written)
      if (state)
        state = memory.copyOut(result.host, result.device, result.bytes);
    return state;
  }

private:
  struct Result {
    void *host;
    const void *device;
    size_t bytes;
  };

  void *copy(const void *host, int64_t bytes, size_t alignment) {
    if (!state || !bytes)
      return nullptr;
    const size_t remainder = reinterpret_cast<uintptr_t>(host) % alignment;
    Expected<DeviceBlock> block = DeviceBlock::allocate(memory, remainder + bytes);
    if (!block) {
      state = block.error();
      return nullptr;
    }
    void *device = static_cast<uint8_t *>(block->data()) + remainder;
    state = memory.copyIn(device, host, bytes);
    blocks.push_back(std::move(*block));
    return device;
  }

  const DeviceMemory &memory;
  std::deque<DeviceBlock> blocks;
  std::vector<Result> written;
  Status state;
};

} // namespace bq::test

#endif // BQ_TEST_GPU_OPERANDS_H
