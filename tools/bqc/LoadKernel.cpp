// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/KernelCache.h"
#include "tools/bqc/Measure.h"
#include "tools/bqc/Output.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

using namespace bq;
using namespace bq::cli;

int cli::runLoadKernel(const LoadKernelOptions &options) {
  const Expected<KernelSpec> spec = KernelSpec::parse(options.spec);
  if (!spec)
    return failUsage(spec.error().message);
  const double start = now();
  const Expected<CpuTarget> target = CpuTarget::fromEnvironment();
  if (!target)
    return fail(target.error());
  const Expected<KernelCache *> cache = KernelCache::process();
  if (!cache)
    return fail(cache.error());
  const CompileRequest request{*spec, *target, ""};
  const Expected<std::shared_ptr<const Kernel>> kernel = (*cache)->get(request);
  if (!kernel)
    return fail(kernel.error());
  const double loaded = now();

  nlohmann::ordered_json result{{"ms", (loaded - start) * 1e3}, {"compiles", (*cache)->stats().compiles}};
  if ((*cache)->compiler().isLoaded()) {
    // Once more, now that the compiler is there.
    const Expected<const CompilerApi *> compiler = (*cache)->compiler().get();
    const double again = now();
    if (const Expected<Artifact> artifact = (*compiler)->compile(request); !artifact)
      return fail(artifact.error());
    result["warm_compile_ms"] = (now() - again) * 1e3;
  }
  fmt::print("{}\n", result.dump());
  return Done;
}
