// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/KernelCache.h"

#include "runtime/Fork.h"

#include <chrono>
#include <cstdio>
#include <exception>

using namespace bq;

namespace {

using Clock = std::chrono::steady_clock;

double millisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

std::string withMs(const std::string &text, double ms) {
  char number[32];
  std::snprintf(number, sizeof(number), " in %.2f ms", ms);
  return text + number;
}

} // namespace

KernelCache::KernelCache(const Options &options, CompilerLibrary &compiler)
    : settings(options), files(options), library(compiler) {}

KernelCache::Result KernelCache::get(const CompileRequest &request) {
  KernelKey key = KernelKey::get(request);
  std::promise<Result> promise;
  std::shared_future<Result> pending;
  {
    std::lock_guard<std::mutex> guard(forkSafeMutex());
    Slot &slot = slots[key.text];
    if (slot.kernel) {
      ++counts.memoryHits;
      return slot.kernel;
    }
    // What a thread of the parent was making when this process was forked off is made anew.
    if (slot.pending.valid() && slot.generation == forkGeneration()) {
      ++counts.memoryHits;
      pending = slot.pending;
    } else {
      slot.pending = promise.get_future().share();
      slot.generation = forkGeneration();
    }
  }
  if (pending.valid())
    return pending.get();

  Result result = [&]() -> Result {
    try {
      return make(request, key);
    } catch (const std::exception &error) {
      return internalError("kernel " + request.spec.name() + ": " + error.what());
    }
  }();
  {
    std::lock_guard<std::mutex> guard(forkSafeMutex());
    if (result) {
      Slot &slot = slots[key.text];
      slot.kernel = *result;
      slot.pending = {};
    } else {
      slots.erase(key.text);
    }
  }
  if (result && settings.verboseDispatch)
    logLine("dispatch: " + (*result)->artifact().name + ", schedule " + (*result)->artifact().schedule);
  promise.set_value(result);
  return result;
}

KernelCache::Result KernelCache::make(const CompileRequest &request, const KernelKey &key) {
  if (Status status = request.spec.verify(); !status)
    return status.error();
  if (Result loaded = load(request, key, /*quiet=*/true); !loaded || *loaded)
    return loaded;
  DiskCache::Lock lock = files.lock(key);
  // Another process may have made it while this one waited.
  if (Result loaded = load(request, key, /*quiet=*/false); !loaded || *loaded)
    return loaded;
  return compile(request, key);
}

/// The kernel from disk; null where it is not there.
KernelCache::Result KernelCache::load(const CompileRequest &request, const KernelKey &key, bool quiet) {
  Clock::time_point start = Clock::now();
  std::optional<KernelFile> file = files.load(key, quiet);
  if (!file)
    return std::shared_ptr<const Kernel>();
  Result kernel = Kernel::load(request.spec, std::move(file->artifact));
  if (!kernel) {
    if (!quiet)
      files.reportDamage(key, kernel.error().message);
    return std::shared_ptr<const Kernel>();
  }
  double ms = millisecondsSince(start);
  if (settings.verboseCache)
    logLine(withMs("cache: hit " + (*kernel)->artifact().name + " " + key.hex, ms));
  std::lock_guard<std::mutex> guard(forkSafeMutex());
  ++counts.diskHits;
  counts.loadMs += ms;
  return kernel;
}

KernelCache::Result KernelCache::compile(const CompileRequest &request, const KernelKey &key) {
  if (settings.verboseCache)
    logLine("cache: miss " + request.spec.name() + " " + key.hex);
  KernelFile file{key.text, request.spec.str(), request.target.str(), {}};
  {
    ForkDelay delay;
    bool wasLoaded = library.isLoaded();
    Clock::time_point start = Clock::now();
    Expected<const CompilerApi *> compiler = library.get();
    if (!compiler)
      return Error{compiler.error().code, "kernel " + request.spec.name() + ": " + compiler.error().message};
    double openMs = wasLoaded ? 0 : millisecondsSince(start);
    start = Clock::now();
    Expected<Artifact> artifact = (*compiler)->compile(request);
    double ms = millisecondsSince(start);
    {
      std::lock_guard<std::mutex> guard(forkSafeMutex());
      ++counts.compiles;
      counts.compileMs += ms;
      counts.openMs += openMs;
    }
    if (!artifact)
      return artifact.error();
    if (settings.verboseCompile)
      logLine(withMs("compile: " + artifact->name + " for " + request.target.str() + ", schedule " +
                         artifact->schedule + ", " + std::to_string(artifact->object.size()) + " bytes",
                     ms));
    file.artifact = std::move(*artifact);
  }
  // What cannot be loaded is not kept.
  Result kernel = Kernel::load(request.spec, file.artifact);
  if (kernel)
    files.store(key, file);
  return kernel;
}

CacheStats KernelCache::stats() const {
  std::lock_guard<std::mutex> guard(forkSafeMutex());
  CacheStats result = counts;
  result.evictions = files.evictions();
  result.damaged = files.damaged();
  return result;
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
