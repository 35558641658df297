// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/Emulator.h"

#include "runtime/emu/Multiprocessor.h"

#include <algorithm>
#include <numeric>

using namespace bq;
using namespace bq::emu;

namespace {

// Of the devices with compute capability 8.0 and above, the most that any has.
constexpr int64_t maxThreads = 1024, maxSharedBytes = 232448;
constexpr std::array<int64_t, 3> maxGrid = {INT32_MAX, 65535, 65535};

Status outOfRange(const GpuKernel &kernel, const char *what, int64_t value, int64_t least, int64_t most) {
  return invalidArgument(kernel.entry + ": " + what + " is " + std::to_string(value) + ", must be " +
                         std::to_string(least) + " to " + std::to_string(most));
}

} // namespace

Status emu::launch(const GpuKernel &kernel, Grid grid, const std::vector<Buffer> &buffers,
                   const std::function<void()> &callOneThread, uint64_t seed) {
  if (kernel.threads < 1 || kernel.threads > maxThreads)
    return outOfRange(kernel, "threads of a block", kernel.threads, 1, maxThreads);
  if (kernel.sharedBytes < 0 || kernel.sharedBytes > maxSharedBytes)
    return outOfRange(kernel, "bytes of shared memory", kernel.sharedBytes, 0, maxSharedBytes);
  const std::array<int64_t, 3> counts = {grid.x, grid.y, grid.z};
  const char *names[] = {"blocks in x", "blocks in y", "blocks in z"};
  for (int i = 0; i < 3; ++i)
    if (counts[i] < 1 || counts[i] > maxGrid[i])
      return outOfRange(kernel, names[i], counts[i], 1, maxGrid[i]);

  std::vector<int64_t> order(grid.x * grid.y * grid.z);
  std::iota(order.begin(), order.end(), int64_t{0});
  std::shuffle(order.begin(), order.end(), std::mt19937_64(~seed));
  Multiprocessor multiprocessor(kernel, buffers, callOneThread, seed);
  for (int64_t i : order)
    if (Status status = multiprocessor.run({i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y}); !status)
      return status;
  return {};
}
