// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// libbq_compiler.so, opened when the first kernel has to be compiled.
#ifndef BQ_RUNTIME_COMPILERLIBRARY_H
#define BQ_RUNTIME_COMPILERLIBRARY_H

#include "codegen/Compiler.h"

#include <atomic>
#include <string>
#include <vector>

namespace bq {

/// Any thread; in a forked child too. The library stays open for the life of the process, as LLVM cannot be unloaded.
class CompilerLibrary {
public:
  /// The library at `path`; where empty, libbq_compiler.so beside the library or executable that holds this code, or in
  /// the lib folder next to that one. Nothing is opened yet.
  explicit CompilerLibrary(std::string path);
  /// A compiler that is there already, for tests; `api` outlives this.
  explicit CompilerLibrary(const CompilerApi *api) : api(api) {}

  /// Opens the library if that has not been done, which takes 20 ms. Unsupported where it cannot be opened or was built
  /// from other sources; the text names every path that was tried and why it failed. A failure is not remembered.
  Expected<const CompilerApi *> get();
  /// Whether get() has succeeded, so whether LLVM is in this process on bq's account.
  bool isLoaded() const { return api.load(std::memory_order_acquire) != nullptr; }
  /// Where get() looks, in order.
  const std::vector<std::string> &paths() const { return candidates; }

private:
  std::vector<std::string> candidates;
  std::atomic<const CompilerApi *> api{nullptr};
};

} // namespace bq

#endif // BQ_RUNTIME_COMPILERLIBRARY_H
