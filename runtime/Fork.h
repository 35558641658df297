// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What keeps the runtime usable in a forked child, whatever other threads of the parent were doing.
#ifndef BQ_RUNTIME_FORK_H
#define BQ_RUNTIME_FORK_H

#include <cstdint>
#include <mutex>

namespace bq {

/// The one mutex of the runtime. fork() takes it first, so that no other thread holds it in the child. Held only for
/// looking at and changing small tables, never while compiling, waiting or touching a disk.
std::mutex &forkSafeMutex();

/// How many forks lie between this process and the first. What another thread had begun under a smaller number will
/// never be finished here.
uint64_t forkGeneration();

/// While one lives, fork() on other threads waits (at most ten seconds). Around the loader and the compiler, whose own
/// locks would otherwise stay locked in the child. May be nested.
class ForkDelay {
public:
  ForkDelay();
  ~ForkDelay();
  ForkDelay(const ForkDelay &) = delete;
  ForkDelay &operator=(const ForkDelay &) = delete;
};

/// Descriptors that a child must not keep: it would hold the parent's file locks. Any thread.
void closeInChild(int descriptor);
/// Undoes closeInChild(), before the descriptor is closed. False where a fork has closed it already.
bool keepInChild(int descriptor);

} // namespace bq

#endif // BQ_RUNTIME_FORK_H
