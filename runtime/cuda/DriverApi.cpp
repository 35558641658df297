// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cuda/DriverApi.h"

#include <algorithm>
#include <cstdint>
#include <dlfcn.h>

using namespace bq;
using namespace bq::cuda;

namespace {

/// The newest version of functions that the prototypes are of.
constexpr int newestVersion = 12040;

class Symbols {
public:
  Symbols(void *library, const std::string &path) : library(library), path(path) {
    Result (*getVersion)(int *) = nullptr;
    assign(getVersion, dlsym(library, "cuDriverGetVersion"));
    if (getVersion && getVersion(&version) != success)
      version = 0;
    assign(getProcAddress, dlsym(library, "cuGetProcAddress_v2"));
  }

  /// `exported` is the name in the library's symbol table where it has a version.
  template <typename Fn>
  void find(Fn *&field, const char *name, const char *exported = nullptr) {
    void *address = nullptr;
    int status = 0;
    if (!getProcAddress || getProcAddress(name, &address, std::min(version, newestVersion), 0, &status) != success)
      address = dlsym(library, exported ? exported : name);
    assign(field, address);
  }
  template <typename Fn>
  void require(Fn *&field, const char *name, const char *exported = nullptr) {
    find(field, name, exported);
    if (!field && missing.ok())
      missing = unsupported("kernels for GPUs need NVIDIA's driver for CUDA 11.1 or newer: " + path + " has no " +
                            (exported ? exported : name));
  }

  Status missing;

private:
  template <typename Fn>
  static void assign(Fn *&field, void *address) {
    field = reinterpret_cast<Fn *>(address);
  }

  void *library;
  const std::string &path;
  int version = 0;
  Result (*getProcAddress)(const char *name, void **address, int version, uint64_t flags, int *status) = nullptr;
};

} // namespace

Expected<DriverApi> DriverApi::open(const std::string &path) {
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return unsupported(std::string("kernels for GPUs need NVIDIA's driver, which cannot be opened (") + dlerror() +
                       "): install it, or set BQ_CUDA_DRIVER to the path of libcuda.so.1");
  DriverApi api;
  Symbols symbols(library, path);
  symbols.require(api.init, "cuInit");
  symbols.require(api.driverGetVersion, "cuDriverGetVersion");
  symbols.require(api.deviceGetCount, "cuDeviceGetCount");
  symbols.require(api.deviceGet, "cuDeviceGet");
  symbols.require(api.deviceGetName, "cuDeviceGetName");
  symbols.require(api.deviceGetAttribute, "cuDeviceGetAttribute");
  symbols.require(api.primaryContextRetain, "cuDevicePrimaryCtxRetain");
  symbols.require(api.contextGetCurrent, "cuCtxGetCurrent");
  symbols.require(api.contextPush, "cuCtxPushCurrent", "cuCtxPushCurrent_v2");
  symbols.require(api.contextPop, "cuCtxPopCurrent", "cuCtxPopCurrent_v2");
  symbols.require(api.moduleLoadData, "cuModuleLoadData");
  symbols.require(api.moduleGetFunction, "cuModuleGetFunction");
  symbols.require(api.moduleUnload, "cuModuleUnload");
  symbols.require(api.functionSetAttribute, "cuFuncSetAttribute");
  symbols.require(api.launchKernel, "cuLaunchKernel");
  symbols.require(api.streamIsCapturing, "cuStreamIsCapturing");
  symbols.require(api.exchangeCaptureMode, "cuThreadExchangeStreamCaptureMode");
  symbols.require(api.getErrorName, "cuGetErrorName");
  symbols.require(api.getErrorString, "cuGetErrorString");
  symbols.find(api.libraryLoadData, "cuLibraryLoadData");
  symbols.find(api.libraryUnload, "cuLibraryUnload");
  symbols.find(api.libraryGetKernel, "cuLibraryGetKernel");
  symbols.find(api.kernelGetFunction, "cuKernelGetFunction");
  symbols.find(api.functionLoad, "cuFuncLoad");
  symbols.find(api.streamBeginCapture, "cuStreamBeginCapture", "cuStreamBeginCapture_v2");
  symbols.find(api.streamEndCapture, "cuStreamEndCapture");
  symbols.find(api.graphInstantiate, "cuGraphInstantiateWithFlags");
  symbols.find(api.graphLaunch, "cuGraphLaunch");
  symbols.find(api.graphExecDestroy, "cuGraphExecDestroy");
  symbols.find(api.graphDestroy, "cuGraphDestroy");
  symbols.find(api.eventCreate, "cuEventCreate");
  symbols.find(api.eventDestroy, "cuEventDestroy", "cuEventDestroy_v2");
  symbols.find(api.eventRecord, "cuEventRecord");
  symbols.find(api.eventSynchronize, "cuEventSynchronize");
  symbols.find(api.eventElapsedTime, "cuEventElapsedTime");
  if (!symbols.missing)
    return symbols.missing.error();
  return api;
}
