// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/ArtifactCache.h"

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

ArtifactCache::ArtifactCache(const Options &options, CompilerLibrary &compiler)
    : settings(options), files(options), library(compiler) {}

Status ArtifactCache::get(const CompileRequest &request, const KernelKey &key, const Use &use) {
  if (Status status = request.spec.verify(); !status)
    return status;
  std::string line;
  auto useAndTell = [&](Artifact artifact) {
    line = "dispatch: " + artifact.name + ", schedule " + artifact.schedule;
    return use(std::move(artifact));
  };
  auto make = [&]() -> Status {
    if (Expected<bool> loaded = load(key, useAndTell, /*quiet=*/true); !loaded)
      return loaded.error();
    else if (*loaded)
      return {};
    DiskCache::Lock lock = files.lock(key);
    // Another process may have made it while this one waited.
    if (Expected<bool> loaded = load(key, useAndTell, /*quiet=*/false); !loaded)
      return loaded.error();
    else if (*loaded)
      return {};
    return compile(request, key, useAndTell);
  };
  Status status = [&]() -> Status {
    try {
      return make();
    } catch (const std::exception &error) {
      return internalError("kernel " + request.spec.name() + ": " + error.what());
    }
  }();
  if (status && settings.verboseDispatch)
    logLine(line);
  return status;
}

/// Whether there is a sound kernel on disk, which has then been used.
Expected<bool> ArtifactCache::load(const KernelKey &key, const Use &use, bool quiet) {
  Clock::time_point start = Clock::now();
  std::optional<KernelFile> file = files.load(key, quiet);
  if (!file)
    return false;
  const std::string name = file->artifact.name;
  if (Status used = use(std::move(file->artifact)); !used) {
    if (used.error().code != ErrorCode::Internal)
      return used.error();
    if (!quiet)
      files.reportDamage(key, used.error().message);
    return false;
  }
  double ms = millisecondsSince(start);
  if (settings.verboseCache)
    logLine(withMs("cache: hit " + name + " " + key.hex, ms));
  std::lock_guard<std::mutex> guard(forkSafeMutex());
  ++counts.diskHits;
  counts.loadMs += ms;
  return true;
}

Status ArtifactCache::compile(const CompileRequest &request, const KernelKey &key, const Use &use) {
  if (settings.verboseCache)
    logLine("cache: miss " + request.spec.name() + " " + key.hex);
  KernelFile file{key.text, request.spec.str(), str(request.target), {}};
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
      return shortened(artifact.error(), key);
    if (settings.verboseCompile)
      logLine(withMs("compile: " + artifact->name + " for " + str(request.target) + ", schedule " + artifact->schedule +
                         ", " + std::to_string(artifact->object.size()) + " bytes",
                     ms));
    file.artifact = std::move(*artifact);
  }
  // What cannot be loaded is not kept.
  Status used = use(file.artifact);
  if (used)
    files.store(key, file);
  return used;
}

/// An error of the compiler in one line, where what follows that can be kept on disk.
Error ArtifactCache::shortened(const Error &error, const KernelKey &key) {
  size_t end = error.message.find('\n');
  std::string path = end == std::string::npos ? "" : files.storeFailure(key, error.message);
  if (path.empty())
    return error;
  return {error.code, error.message.substr(0, end) + "; log and source are in " + path};
}

void ArtifactCache::countMemoryHit() {
  std::lock_guard<std::mutex> guard(forkSafeMutex());
  ++counts.memoryHits;
}

CacheStats ArtifactCache::stats() const {
  std::lock_guard<std::mutex> guard(forkSafeMutex());
  CacheStats result = counts;
  result.evictions = files.evictions();
  result.damaged = files.damaged();
  return result;
}
