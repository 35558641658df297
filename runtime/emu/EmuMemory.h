// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Memory for launches on the emulator.
#ifndef BQ_RUNTIME_EMU_EMUMEMORY_H
#define BQ_RUNTIME_EMU_EMUMEMORY_H

#include "runtime/emu/Emulator.h"

#include <cstring>
#include <vector>

namespace bq::emu {

/// Bytes at a multiple of 16, with 4 KiB around them that belong to no launch: an access outside is not in the memory
/// next to it.
class EmuMemory {
public:
  /// Begins as NaN, whatever the elements are.
  explicit EmuMemory(int64_t bytes) : words(2 * apart / 4 + (bytes + 3) / 4, ~uint32_t{0}), bytes(bytes) {}
  EmuMemory(const void *source, int64_t bytes) : EmuMemory(bytes) {
    if (bytes)
      std::memcpy(data<uint8_t>(), source, bytes);
  }

  /// Null where it has no bytes.
  template <typename T>
  T *data() {
    return const_cast<T *>(static_cast<const EmuMemory *>(this)->data<T>());
  }
  template <typename T>
  const T *data() const {
    return bytes ? reinterpret_cast<const T *>(words.data() + apart / 4) : nullptr;
  }

  Buffer readable() const { return {data<void>(), static_cast<size_t>(bytes), /*writable=*/false}; }
  Buffer writable() const { return {data<void>(), static_cast<size_t>(bytes), /*writable=*/true}; }

private:
  static constexpr int64_t apart = 4096;

  std::vector<uint32_t> words;
  int64_t bytes;
};

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_EMUMEMORY_H
