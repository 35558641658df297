// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Memory as kernels want it: aligned, and on 2 MiB pages where that pays.
#ifndef BQ_RUNTIME_ALIGNEDBUFFER_H
#define BQ_RUNTIME_ALIGNEDBUFFER_H

#include "dialect/core/Status.h"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace bq {

/// Owns memory that begins at a multiple of 64 bytes. From 1 MiB on it begins at a multiple of 2 MiB and asks for
/// transparent huge pages: a kernel that streams weights reads half as fast again from them.
class AlignedBuffer {
public:
  static constexpr size_t alignment = 64;

  AlignedBuffer() = default;
  /// Memory full of zeros. An error where the system has none left.
  static Expected<AlignedBuffer> allocate(size_t bytes);

  AlignedBuffer(AlignedBuffer &&other) noexcept
      : memory(std::exchange(other.memory, nullptr)), bytes(std::exchange(other.bytes, 0)) {}
  AlignedBuffer &operator=(AlignedBuffer &&other) noexcept {
    std::swap(memory, other.memory);
    std::swap(bytes, other.bytes);
    return *this;
  }
  ~AlignedBuffer();

  uint8_t *data() const { return memory; }
  size_t size() const { return bytes; }
  /// The system may take pages back where it runs short, until they are next written; what they hold is undefined.
  void discard();

private:
  uint8_t *memory = nullptr;
  size_t bytes = 0; ///< As asked for.
};

/// Asks the system to put huge pages below what lies in memory of another owner, which keeps its contents; other
/// threads may read it meanwhile. Only speed is lost where the system refuses.
void moveToHugePages(const void *memory, size_t bytes);

/// Scratch memory of the calling thread: kept from one call to the next, never shrinking. While one lease of a kind
/// lives, another one on the same thread (a caller's scheduler may run other work while it waits) gets memory of its
/// own.
class ScratchLease {
public:
  enum class Kind { Panel, Prepare, Linear };

  /// At least `bytes`, aligned to 64 bytes, not cleared.
  static Expected<ScratchLease> take(Kind kind, size_t bytes);

  ScratchLease(ScratchLease &&other) noexcept
      : kept(std::exchange(other.kept, nullptr)), buffer(std::move(other.buffer)) {}
  ScratchLease &operator=(ScratchLease &&) = delete;
  ~ScratchLease();

  uint8_t *data() const { return buffer.data(); }

private:
  explicit ScratchLease(AlignedBuffer *kept) : kept(kept) {}

  AlignedBuffer *kept; ///< The thread's buffer, which the memory goes back to.
  AlignedBuffer buffer;
};

} // namespace bq

#endif // BQ_RUNTIME_ALIGNEDBUFFER_H
