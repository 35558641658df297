// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The disk cache among several processes, some of which are killed or forked at the worst moment.
#include "Support.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace bq;
using namespace bq::test;

namespace {

/// For processes to wait for one another.
struct Pipe {
  Pipe() {
    if (pipe(ends) != 0)
      std::abort();
  }
  ~Pipe() {
    close(ends[0]);
    close(ends[1]);
  }
  bool send() const { return write(ends[1], "x", 1) == 1; }
  bool wait() const {
    char byte;
    return read(ends[0], &byte, 1) == 1;
  }
  int ends[2];
};

KernelKey testKey() { return KernelKey::get(testRequest()); }

Options optionsWithLock(const std::string &folder, double seconds) {
  Options options = optionsFor(folder);
  options.cacheLockSeconds = seconds;
  return options;
}

void end(pid_t child) {
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

} // namespace

TEST(DiskCacheProcess, EightProcessesCompileEachKernelOnce) {
  TempFolder folder;
  FakeCompiler compiler;
  fakeState.countFile = folder.path + "/count";
  fakeState.milliseconds = 20;
  Pipe start;
  std::vector<pid_t> children;
  for (int process = 0; process < 8; ++process)
    children.push_back(spawn([&] {
      // Long enough that a waiter gives up only where the machine stands still.
      KernelCache cache(optionsWithLock(folder.path + "/cache", 300), compiler.library);
      bool good = start.wait();
      for (int i = 0; i < 4; ++i)
        good = good && cache.get(testRequest(1 + (process + i) % 4)).ok();
      return good;
    }));
  for (size_t i = 0; i < children.size(); ++i)
    ASSERT_TRUE(start.send());
  for (pid_t child : children)
    EXPECT_TRUE(succeeded(child));
  EXPECT_EQ(readFile(fakeState.countFile).size(), 4u);
}

TEST(DiskCacheProcess, LockExcludesThreadsAndProcesses) {
  TempFolder folder;
  DiskCache cache(optionsWithLock(folder.path, 0));
  DiskCache::Lock lock = cache.lock(testKey());
  EXPECT_TRUE(lock.isHeld());
  EXPECT_FALSE(cache.lock(testKey()).isHeld());
  EXPECT_TRUE(cache.lock(KernelKey::fromText("another")).isHeld());
  EXPECT_TRUE(succeeded(spawn([&] {
    DiskCache other(optionsWithLock(folder.path, 0));
    return !other.lock(testKey()).isHeld() && other.lock(KernelKey::fromText("another")).isHeld();
  })));
}

TEST(DiskCacheProcess, LockOfAKilledProcessIsFree) {
  TempFolder folder;
  Pipe held;
  pid_t holder = spawn([&] {
    DiskCache cache(optionsFor(folder.path));
    DiskCache::Lock lock = cache.lock(testKey());
    held.send();
    pause();
    return true;
  });
  ASSERT_TRUE(held.wait());
  DiskCache cache(optionsWithLock(folder.path, 0));
  EXPECT_FALSE(cache.lock(testKey()).isHeld());
  end(holder);
  EXPECT_TRUE(cache.lock(testKey()).isHeld());
}

TEST(DiskCacheProcess, LockOfAKilledProcessIsFreeAlthoughItsChildLives) {
  TempFolder folder;
  Pipe held;
  pid_t grandchild = 0;
  Pipe number;
  pid_t holder = spawn([&] {
    DiskCache cache(optionsFor(folder.path));
    DiskCache::Lock lock = cache.lock(testKey());
    pid_t child = spawn([&] {
      held.send();
      return pause() == 0;
    });
    bool sent = write(number.ends[1], &child, sizeof(child)) == sizeof(child);
    pause();
    return sent;
  });
  ASSERT_TRUE(held.wait());
  ASSERT_EQ(read(number.ends[0], &grandchild, sizeof(grandchild)), static_cast<ssize_t>(sizeof(grandchild)));
  end(holder);
  DiskCache cache(optionsWithLock(folder.path, 0));
  EXPECT_TRUE(cache.lock(testKey()).isHeld());
  kill(grandchild, SIGKILL);
}

TEST(DiskCacheProcess, WhoWaitsTooLongCompilesForItself) {
  TempFolder folder;
  Pipe held;
  pid_t holder = spawn([&] {
    DiskCache cache(optionsFor(folder.path));
    DiskCache::Lock lock = cache.lock(testKey());
    held.send();
    pause();
    return true;
  });
  ASSERT_TRUE(held.wait());
  FakeCompiler compiler;
  KernelCache cache(optionsWithLock(folder.path, 0.02), compiler.library);
  EXPECT_TRUE(cache.get(testRequest()));
  EXPECT_EQ(fakeState.compiles, 1);
  // It is kept for the next process all the same.
  EXPECT_TRUE(DiskCache(optionsFor(folder.path)).load(testKey()));
  end(holder);
}

TEST(DiskCacheProcess, ForkedChildUsesAndCompilesKernels) {
  TempFolder folder;
  FakeCompiler compiler;
  KernelCache cache(optionsFor(folder.path), compiler.library);
  ASSERT_TRUE(cache.get(testRequest(1)));
  EXPECT_TRUE(succeeded(spawn([&] {
    return cache.get(testRequest(1)).ok() && fakeState.compiles == 1 && cache.get(testRequest(2)).ok() &&
           fakeState.compiles == 2;
  })));
}

TEST(DiskCacheProcess, ChildForkedDuringACompileDoesNotWaitForIt) {
  TempFolder folder;
  FakeCompiler compiler;
  fakeState.milliseconds = 50;
  KernelCache cache(optionsWithLock(folder.path, 0.02), compiler.library);
  Pipe begun;
  std::thread maker([&] {
    begun.send();
    EXPECT_TRUE(cache.get(testRequest()));
  });
  ASSERT_TRUE(begun.wait());
  // Many forks, so that some meet the maker at each of its steps.
  for (int i = 0; i < 20; ++i)
    EXPECT_TRUE(succeeded(spawn([&] { return cache.get(testRequest()).ok(); })));
  maker.join();
}

TEST(DiskCacheProcess, ChildForkedWhileAnotherThreadWaitsForALockGoesOn) {
  TempFolder folder;
  FakeCompiler compiler;
  DiskCache other(optionsFor(folder.path));
  auto lock = std::make_unique<DiskCache::Lock>(other.lock(testKey()));
  ASSERT_TRUE(lock->isHeld());
  KernelCache cache(optionsWithLock(folder.path, 300), compiler.library);
  std::thread waiter([&] { EXPECT_TRUE(cache.get(testRequest())); });
  // One of the two makes the kernel, so waits for the lock, once the other has been counted as waiting for it.
  std::thread second([&] { EXPECT_TRUE(cache.get(testRequest())); });
  while (cache.stats().memoryHits == 0)
    std::this_thread::yield();
  pid_t child = spawn([&] {
    // The parent still holds the lock; this process has a slot that nobody will ever fill.
    bool made = false;
    std::thread maker([&] { made = cache.get(testRequest()).ok(); });
    maker.join();
    return made;
  });
  lock.reset();
  EXPECT_TRUE(succeeded(child));
  waiter.join();
  second.join();
}
