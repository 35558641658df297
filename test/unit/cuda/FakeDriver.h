// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A driver without a GPU: device memory is host memory, and kernels made for the emulator run there.
#ifndef BQ_TEST_UNIT_CUDA_FAKEDRIVER_H
#define BQ_TEST_UNIT_CUDA_FAKEDRIVER_H

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace bq::test {

/// How the driver behaves, and what it has seen. One for a library, since a driver's functions have no state of their
/// own. Results are numbers of cuda.h.
struct FakeDriver {
  struct Behaviour {
    int version = 13000;
    int devices = 2;
    int capability = 90;
    int sharedBytes = 232448;
    int instantiateResult = 0;
    int initResult = 0, contextResult = 0, loadResult = 0, launchResult = 0;
    bool isCapturing = false;         ///< Every stream is being captured.
    bool isCapturedElsewhere = false; ///< By another thread, which lets only relaxed threads load code.
    bool runsKernels = false;         ///< Else images are not looked at, and launches only counted.
  };
  Behaviour behaviour;

  std::atomic<int> loads{0}, launches{0}, pushes{0}, pops{0};
  std::string image;                   ///< The latest that was loaded.
  std::vector<std::string> graphCalls; ///< What was called of graphs and events, and launches into a capture, in order.
  std::string fault;                   ///< What the emulator says of the latest launch that failed.

  std::mutex mutex;
  std::map<const char *, size_t> allocations; ///< Base and bytes; under the mutex.
  bool isInitialized = false;                 ///< In this process; a child of fork() is not.

  /// To the behaviour of a sound driver that has seen nothing.
  void reset() {
    behaviour = {};
    loads = launches = pushes = pops = 0;
    image = fault = "";
    graphCalls.clear();
  }
};

/// Of a library; found by dlsym under this name.
using FakeDriverFn = FakeDriver *(*)();
constexpr const char *fakeDriverSymbol = "bqFakeDriver";

/// The state of this library.
FakeDriver &fakeDriver();

/// Whether a function of dialect/core/CudaAbi.h ran on the emulator; `entry` is its code, `parameters` its arguments as
/// cuLaunchKernel gets them, `fault` what went wrong.
struct FakeLaunch {
  std::string name;
  void *entry;
  int grid[3], threads, sharedBytes;
  void **parameters;
};
bool runOnEmulator(const FakeLaunch &launch, std::string &fault);

/// Whether a launch on `stream` is captured into a graph, in place of being done.
bool isRecordedInGraph(void *stream);

} // namespace bq::test

#endif // BQ_TEST_UNIT_CUDA_FAKEDRIVER_H
