// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/Buffer.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

using namespace bq::conformance;

GuardedBuffer::GuardedBuffer(int64_t size) : bytes(size) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t usable = (size / page + 1) * page; // at least one byte before the data
  void *memory = mmap(nullptr, usable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mprotect(static_cast<uint8_t *>(memory) + usable, page, PROT_NONE) != 0)
    throw std::bad_alloc();
  mapped = static_cast<uint8_t *>(memory);
  reach = usable - size;
  std::memset(mapped, filler, usable);
}

GuardedBuffer::GuardedBuffer(GuardedBuffer &&other) noexcept
    : mapped(std::exchange(other.mapped, nullptr)), reach(other.reach), bytes(other.bytes) {}

GuardedBuffer &GuardedBuffer::operator=(GuardedBuffer &&other) noexcept {
  std::swap(mapped, other.mapped);
  std::swap(reach, other.reach);
  std::swap(bytes, other.bytes);
  return *this;
}

GuardedBuffer::~GuardedBuffer() {
  if (mapped)
    munmap(mapped, reach + bytes + sysconf(_SC_PAGESIZE));
}

bool GuardedBuffer::intactBefore() const {
  return std::all_of(mapped, mapped + reach, [](uint8_t byte) { return byte == filler; });
}
