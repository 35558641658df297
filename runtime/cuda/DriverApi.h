// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The functions of NVIDIA's driver that bq calls.
#ifndef BQ_RUNTIME_CUDA_DRIVERAPI_H
#define BQ_RUNTIME_CUDA_DRIVERAPI_H

#include "dialect/core/Status.h"

#include <cstddef>
#include <string>

namespace bq::cuda {

/// The types are those of cuda.h, which are opaque pointers, integers and enumerations.
using Result = int; ///< 0 = success
using DeviceId = int;
using Context = void *;
using Stream = void *; ///< cudaStream_t too; null is the default stream.
using Function = void *;
using Library = void *;
using LibraryKernel = void *;
using Module = void *;
using Graph = void *;
using GraphExec = void *;
using Event = void *;

/// Results that are told apart; cuda.h has all.
constexpr Result success = 0;
constexpr Result outOfMemory = 2;
constexpr Result noDevice = 100;
constexpr Result invalidImage = 200;
constexpr Result noBinaryForGpu = 209;
constexpr Result unsupportedPtxVersion = 222;
constexpr Result systemDriverMismatch = 803;
constexpr Result captureImplicit = 906; ///< The default stream is asked while one that it waits for is being captured.

/// Attributes of a device.
constexpr int multiprocessorCount = 16;
constexpr int memoryClockKilohertz = 36; ///< Data comes on both edges.
constexpr int memoryWidthBits = 37;
constexpr int capabilityMajor = 75;
constexpr int capabilityMinor = 76;
constexpr int maxSharedBytesOptin = 97;

/// Attribute of a function: bytes of dynamic shared memory that a launch may ask for.
constexpr int maxDynamicSharedBytes = 8;
/// Mode of capture in which calls that could disturb another thread's capture are allowed.
constexpr int captureModeRelaxed = 2;

struct DriverApi {
  Result (*init)(unsigned flags) = nullptr;
  Result (*driverGetVersion)(int *version) = nullptr; ///< 1000 * major + 10 * minor
  Result (*deviceGetCount)(int *) = nullptr;
  Result (*deviceGet)(DeviceId *, int ordinal) = nullptr;
  Result (*deviceGetName)(char *name, int size, DeviceId) = nullptr;
  Result (*deviceGetAttribute)(int *value, int attribute, DeviceId) = nullptr;
  Result (*primaryContextRetain)(Context *, DeviceId) = nullptr;
  Result (*contextGetCurrent)(Context *) = nullptr;
  Result (*contextPush)(Context) = nullptr;
  Result (*contextPop)(Context *) = nullptr;
  Result (*moduleLoadData)(Module *, const void *image) = nullptr;
  Result (*moduleGetFunction)(Function *, Module, const char *name) = nullptr;
  Result (*moduleUnload)(Module) = nullptr;
  Result (*functionSetAttribute)(Function, int attribute, int value) = nullptr;
  Result (*launchKernel)(Function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,
                         unsigned blockZ, unsigned sharedBytes, Stream, void **parameters, void **extra) = nullptr;
  Result (*streamIsCapturing)(Stream, int *status) = nullptr; ///< 0 = it is not
  Result (*exchangeCaptureMode)(int *mode) = nullptr;         ///< Of the calling thread.
  Result (*getErrorName)(Result, const char **) = nullptr;
  Result (*getErrorString)(Result, const char **) = nullptr;

  /// From CUDA 12.0 on, null before: code that belongs to no context.
  Result (*libraryLoadData)(Library *, const void *image, int *jitOptions, void **jitValues, unsigned jitCount,
                            int *libraryOptions, void **libraryValues, unsigned libraryCount) = nullptr;
  Result (*libraryUnload)(Library) = nullptr;
  Result (*libraryGetKernel)(LibraryKernel *, Library, const char *name) = nullptr;
  Result (*kernelGetFunction)(Function *, LibraryKernel) = nullptr;
  /// From CUDA 12.4 on, null before: what is otherwise done at the first launch.
  Result (*functionLoad)(Function) = nullptr;

  /// For measuring, from CUDA 11.4 on; any of them may be null. A stream that is captured records its work in a graph,
  /// which is then launched as a whole.
  Result (*streamBeginCapture)(Stream, int mode) = nullptr;
  Result (*streamEndCapture)(Stream, Graph *) = nullptr;
  Result (*graphInstantiate)(GraphExec *, Graph, unsigned long long flags) = nullptr;
  Result (*graphLaunch)(GraphExec, Stream) = nullptr;
  Result (*graphExecDestroy)(GraphExec) = nullptr;
  Result (*graphDestroy)(Graph) = nullptr;
  Result (*eventCreate)(Event *, unsigned flags) = nullptr;
  Result (*eventDestroy)(Event) = nullptr;
  Result (*eventRecord)(Event, Stream) = nullptr;
  Result (*eventSynchronize)(Event) = nullptr;
  Result (*eventElapsedTime)(float *milliseconds, Event start, Event end) = nullptr;

  bool hasGraphs() const {
    return streamBeginCapture && streamEndCapture && graphInstantiate && graphLaunch && graphExecDestroy &&
           graphDestroy && eventCreate && eventDestroy && eventRecord && eventSynchronize && eventElapsedTime;
  }
  bool hasLibraries() const { return libraryLoadData && libraryUnload && libraryGetKernel && kernelGetFunction; }

  /// Opens the driver at `path`, or where the system's loader finds it, and looks up its functions; it stays open.
  /// Unsupported where it cannot be opened, or lacks one of the functions that every driver since CUDA 11.1 has.
  static Expected<DriverApi> open(const std::string &path);
};

} // namespace bq::cuda

#endif // BQ_RUNTIME_CUDA_DRIVERAPI_H
