// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/Multiprocessor.h"

#include "dialect/core/Half.h"

#include <cstring>

using namespace bq;
using namespace bq::emu;

namespace {

thread_local Multiprocessor *active = nullptr;

bool same(BQEmuSite l, BQEmuSite r) {
  return l.line == r.line && (l.file == r.file || std::strcmp(l.file, r.file) == 0);
}

std::string place(BQEmuSite site) { return std::string(site.file) + ":" + std::to_string(site.line); }

const char *name(BQEmuWarpOp op) {
  const char *names[] = {"shuffle", "ldmatrix", "mma of bf16", "mma of f16", "mma of u8 and s8"};
  return names[op];
}

} // namespace

Multiprocessor::Multiprocessor(const GpuKernel &kernel, const std::vector<Buffer> &buffers,
                               const std::function<void()> &callOneThread, uint64_t seed)
    : kernel(kernel), callOneThread(callOneThread), global(buffers), shared(kernel.sharedBytes), random(seed),
      threads(kernel.threads), warps((kernel.threads + warpLanes - 1) / warpLanes) {
  for (Thread &thread : threads) {
    thread.owner = this;
    thread.fiber = std::make_unique<Fiber>(runThreads, &thread);
  }
}

Multiprocessor::~Multiprocessor() {
  // The others have not begun, or are in the middle of the kernel, which owns nothing.
  leaving = true;
  for (Thread &thread : threads)
    if (thread.state == Thread::Ended)
      thread.fiber->resume();
}

// A fiber serves the thread of its number in block after block.
void Multiprocessor::runThreads(void *argument) {
  Thread &thread = *static_cast<Thread *>(argument);
  while (!thread.owner->leaving) {
    thread.owner->callOneThread();
    thread.state = Thread::Ended;
    ++thread.owner->ended;
    thread.fiber->suspend();
  }
}

Status Multiprocessor::run(const std::array<int64_t, 3> &block) {
  index = block;
  ended = 0;
  shared.reset();
  for (Thread &thread : threads) {
    thread.copies.clear();
    thread.groups = 0;
  }
  const int count = static_cast<int>(threads.size());
  makeReady(0, count);
  active = this;
  while (!ready.empty() && status.ok()) {
    std::swap(ready[random() % ready.size()], ready.back());
    current = ready.back();
    ready.pop_back();
    threads[current].fiber->resume();
  }
  active = nullptr;
  if (status.ok() && ended < count)
    stopStuck();
  return status;
}

void Multiprocessor::makeReady(int begin, int end) {
  for (int i = begin; i < end; ++i) {
    threads[i].state = Thread::Ready;
    ready.push_back(i);
  }
}

void Multiprocessor::accessGlobal(const void *address, int bytes, BQEmuAccess access, BQEmuSite site) {
  require(global.check(address, bytes, bytes, access), site);
}

void Multiprocessor::accessShared(const void *address, int bytes, BQEmuAccess access, BQEmuSite site) {
  require(shared.access(address, bytes, access, current), site);
}

void Multiprocessor::copyAsync(void *target, const void *source, int valid, BQEmuSite site) {
  std::string wrong;
  if (valid < 0 || valid > static_cast<int>(SharedMemory::copyBytes))
    wrong = "copies 16 bytes of which " + std::to_string(valid) + " are valid";
  else if (reinterpret_cast<uintptr_t>(source) % SharedMemory::copyBytes)
    wrong = "copies 16 bytes from an address that is not aligned to 16";
  else if (valid)
    wrong = global.check(source, valid, 1, BQEmuLoad);
  require(std::move(wrong), site);
  const AsyncCopy copy{static_cast<char *>(target), static_cast<const char *>(source), valid};
  require(shared.startCopy(copy, current), site);
  threads[current].copies.push_back({copy, threads[current].groups});
}

void Multiprocessor::waitCopies(int pending) {
  Thread &thread = threads[current];
  auto copy = thread.copies.begin();
  for (; copy != thread.copies.end() && copy->group < thread.groups - pending; ++copy)
    shared.finishCopy(copy->copy);
  thread.copies.erase(thread.copies.begin(), copy);
}

void Multiprocessor::barrier(BQEmuSite site) {
  if (atBarrier == 0)
    firstAtBarrier = current;
  else if (!same(threads[firstAtBarrier].site, site))
    require(divergence("barrier", firstAtBarrier), site);
  Thread &thread = threads[current];
  thread.state = Thread::AtBarrier;
  thread.site = site;
  if (++atBarrier == static_cast<int>(threads.size())) {
    atBarrier = 0;
    shared.passBarrier();
    makeReady(0, static_cast<int>(threads.size()));
  }
  thread.fiber->suspend();
}

