// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Machine code from our own compiler, made callable in microseconds and without LLVM.
#ifndef BQ_RUNTIME_ELFLOADER_H
#define BQ_RUNTIME_ELFLOADER_H

#include "dialect/core/Status.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bq {

/// One x86-64 relocatable ELF object in memory: code executable, constants readable, nothing writable. Owns its
/// mapping; pointers into it die with it. Immutable, so usable from any thread.
class LoadedObject {
public:
  /// Maps `object`, which need not be aligned or outlive the call. Refuses, with the reason, everything that kernels
  /// do not have: undefined symbols, writable data, other relocations than 32-bit relative ones, and any field that
  /// points outside the file.
  static Expected<LoadedObject> load(const uint8_t *object, size_t size);

  LoadedObject(LoadedObject &&other) noexcept;
  LoadedObject &operator=(LoadedObject &&other) noexcept;
  ~LoadedObject();

  /// Address of a global function, or null.
  void *function(std::string_view name) const;

private:
  LoadedObject() = default;

  uint8_t *memory = nullptr;
  size_t bytes = 0;
  std::vector<std::pair<std::string, size_t>> functions; ///< Name, offset.
};

} // namespace bq

#endif // BQ_RUNTIME_ELFLOADER_H
