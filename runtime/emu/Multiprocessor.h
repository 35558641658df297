// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Runs blocks of threads, one at a time: which thread goes on when, and how threads wait for each other.
#ifndef BQ_RUNTIME_EMU_MULTIPROCESSOR_H
#define BQ_RUNTIME_EMU_MULTIPROCESSOR_H

#include "runtime/emu/BufferTable.h"
#include "runtime/emu/Emulator.h"
#include "runtime/emu/Fiber.h"
#include "runtime/emu/SharedMemory.h"
#include "runtime/emu/WarpModels.h"

#include <array>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace bq::emu {

/// Used by one thread. The functions of BQEmuApi are its operations, on behalf of the thread of the block that runs.
class Multiprocessor {
public:
  /// The arguments are those of launch(); `kernel` and `callOneThread` are kept by reference.
  Multiprocessor(const GpuKernel &kernel, const std::vector<Buffer> &buffers,
                 const std::function<void()> &callOneThread, uint64_t seed);
  Multiprocessor(const Multiprocessor &) = delete;
  Multiprocessor &operator=(const Multiprocessor &) = delete;
  ~Multiprocessor();

  /// Runs the block of these coordinates. After an error no further block may be run.
  Status run(const std::array<int64_t, 3> &block);

  int thread() const { return current; }
  int block(int dimension) const { return static_cast<int>(index[dimension]); }
  char *sharedData() const { return shared.data(); }
  void accessGlobal(const void *address, int bytes, BQEmuAccess access, BQEmuSite site);
  void accessShared(const void *address, int bytes, BQEmuAccess access, BQEmuSite site);
  void copyAsync(void *target, const void *source, int valid, BQEmuSite site);
  void commitCopies() { ++threads[current].groups; }
  void waitCopies(int pending);
  void barrier(BQEmuSite site);
  void warp(BQEmuWarpOp op, const BQEmuOperands *operands, unsigned (*result)[4], BQEmuSite site);

private:
  struct Copy {
    AsyncCopy copy;
    int group;
  };
  struct Thread {
    Multiprocessor *owner = nullptr;
    enum { Ready, AtBarrier, AtWarpOp, Ended } state = Ready;
    BQEmuSite site{};         ///< Where it waits.
    std::vector<Copy> copies; ///< Those under way, oldest first.
    int groups = 0;           ///< That have been committed.
    std::unique_ptr<Fiber> fiber;
  };
  struct Warp {
    int arrived = 0; ///< Lanes that have come to the operation that the warp is at, of which `first` was the first.
    int first = 0;
    BQEmuWarpOp op{};
    const BQEmuOperands *operands[warpLanes];
    unsigned (*results[warpLanes])[4];
  };

  static void runThreads(void *thread);
  void makeReady(int begin, int end);
  void require(std::string &&wrong, BQEmuSite site);
  void stop(int thread, BQEmuSite site, const std::string &wrong);
  void stopStuck();
  std::string divergence(const char *what, int other) const;
  std::string whereabouts(int thread) const;

  const GpuKernel &kernel;
  const std::function<void()> &callOneThread;
  BufferTable global;
  SharedMemory shared;
  std::mt19937_64 random;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<int> ready; ///< Threads that can go on, in no order.
  int current = 0;
  int atBarrier = 0, firstAtBarrier = 0; ///< How many threads, and which was the first.
  int ended = 0;                         ///< How many threads.
  bool leaving = false;                  ///< No block follows.
  std::array<int64_t, 3> index{};
  Status status; ///< The first fault.
};

/// The operations of the Multiprocessor that runs a block on the calling thread.
const BQEmuApi &api();

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_MULTIPROCESSOR_H
