// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Launches kernels for GPUs on the CPU, and finds what on a device would be silent: races, divergence, stray accesses.
///
/// The threads of a block are fibers that run in a random order and change at barriers and at operations of a warp;
/// blocks run one after another, in a random order. Everything is checked: global memory against the buffers of the
/// launch, shared memory against its size and for accesses of two threads without a barrier between them, copies for
/// use before they have been waited for, alignment, and that all threads come to the same barrier and all lanes to the
/// same operation. Shared memory starts as NaN, whatever its elements are.
#ifndef BQ_RUNTIME_EMU_EMULATOR_H
#define BQ_RUNTIME_EMU_EMULATOR_H

#include "codegen/Artifact.h"
#include "dialect/core/Status.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace bq::emu {

/// Memory that a launch may use as global memory. Owned by the caller.
struct Buffer {
  const void *data = nullptr; ///< May be null where `bytes` is 0. Written only where `writable`.
  size_t bytes = 0;
  bool writable = false; ///< Where false, a store is an error; where true, a streamed load is.
};

/// Numbers of blocks of threads.
struct Grid {
  int64_t x = 1, y = 1, z = 1;
};

/// Runs `callOneThread` once for every thread of the grid, on a fiber: it calls the kernel's function with the
/// arguments of the launch. Of `kernel` the entry, threads and sharedBytes count. `seed` picks the order of threads and
/// blocks. The first fault ends the launch, and the error (Internal) names the kernel, block, thread, line and what was
/// wrong there. InvalidArgument for threads out of 1..1024, or an empty grid. May be called from any thread, several at
/// a time.
Status launch(const GpuKernel &kernel, Grid grid, const std::vector<Buffer> &buffers,
              const std::function<void()> &callOneThread, uint64_t seed);

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_EMULATOR_H
