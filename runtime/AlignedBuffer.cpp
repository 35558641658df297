// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/AlignedBuffer.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/mman.h>

using namespace bq;

namespace {

constexpr size_t hugePage = size_t{2} << 20;
constexpr size_t hugeFrom = size_t{1} << 20;

size_t roundUp(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

uint8_t *mapHuge(size_t bytes) {
  size_t size = roundUp(bytes, hugePage);
  // One page more, so that a multiple of the page's size lies inside; the rest goes back.
  void *mapped = mmap(nullptr, size + hugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED)
    return nullptr;
  auto begin = reinterpret_cast<uintptr_t>(mapped), aligned = roundUp(begin, hugePage);
  if (aligned != begin)
    munmap(mapped, aligned - begin);
  if (size_t after = begin + hugePage - aligned)
    munmap(reinterpret_cast<void *>(aligned + size), after);
  auto *memory = reinterpret_cast<uint8_t *>(aligned);
  // Only speed is lost where the system refuses.
  madvise(memory, size, MADV_HUGEPAGE);
  return memory;
}

} // namespace

Expected<AlignedBuffer> AlignedBuffer::allocate(size_t bytes) {
  AlignedBuffer buffer;
  if (!bytes)
    return buffer;
  if (bytes >= SIZE_MAX / 4)
    return invalidArgument("a weight or panel of " + std::to_string(bytes) + " bytes does not fit memory");
  if (bytes >= hugeFrom) {
    buffer.memory = mapHuge(bytes);
  } else {
    size_t size = roundUp(bytes, alignment);
    buffer.memory = static_cast<uint8_t *>(std::aligned_alloc(alignment, size));
    if (buffer.memory)
      std::memset(buffer.memory, 0, size);
  }
  if (!buffer.memory)
    return unsupported("out of memory: " + std::to_string(bytes) + " bytes are needed for a weight or panel");
  buffer.bytes = bytes;
  return buffer;
}

void AlignedBuffer::discard() {
  // Only that pages stay in use longer is lost where the system refuses.
  if (bytes >= hugeFrom)
    madvise(memory, roundUp(bytes, hugePage), MADV_FREE);
}

AlignedBuffer::~AlignedBuffer() {
  if (bytes >= hugeFrom)
    munmap(memory, roundUp(bytes, hugePage));
  else
    std::free(memory);
}

void bq::moveToHugePages(const void *memory, size_t bytes) {
#ifndef MADV_COLLAPSE // Of Linux 6.1, whose number is newer than some headers.
  constexpr int MADV_COLLAPSE = 25;
#endif
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  const size_t first = roundUp(begin, hugePage), last = (begin + bytes) / hugePage * hugePage;
  if (first < last)
    madvise(reinterpret_cast<void *>(first), last - first, MADV_COLLAPSE);
}

Expected<ScratchLease> ScratchLease::take(Kind kind, size_t bytes) {
  thread_local AlignedBuffer kept[3];
  ScratchLease lease(&kept[static_cast<int>(kind)]);
  // Taken out while the lease lives: a second lease then finds nothing there.
  lease.buffer = std::move(*lease.kept);
  if (lease.buffer.size() < bytes) {
    Expected<AlignedBuffer> larger = AlignedBuffer::allocate(bytes);
    if (!larger)
      return larger.error();
    lease.buffer = std::move(*larger);
  }
  return lease;
}

ScratchLease::~ScratchLease() {
  if (kept && kept->size() < buffer.size())
    *kept = std::move(buffer);
}
