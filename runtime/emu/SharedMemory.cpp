// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/SharedMemory.h"

#include "runtime/emu/BufferTable.h"

#include <algorithm>
#include <cstring>

using namespace bq;
using namespace bq::emu;

namespace {
// As bf16, as f16 and twice as f32 a NaN; of two kinds, so that a dump of memory shows which it is.
constexpr uint16_t neverWritten = 0xffa5, underWay = 0xffb6;

void fill(char *data, size_t bytes, uint16_t poison) {
  for (size_t i = 0; i < bytes; ++i)
    data[i] = static_cast<char>(poison >> i % 2 * 8);
}
} // namespace

SharedMemory::SharedMemory(size_t bytes)
    : size(bytes), bytes(static_cast<char *>(::operator new(bytes, std::align_val_t(128)))), uses(bytes) {}

void SharedMemory::reset() {
  fill(data(), size, neverWritten);
  std::fill(uses.begin(), uses.end(), Use());
  epoch = 1;
}

std::string SharedMemory::race(size_t offset, bool write, int thread) const {
  const Use &use = uses[offset];
  const std::string other = "thread " + std::to_string(use.writer);
  if (use.copying)
    return "where a copy of " + other + " has not been waited for";
  if (use.writeEpoch == epoch && use.writer != thread)
    return "which " + other + " has written without a barrier since";
  if (write && use.readEpoch == epoch && use.reader != thread)
    return "which " +
           (use.reader == severalReaders ? "other threads have" : "thread " + std::to_string(use.reader) + " has") +
           " read without a barrier since";
  return {};
}

std::string SharedMemory::access(const void *address, size_t count, BQEmuAccess access, int thread) {
  const size_t offset = reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(data());
  const bool write = access == BQEmuStore;
  auto describe = [&](size_t byte) {
    return describeAccess(access, count) + " at byte " + std::to_string(static_cast<ptrdiff_t>(byte)) +
           " of shared memory, ";
  };
  if (offset >= size || size - offset < count)
    return describe(offset) + "which has " + std::to_string(size);
  if (offset & (count - 1))
    return describe(offset) + "which is not aligned to " + std::to_string(count);
  for (size_t i = offset; i < offset + count; ++i) {
    Use &use = uses[i];
    const bool written = use.writeEpoch == epoch && use.writer != thread;
    const bool read = use.readEpoch == epoch && use.reader != thread;
    if (use.copying || written || (write && read))
      return describe(i) + race(i, write, thread);
    if (write) {
      use.writeEpoch = epoch;
      use.writer = static_cast<uint16_t>(thread);
    } else {
      use.reader = read ? severalReaders : static_cast<uint16_t>(thread);
      use.readEpoch = epoch;
    }
  }
  return {};
}

std::string SharedMemory::startCopy(const AsyncCopy &copy, int thread) {
  std::string fault = access(copy.target, copyBytes, BQEmuStore, thread);
  if (!fault.empty())
    return fault;
  for (size_t i = 0; i < copyBytes; ++i)
    uses[copy.target - data() + i].copying = true;
  fill(copy.target, copyBytes, underWay);
  return {};
}

void SharedMemory::finishCopy(const AsyncCopy &copy) {
  if (copy.valid) // else the source may be anything
    std::memcpy(copy.target, copy.source, copy.valid);
  std::memset(copy.target + copy.valid, 0, copyBytes - copy.valid);
  for (size_t i = 0; i < copyBytes; ++i) {
    Use &use = uses[copy.target - data() + i];
    use.copying = false;
    use.writeEpoch = epoch;
  }
}
