// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The functions of libcuda.so.1 that bq calls, with the rules of theirs that matter: contexts, captures, forks, limits.
// Built twice: with BQ_FAKE_OLD as a driver before CUDA 12, which has neither libraries nor cuGetProcAddress_v2.
#include "FakeDriver.h"

#include "runtime/cuda/DriverApi.h"
#include "runtime/emu/EmuCompiler.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <pthread.h>

using namespace bq;
using namespace bq::cuda;
using namespace bq::test;

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr Result invalidValue = 1, notInitialized = 3, invalidContext = 201, noSymbol = 500, launchFailed = 719,
                 captureUnsupported = 900;

struct FakeContext {
  int device = 0;
} contexts[2] = {{0}, {1}};

struct FakeImage {
  std::shared_ptr<emu::CompiledKernel> code; ///< Null where it is not for the emulator.
  FakeContext *context = nullptr;            ///< Null for a library.
};
struct FakeFunction {
  std::string name;
  void *entry = nullptr;
  FakeContext *context = nullptr;
  int sharedBytes = 48 << 10;
};
struct FakeKernel {
  FakeImage *image = nullptr;
  std::string name;
};

/// Keeps an image or a part of one until the process ends: tests are short.
template <typename T>
T *keep(T value) {
  static std::deque<T> all;
  std::lock_guard<std::mutex> guard(fakeDriver().mutex);
  return &all.emplace_back(std::move(value));
}

thread_local FakeContext *current = nullptr;
thread_local int captureMode = 0;

/// Asking the system at each call for the process would take longer than all of bq.
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { fakeDriver().isInitialized = false; });

Result ready() { return fakeDriver().isInitialized ? success : notInitialized; }

Result load(FakeImage *&made, const void *data, FakeContext *context) {
  FakeDriver &state = fakeDriver();
  if (Result result = ready())
    return result;
  if (state.behaviour.isCapturing || (state.behaviour.isCapturedElsewhere && captureMode != captureModeRelaxed))
    return captureUnsupported;
  ++state.loads;
  if (state.behaviour.loadResult)
    return state.behaviour.loadResult;
  std::string image = static_cast<const char *>(data);
  std::shared_ptr<emu::CompiledKernel> code;
  if (state.behaviour.runsKernels) {
    Expected<std::shared_ptr<emu::CompiledKernel>> compiled = emu::CompiledKernel::compile(image);
    if (!compiled)
      return invalidImage;
    code = *compiled;
  }
  made = keep(FakeImage{code, context});
  std::lock_guard<std::mutex> guard(state.mutex);
  state.image = std::move(image);
  return success;
}

Result find(FakeFunction *&made, const FakeImage &image, const std::string &name, FakeContext *context) {
  void *entry = image.code ? image.code->entry(name) : nullptr;
  if (image.code && !entry)
    return noSymbol;
  made = keep(FakeFunction{name, entry, context});
  return success;
}

} // namespace

FakeDriver &test::fakeDriver() {
  static FakeDriver state;
  return state;
}

EXPORT FakeDriver *bqFakeDriver() { return &fakeDriver(); }

EXPORT Result cuInit(unsigned) {
  fakeDriver().isInitialized = true;
  return fakeDriver().behaviour.initResult;
}

EXPORT Result cuDriverGetVersion(int *version) {
  *version = fakeDriver().behaviour.version;
  return success;
}

EXPORT Result cuDeviceGetCount(int *count) {
  *count = fakeDriver().behaviour.devices;
  return ready();
}

EXPORT Result cuDeviceGet(DeviceId *device, int ordinal) {
  // Not the ordinal, so that nobody confuses the two.
  *device = 100 + ordinal;
  return ready();
}

EXPORT Result cuDeviceGetName(char *name, int size, DeviceId) {
  std::strncpy(name, "Fake GPU", size);
  return ready();
}

EXPORT Result cuDeviceGetAttribute(int *value, int attribute, DeviceId device) {
  const FakeDriver::Behaviour &behaviour = fakeDriver().behaviour;
  const std::map<int, int> attributes = {{capabilityMajor, behaviour.capability / 10},
                                         {capabilityMinor, behaviour.capability % 10},
                                         {multiprocessorCount, 132},
                                         {maxSharedBytesOptin, behaviour.sharedBytes},
                                         {memoryClockKilohertz, 3'000'000},
                                         {memoryWidthBits, 8192}};
  auto found = attributes.find(attribute);
  if (found == attributes.end() || device < 100)
    return invalidValue;
  *value = found->second;
  return success;
}

EXPORT Result cuDevicePrimaryCtxRetain(Context *context, DeviceId device) {
  *context = &contexts[device - 100];
  return fakeDriver().behaviour.contextResult ? fakeDriver().behaviour.contextResult : ready();
}

EXPORT Result cuCtxGetCurrent(Context *context) {
  *context = current;
  return ready();
}

namespace {
thread_local FakeContext *below = nullptr; ///< One is enough for bq.
}

EXPORT Result cuCtxPushCurrent_v2(Context context) {
  ++fakeDriver().pushes;
  below = current;
  current = static_cast<FakeContext *>(context);
  return ready();
}

