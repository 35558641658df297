// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The shared memory of a block of threads, and who has used each of its bytes since the last barrier.
#ifndef BQ_RUNTIME_EMU_SHAREDMEMORY_H
#define BQ_RUNTIME_EMU_SHAREDMEMORY_H

#include "runtime/emu/EmuAbi.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace bq::emu {

/// 16 bytes to be copied to shared memory.
struct AsyncCopy {
  char *target;
  const char *source;
  int valid; ///< Bytes from `source`; the rest is zeros.
};

/// Used by one thread.
class SharedMemory {
public:
  static constexpr size_t copyBytes = 16;

  explicit SharedMemory(size_t bytes);

  /// Aligned to 128 bytes.
  char *data() const { return bytes.get(); }
  /// For the next block: nothing is kept, and every float is NaN.
  void reset();
  /// What the threads did before is seen by all of them after.
  void passBarrier() { ++epoch; }

  /// Notes an access of `thread` to `count` bytes, a power of two, at `address`. Gives what is wrong with it, or an
  /// empty string.
  std::string access(const void *address, size_t count, BQEmuAccess access, int thread);
  /// Notes that `thread` has a copy under way: until it arrives nobody may use the target, which is NaN. Gives what is
  /// wrong with it, or an empty string.
  std::string startCopy(const AsyncCopy &copy, int thread);
  /// The copy arrives.
  void finishCopy(const AsyncCopy &copy);

private:
  struct Use {
    uint32_t writeEpoch = 0, readEpoch = 0;
    uint16_t writer = 0, reader = 0;
    bool copying = false;
  };
  static constexpr uint16_t severalReaders = UINT16_MAX;
  struct Free {
    void operator()(char *data) const { ::operator delete(data, std::align_val_t(128)); }
  };

  std::string race(size_t offset, bool write, int thread) const;

  size_t size;
  std::unique_ptr<char, Free> bytes;
  std::vector<Use> uses; ///< One for each byte.
  uint32_t epoch = 1;    ///< Number of barriers passed; uses of another epoch count no longer.
};

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_SHAREDMEMORY_H
