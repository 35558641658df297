// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A function with a stack of its own, which can be left in the middle and entered again.
#ifndef BQ_RUNTIME_EMU_FIBER_H
#define BQ_RUNTIME_EMU_FIBER_H

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace bq::emu {

/// Announced to AddressSanitizer, where that is on. Used by one thread only, that which makes it; stacks are kept for
/// the next fibers of the thread.
class Fiber {
public:
  /// The body may not throw. `argument` is the caller's.
  using Body = void (*)(void *argument);

  Fiber(Body body, void *argument);
  Fiber(const Fiber &) = delete;
  Fiber &operator=(const Fiber &) = delete;
  /// What a body that has not returned holds on its stack is not destroyed.
  ~Fiber();

  /// Enters the body where it was left; returns when it calls suspend() or returns. Not from within a fiber, and not
  /// after the body has returned.
  void resume();
  /// Leaves the body. Only from within it.
  void suspend() { leave(false); }

  /// Runs the body on the fiber's stack; what the switch of stacks enters first.
  void run();

private:
#if defined(__x86_64__)
  using Context = void *; ///< Stack pointer; the registers are on the stack.
#else
  using Context = ucontext_t;
#endif

  void leave(bool forGood);

  Body body;
  void *argument;
  char *stack; ///< Lowest byte.
  Context inside, outside;
  // What AddressSanitizer keeps for this fiber and for the thread, and the thread's own stack.
  void *fakeInside = nullptr, *fakeOutside = nullptr;
  const void *outsideStack = nullptr;
  size_t outsideSize = 0;
};

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_FIBER_H