void Multiprocessor::warp(BQEmuWarpOp op, const BQEmuOperands *operands, unsigned (*result)[4], BQEmuSite site) {
  if (op == BQEmuLdmatrix)
    require(shared.access(operands->row, 16, BQEmuLoad, current), site);
  Warp &warp = warps[current / warpLanes];
  if (warp.arrived == 0) {
    warp.first = current;
    warp.op = op;
  } else if (warp.op != op || !same(threads[warp.first].site, site)) {
    require(divergence(name(op), warp.first), site);
  }
  Thread &thread = threads[current];
  thread.state = Thread::AtWarpOp;
  thread.site = site;
  warp.operands[current % warpLanes] = operands;
  warp.results[current % warpLanes] = result;
  if (++warp.arrived == warpLanes) {
    warp.arrived = 0;
    runWarpOp(op, warp.operands, warp.results);
    makeReady(current / warpLanes * warpLanes, (current / warpLanes + 1) * warpLanes);
  }
  thread.fiber->suspend();
}

void Multiprocessor::require(std::string &&wrong, BQEmuSite site) {
  if (wrong.empty())
    return;
  stop(current, site, wrong);
  // Nothing on this stack is destroyed any more.
  std::string().swap(wrong);
  threads[current].fiber->suspend();
}

void Multiprocessor::stop(int thread, BQEmuSite site, const std::string &wrong) {
  status = internalError(kernel.entry + ", block (" + std::to_string(index[0]) + ", " + std::to_string(index[1]) +
                         ", " + std::to_string(index[2]) + "), thread " + std::to_string(thread) + ", " + place(site) +
                         ": " + wrong);
}

// Every thread that has not ended waits for another one: name a pair of them.
void Multiprocessor::stopStuck() {
  int count = static_cast<int>(threads.size()), waiting = 0;
  while (threads[waiting].state == Thread::Ended)
    ++waiting;
  for (int i = waiting; i < count; ++i)
    if (threads[i].state == Thread::AtWarpOp)
      waiting = i;
  const Thread &thread = threads[waiting];
  int begin = 0, end = count;
  if (thread.state == Thread::AtWarpOp) {
    begin = waiting / warpLanes * warpLanes;
    end = begin + warpLanes;
    if (end > count)
      return stop(waiting, thread.site,
                  "waits for a warp of 32 lanes, but this one has " + std::to_string(count - begin));
  }
  int missing = begin;
  while (missing + 1 < end && threads[missing].state == thread.state)
    ++missing;
  stop(waiting, thread.site, "waits for thread " + std::to_string(missing) + ", but that" + whereabouts(missing));
}

std::string Multiprocessor::divergence(const char *what, int other) const {
  return std::string("comes to a ") + what + ", but thread " + std::to_string(other) + whereabouts(other);
}

std::string Multiprocessor::whereabouts(int thread) const {
  const std::string site = threads[thread].state == Thread::Ended ? "" : place(threads[thread].site);
  switch (threads[thread].state) {
  case Thread::AtBarrier:
    return " waits at the barrier of " + site;
  case Thread::AtWarpOp:
    return std::string(" waits at the ") + name(warps[thread / warpLanes].op) + " of " + site;
  case Thread::Ended:
    return " has ended";
  case Thread::Ready:
    return " runs";
  }
  return {};
}

const BQEmuApi &emu::api() {
  static constexpr BQEmuApi table = {
      [] { return active->thread(); },
      [](int dimension) { return active->block(dimension); },
      [] { return active->sharedData(); },
      [](const void *address, int bytes, BQEmuAccess access, BQEmuSite site) {
        active->accessGlobal(address, bytes, access, site);
      },
      [](const void *address, int bytes, BQEmuAccess access, BQEmuSite site) {
        active->accessShared(address, bytes, access, site);
      },
      [](void *target, const void *source, int valid, BQEmuSite site) {
        active->copyAsync(target, source, valid, site);
      },
      [] { active->commitCopies(); },
      [](int pending) { active->waitCopies(pending); },
      [](BQEmuSite site) { active->barrier(site); },
      [](BQEmuWarpOp op, const BQEmuOperands *operands, unsigned (*result)[4], BQEmuSite site) {
        active->warp(op, operands, result, site);
      },
      [](int bits) { return f16ToFloat(static_cast<uint16_t>(bits)); },
      // The device's NaN, whatever the operand's was.
      [](float value) -> int { return value != value ? 0x7fff : floatToF16(value); },
      [](float value) -> int { return value != value ? 0x7fff : floatToBF16(value); },
  };
  return table;
}
