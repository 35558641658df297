// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/Fiber.h"

#include <cstdint>
#include <cstdlib>
#include <new>
#include <sys/mman.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define BQ_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BQ_ASAN 1
#endif
#endif
#ifdef BQ_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

using namespace bq::emu;

namespace {

#ifdef BQ_ASAN
// Frames are far larger with the zones between their variables.
constexpr size_t stackBytes = size_t{2} << 20;
void startSwitch(void **save, const void *stack, size_t bytes) { __sanitizer_start_switch_fiber(save, stack, bytes); }
void finishSwitch(void *fake, const void **stack, size_t *bytes) {
  __sanitizer_finish_switch_fiber(fake, stack, bytes);
}
#else
constexpr size_t stackBytes = size_t{256} << 10;
void startSwitch(void **, const void *, size_t) {}
void finishSwitch(void *, const void **, size_t *) {}
#endif
constexpr size_t guardBytes = 4096;

/// The stacks of fibers that are gone. Their pages are in use already, which makes the next launch fast.
class StackPool {
public:
  ~StackPool() {
    for (char *stack : free)
      munmap(stack - guardBytes, guardBytes + stackBytes);
  }
  char *take() {
    if (!free.empty()) {
      char *stack = free.back();
      free.pop_back();
      return stack;
    }
    void *memory = mmap(nullptr, guardBytes + stackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, guardBytes, PROT_NONE) != 0)
      throw std::bad_alloc();
    return static_cast<char *>(memory) + guardBytes;
  }
  void give(char *stack) {
#ifdef BQ_ASAN
    // Frames that were left for good have their zones poisoned still.
    __asan_unpoison_memory_region(stack, stackBytes);
#endif
    free.push_back(stack);
  }

private:
  std::vector<char *> free;
};

StackPool &stackPool() {
  static thread_local StackPool pool;
  return pool;
}

} // namespace

#if defined(__x86_64__)
extern "C" {
void bqEmuEnterFiber(Fiber *fiber);
void bqEmuSwitchStack(void **save, void *load);
void bqEmuStartFiber();
}

// swapcontext() would do, but asks the kernel for the signal mask each time.
asm(R"(
.text
.p2align 4
.hidden bqEmuSwitchStack
.globl bqEmuSwitchStack
.type bqEmuSwitchStack,@function
bqEmuSwitchStack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size bqEmuSwitchStack,.-bqEmuSwitchStack

.p2align 4
.hidden bqEmuStartFiber
.globl bqEmuStartFiber
.type bqEmuStartFiber,@function
bqEmuStartFiber:
  .cfi_startproc
  .cfi_undefined rip
  movq %rbx, %rdi
  call bqEmuEnterFiber
  ud2
  .cfi_endproc
.size bqEmuStartFiber,.-bqEmuStartFiber
)");

__attribute__((visibility("hidden"))) void bqEmuEnterFiber(Fiber *fiber) { fiber->run(); }
#else
namespace {
void enterFiber(unsigned high, unsigned low) {
  reinterpret_cast<Fiber *>(static_cast<uintptr_t>(uint64_t{high} << 32 | low))->run();
}
} // namespace
#endif

Fiber::Fiber(Body body, void *argument) : body(body), argument(argument), stack(stackPool().take()) {
#if defined(__x86_64__)
  // As bqEmuSwitchStack leaves a stack: six registers, rbx the fifth, and where to go on; what is then on top is
  // aligned to 16 bytes, as it must be before a call.
  void **top = reinterpret_cast<void **>(stack + stackBytes) - 9;
  for (int i = 0; i < 9; ++i)
    top[i] = nullptr;
  top[4] = this;
  top[6] = reinterpret_cast<void *>(&bqEmuStartFiber);
  inside = top;
#else
  getcontext(&inside);
  inside.uc_stack.ss_sp = stack;
  inside.uc_stack.ss_size = stackBytes;
  inside.uc_link = nullptr;
  const auto address = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(this));
  makecontext(&inside, reinterpret_cast<void (*)()>(&enterFiber), 2, static_cast<unsigned>(address >> 32),
              static_cast<unsigned>(address));
#endif
}

Fiber::~Fiber() { stackPool().give(stack); }

void Fiber::resume() {
  startSwitch(&fakeOutside, stack, stackBytes);
#if defined(__x86_64__)
  bqEmuSwitchStack(&outside, inside);
#else
  swapcontext(&outside, &inside);
#endif
  finishSwitch(fakeOutside, nullptr, nullptr);
}

void Fiber::leave(bool forGood) {
  startSwitch(forGood ? nullptr : &fakeInside, outsideStack, outsideSize);
#if defined(__x86_64__)
  bqEmuSwitchStack(&inside, outside);
#else
  swapcontext(&inside, &outside);
#endif
  finishSwitch(fakeInside, &outsideStack, &outsideSize);
}

void Fiber::run() {
  finishSwitch(nullptr, &outsideStack, &outsideSize);
  body(argument);
  leave(true);
  std::abort();
}
