// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/Fork.h"

#include <algorithm>
#include <atomic>
#include <pthread.h>
#include <unistd.h>
#include <vector>

using namespace bq;

namespace {

/// Never destroyed: other threads may still run while the process exits.
struct ForkState {
  std::mutex mutex;
  std::vector<int> inherited; ///< Under the mutex.
  std::atomic<uint64_t> generation{0};
  std::atomic<int> delays{0}; ///< Threads that hold a ForkDelay.
  std::atomic<int> forks{0};  ///< Threads about to fork: no new ForkDelay begins.
};

thread_local int delaysHere = 0;

ForkState &state();

void beforeFork() {
  ForkState &s = state();
  ++s.forks;
  // A compile that hangs must not take fork() with it.
  int own = delaysHere ? 1 : 0;
  for (int waited = 0; s.delays > own && waited < 100000; ++waited)
    usleep(100);
  s.mutex.lock();
}

void afterForkInParent() {
  ForkState &s = state();
  s.mutex.unlock();
  --s.forks;
}

void afterForkInChild() {
  ForkState &s = state();
  for (int descriptor : s.inherited)
    close(descriptor);
  s.inherited.clear();
  ++s.generation;
  s.delays = delaysHere ? 1 : 0;
  s.forks = 0;
  s.mutex.unlock();
}

ForkState &state() {
  static ForkState *only = new ForkState;
  return *only;
}

/// Made while the program or library is loaded, before any thread can ask for it.
[[maybe_unused]] const int registered = (state(), pthread_atfork(beforeFork, afterForkInParent, afterForkInChild));

} // namespace

std::mutex &bq::forkSafeMutex() { return state().mutex; }

uint64_t bq::forkGeneration() { return state().generation; }

ForkDelay::ForkDelay() {
  if (delaysHere++)
    return;
  ForkState &s = state();
  for (;;) {
    ++s.delays;
    if (!s.forks)
      return;
    --s.delays;
    while (s.forks)
      usleep(50);
  }
}

ForkDelay::~ForkDelay() {
  if (!--delaysHere)
    --state().delays;
}

void bq::closeInChild(int descriptor) {
  std::lock_guard<std::mutex> guard(forkSafeMutex());
  state().inherited.push_back(descriptor);
}

bool bq::keepInChild(int descriptor) {
  std::lock_guard<std::mutex> guard(forkSafeMutex());
  std::vector<int> &list = state().inherited;
  auto found = std::find(list.begin(), list.end(), descriptor);
  if (found == list.end())
    return false;
  list.erase(found);
  return true;
}
