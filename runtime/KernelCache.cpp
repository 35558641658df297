// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/KernelCache.h"

using namespace bq;

KernelCache::KernelCache(const Options &options, CompilerLibrary &compiler) : store(options, compiler) {}

Expected<std::shared_ptr<const Kernel>> KernelCache::get(const CompileRequest &request) {
  using Result = Expected<std::shared_ptr<const Kernel>>;
  KernelKey key = KernelKey::get(request);
  auto found = [&] { store.countMemoryHit(); };
  return kernels.get(key.text, found, [&]() -> Result {
    std::shared_ptr<const Kernel> kernel;
    Status status = store.get(request, key, [&](Artifact artifact) -> Status {
      Result loaded = Kernel::load(request.spec, std::move(artifact));
      if (!loaded)
        return loaded.error();
      kernel = std::move(*loaded);
      return {};
    });
    if (!status)
      return status.error();
    return kernel;
  });
}

Expected<KernelCache *> KernelCache::process() {
  // Another thread's first call must not be cut in half by a fork: the child would wait for its end for ever.
  ForkDelay delay;
  struct State {
    Expected<Options> options = Options::fromEnvironment();
    CompilerLibrary compiler{options ? options->compilerPath : ""};
    KernelCache cache{options ? *options : Options(), compiler};
  };
  // Never destroyed: kernels may be called until the process ends.
  static State *state = new State;
  if (!state->options)
    return state->options.error();
  return &state->cache;
}
