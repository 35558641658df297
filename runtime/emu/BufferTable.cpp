// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/BufferTable.h"

#include <cstdio>

using namespace bq;
using namespace bq::emu;

std::string emu::describeAccess(BQEmuAccess access, size_t bytes) {
  const char *verbs[] = {"loads ", "loads (streamed) ", "stores ", "adds to "};
  return verbs[access] + std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
}

std::string BufferTable::check(const void *pointer, size_t bytes, size_t alignment, BQEmuAccess access) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  auto holds = [&](const Buffer &buffer) {
    const uintptr_t offset = address - reinterpret_cast<uintptr_t>(buffer.data);
    return offset < buffer.bytes && buffer.bytes - offset >= bytes;
  };
  if (last >= buffers.size() || !holds(buffers[last]))
    for (last = 0; last < buffers.size() && !holds(buffers[last]);)
      ++last;
  if (last == buffers.size())
    return outside(address, describeAccess(access, bytes));
  const Buffer &buffer = buffers[last];
  const bool writes = access == BQEmuStore || access == BQEmuAtomic;
  const bool misaligned = address & (alignment - 1);
  const char *rule = misaligned                                       ? "is not aligned to "
                     : writes && !buffer.writable                     ? "is read-only"
                     : access == BQEmuStreamedLoad && buffer.writable ? "is writable, so no streamed load may read it"
                                                                      : nullptr;
  if (!rule)
    return {};
  std::string text = describeAccess(access, bytes) + " at byte " +
                     std::to_string(address - reinterpret_cast<uintptr_t>(buffer.data)) + " of buffer " +
                     std::to_string(last) + ", which " + rule;
  return misaligned ? text + std::to_string(alignment) : text;
}

std::string BufferTable::outside(uintptr_t address, const std::string &what) const {
  char number[32];
  std::snprintf(number, sizeof(number), "%#zx", static_cast<size_t>(address));
  std::string text = what + " at " + (address ? number : "null") + ", outside of the launch's buffers";
  size_t nearest = buffers.size(), distance = SIZE_MAX;
  for (size_t i = 0; i < buffers.size(); ++i) {
    const auto start = reinterpret_cast<uintptr_t>(buffers[i].data);
    const size_t away = address < start ? start - address : address - start;
    if (buffers[i].bytes && away < distance) {
      nearest = i;
      distance = away;
    }
  }
  if (!address || nearest == buffers.size())
    return text;
  const auto start = reinterpret_cast<uintptr_t>(buffers[nearest].data);
  return text + "; byte " + (address < start ? "-" : "") + std::to_string(distance) + " of buffer " +
         std::to_string(nearest) + ", which has " + std::to_string(buffers[nearest].bytes);
}