EXPORT Result cuCtxPopCurrent_v2(Context *context) {
  ++fakeDriver().pops;
  *context = current;
  current = below;
  return ready();
}

EXPORT Result cuModuleLoadData(Module *module, const void *image) {
  if (!current)
    return invalidContext;
  FakeImage *made = nullptr;
  Result result = load(made, image, current);
  *module = made;
  return result;
}

EXPORT Result cuModuleGetFunction(Function *function, Module module, const char *name) {
  FakeFunction *made = nullptr;
  auto *image = static_cast<FakeImage *>(module);
  Result result = current != image->context ? invalidContext : find(made, *image, name, current);
  *function = made;
  return result;
}

EXPORT Result cuModuleUnload(Module) { return success; }

EXPORT Result cuFuncSetAttribute(Function function, int attribute, int value) {
  if (attribute != maxDynamicSharedBytes || value > fakeDriver().behaviour.sharedBytes)
    return invalidValue;
  static_cast<FakeFunction *>(function)->sharedBytes = value;
  return success;
}

EXPORT Result cuStreamIsCapturing(Stream, int *status) {
  *status = fakeDriver().behaviour.isCapturing;
  return current ? ready() : invalidContext;
}

EXPORT Result cuThreadExchangeStreamCaptureMode(int *mode) {
  std::swap(*mode, captureMode);
  return success;
}

EXPORT Result cuGetErrorName(Result result, const char **name) {
  *name = result == outOfMemory             ? "CUDA_ERROR_OUT_OF_MEMORY"
          : result == notInitialized        ? "CUDA_ERROR_NOT_INITIALIZED"
          : result == noDevice              ? "CUDA_ERROR_NO_DEVICE"
          : result == invalidImage          ? "CUDA_ERROR_INVALID_IMAGE"
          : result == unsupportedPtxVersion ? "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"
          : result == captureUnsupported    ? "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"
          : result == launchFailed          ? "CUDA_ERROR_LAUNCH_FAILED"
                                            : nullptr;
  return *name ? success : invalidValue;
}

EXPORT Result cuGetErrorString(Result result, const char **text) {
  const std::string &fault = fakeDriver().fault;
  *text = result == outOfMemory ? "out of memory" : result == launchFailed && !fault.empty() ? fault.c_str() : nullptr;
  return *text ? success : invalidValue;
}

EXPORT Result cuLaunchKernel(Function handle, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                             unsigned blockY, unsigned blockZ, unsigned sharedBytes, Stream stream, void **parameters,
                             void **extra) {
  FakeDriver &state = fakeDriver();
  auto *function = static_cast<FakeFunction *>(handle);
  if (Result result = ready())
    return result;
  if (current != function->context)
    return invalidContext;
  if (!gridX || !gridY || !gridZ || gridY > 65535 || gridZ > 65535 || blockX * blockY * blockZ > 1024 || extra ||
      sharedBytes > static_cast<unsigned>(function->sharedBytes))
    return invalidValue;
  if (isRecordedInGraph(stream))
    return success;
  ++state.launches;
  if (state.behaviour.launchResult || !state.behaviour.runsKernels)
    return state.behaviour.launchResult;
  const FakeLaunch launch{function->name,
                          function->entry,
                          {static_cast<int>(gridX), static_cast<int>(gridY), static_cast<int>(gridZ)},
                          static_cast<int>(blockX),
                          static_cast<int>(sharedBytes),
                          parameters};
  return runOnEmulator(launch, state.fault) ? success : launchFailed;
}

#ifndef BQ_FAKE_OLD

EXPORT Result cuLibraryLoadData(Library *library, const void *image, int *, void **, unsigned, int *, void **,
                                unsigned) {
  FakeImage *made = nullptr;
  Result result = load(made, image, nullptr);
  *library = made;
  return result;
}

EXPORT Result cuLibraryUnload(Library) { return success; }

EXPORT Result cuLibraryGetKernel(LibraryKernel *kernel, Library library, const char *name) {
  *kernel = keep(FakeKernel{static_cast<FakeImage *>(library), name});
  return success;
}

EXPORT Result cuKernelGetFunction(Function *function, LibraryKernel kernel) {
  if (!current)
    return invalidContext;
  FakeFunction *made = nullptr;
  Result result =
      find(made, *static_cast<FakeKernel *>(kernel)->image, static_cast<FakeKernel *>(kernel)->name, current);
  *function = made;
  return result;
}

EXPORT Result cuFuncLoad(Function) { return success; }

EXPORT Result cuGetProcAddress_v2(const char *name, void **address, int version, uint64_t, int *) {
  if (version > fakeDriver().behaviour.version)
    return invalidValue;
  Dl_info info{};
  dladdr(reinterpret_cast<void *>(&bqFakeDriver), &info);
  void *self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  *address = dlsym(self, (std::string(name) + "_v2").c_str());
  if (!*address)
    *address = dlsym(self, name);
  dlclose(self);
  return *address ? success : noSymbol;
}

#endif
