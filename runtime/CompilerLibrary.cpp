// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/CompilerLibrary.h"

#include <climits>
#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

using namespace bq;

namespace {

/// Folder of the shared library or executable that holds this code.
std::string ownFolder() {
  Dl_info info{};
  link_map *map = nullptr;
  std::string path;
  // An executable's name is what it was started by, which need not be its path.
  if (dladdr1(reinterpret_cast<void *>(&ownFolder), &info, reinterpret_cast<void **>(&map), RTLD_DL_LINKMAP) && map &&
      map->l_name && *map->l_name) {
    path = map->l_name;
  } else {
    char text[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", text, sizeof(text));
    path.assign(text, length > 0 ? length : 0);
  }
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

Expected<const CompilerApi *> open(const std::string &path) {
  // Bound lazily: most of what LLVM and MLIR import is never called, and binding it all takes as long as half a
  // compile.
  void *library = dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL);
  if (!library)
    return unsupported(dlerror());
  // Left open where refused: LLVM cannot be unloaded.
  auto function = reinterpret_cast<CompilerApiFn>(dlsym(library, compilerApiSymbol));
  const CompilerApi *api = function ? function() : nullptr;
  if (!api)
    return unsupported(path + " has no " + compilerApiSymbol);
  if (std::strcmp(api->buildId, buildId()) != 0)
    return unsupported(path + " is of build " + api->buildId + ", this is build " + buildId());
  return api;
}

} // namespace

CompilerLibrary::CompilerLibrary(std::string path) {
  if (path.empty()) {
    std::string folder = ownFolder();
    candidates = {folder + "/libbq_compiler.so", folder + "/../lib/libbq_compiler.so"};
  } else {
    candidates = {std::move(path)};
  }
}

Expected<const CompilerApi *> CompilerLibrary::get() {
  if (const CompilerApi *known = api.load(std::memory_order_acquire))
    return known;
  // No lock: opening a library twice opens it once, and a lock would have to survive fork().
  std::string tried;
  for (const std::string &path : candidates) {
    // The first that exists counts, so that a broken library is not hidden behind another.
    bool absent = access(path.c_str(), F_OK) != 0;
    Expected<const CompilerApi *> opened = open(path);
    if (opened) {
      api.store(*opened, std::memory_order_release);
      return opened;
    }
    tried += (tried.empty() ? "" : "; ") + opened.error().message;
    if (!absent)
      break;
  }
  return unsupported("the kernel is not in the cache and the compiler cannot be opened: " + tried +
                     " (BQ_COMPILER names another path)");
}
