// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The global memory of a launch: which addresses may be read and written.
#ifndef BQ_RUNTIME_EMU_BUFFERTABLE_H
#define BQ_RUNTIME_EMU_BUFFERTABLE_H

#include "runtime/emu/EmuAbi.h"
#include "runtime/emu/Emulator.h"

#include <string>
#include <vector>

namespace bq::emu {

/// Not for several threads at a time.
class BufferTable {
public:
  explicit BufferTable(std::vector<Buffer> buffers) : buffers(std::move(buffers)) {}

  /// What is wrong with an access to `bytes` bytes at `address`, which must be a multiple of `alignment`, a power of
  /// two; empty where nothing is.
  std::string check(const void *address, size_t bytes, size_t alignment, BQEmuAccess access);

private:
  std::string outside(uintptr_t address, const std::string &what) const;

  std::vector<Buffer> buffers;
  size_t last = 0; ///< Where the latest access was; the next one is likely there too.
};

/// "loads 16 bytes", or what else an access does.
std::string describeAccess(BQEmuAccess access, size_t bytes);

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_BUFFERTABLE_H
