// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/cuda/NvrtcLibrary.h"

#include <algorithm>
#include <atomic>
#include <dlfcn.h>
#include <filesystem>

using namespace bq;

/// NVRTC opens a library of its own by name when it first compiles, and does not look beside itself for it. One that is
/// open already is found by that name.
static void openBuiltins(const NvrtcLibrary &library) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::canonical(library.file.path, error);
  dlopen((path.parent_path() / ("libnvrtc-builtins.so." + library.version())).c_str(), RTLD_LAZY | RTLD_LOCAL);
}

Expected<NvrtcLibrary> NvrtcLibrary::open(const NvrtcFile &file) {
  void *handle = dlopen(file.path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (!handle)
    return unsupported("NVRTC cannot be opened: " + std::string(dlerror()));
  NvrtcLibrary library;
  library.file = file;
  std::string missing;
  auto bind = [&](auto &function, const char *name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
    if (!function && missing.empty())
      missing = name;
  };
  Result (*getVersion)(int *, int *);
  Result (*getArchCount)(int *);
  Result (*getArchs)(int *);
  bind(getVersion, "nvrtcVersion");
  bind(getArchCount, "nvrtcGetNumSupportedArchs");
  bind(getArchs, "nvrtcGetSupportedArchs");
  bind(library.getErrorString, "nvrtcGetErrorString");
  bind(library.createProgram, "nvrtcCreateProgram");
  bind(library.destroyProgram, "nvrtcDestroyProgram");
  bind(library.compileProgram, "nvrtcCompileProgram");
  bind(library.getLogSize, "nvrtcGetProgramLogSize");
  bind(library.getLog, "nvrtcGetProgramLog");
  bind(library.getPtxSize, "nvrtcGetPTXSize");
  bind(library.getPtx, "nvrtcGetPTX");
  bind(library.getCubinSize, "nvrtcGetCUBINSize");
  bind(library.getCubin, "nvrtcGetCUBIN");
  if (!missing.empty())
    return unsupported(file.path + " is no NVRTC that bq can use: it has no " + missing +
                       "; version 12.0 or newer is needed");

  int count = 0;
  if (getVersion(&library.major, &library.minor) != 0 || getArchCount(&count) != 0 || count <= 0)
    return unsupported(file.path + " does not say which version and architectures it has");
  library.architectures.resize(count);
  if (getArchs(library.architectures.data()) != 0)
    return unsupported(file.path + " does not say which architectures it has");
  std::sort(library.architectures.begin(), library.architectures.end());
  openBuiltins(library);
  return library;
}

Expected<const NvrtcLibrary *> NvrtcLibrary::get() {
  static std::atomic<const NvrtcLibrary *> known{nullptr};
  if (const NvrtcLibrary *library = known.load(std::memory_order_acquire))
    return library;
  // No lock: opening a library twice opens it once, and a lock would have to survive fork().
  Expected<NvrtcFile> file = NvrtcFile::find();
  if (!file)
    return file.error();
  Expected<NvrtcLibrary> opened = open(*file);
  if (!opened)
    return opened.error();
  const NvrtcLibrary *made = new NvrtcLibrary(std::move(*opened));
  const NvrtcLibrary *first = nullptr;
  if (!known.compare_exchange_strong(first, made, std::memory_order_acq_rel)) {
    delete made;
    return first;
  }
  return made;
}
