// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/cuda/NvrtcLibrary.h"
#include "dialect/core/Target.h"
#include "runtime/KernelCache.h"
#include "runtime/cuda/Driver.h"
#include "tools/bqc/Output.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

/// What was found of one thing bq uses.
struct Finding {
  const char *name;
  enum class State { Found, Absent, Broken } state; ///< Absent: bq works without it.
  std::string text;
};

std::string cpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0)
      return line.substr(line.find(':') + 2);
  return "unknown model";
}

Finding findTarget() {
  const Expected<CpuTarget> target = CpuTarget::fromEnvironment();
  if (!target)
    return {"target", Finding::State::Broken, target.error().message};
  return {"target", Finding::State::Found, target->str()};
}

Finding findCompiler() {
  const Expected<KernelCache *> cache = KernelCache::process();
  if (!cache)
    return {"compiler", Finding::State::Broken, cache.error().message};
  const Expected<const CompilerApi *> compiler = (*cache)->compiler().get();
  if (!compiler)
    return {"compiler", Finding::State::Broken, compiler.error().message};
  Dl_info info{};
  dladdr(reinterpret_cast<const void *>((*compiler)->compile), &info);
  return {"compiler", Finding::State::Found,
          fmt::format("LLVM {}, {}", (*compiler)->llvmVersion, info.dli_fname ? info.dli_fname : "linked in")};
}

Finding findTorch(const Expected<const TorchCommands *> &torch) {
  if (!torch)
    return {"LibTorch", Finding::State::Broken, torch.error().message};
  return {"LibTorch", Finding::State::Found, fmt::format("{}, {}", (*torch)->torchVersion, (*torch)->torchLibrary())};
}

Finding findCache() {
  const Expected<Options> options = Options::fromEnvironment();
  if (!options)
    return {"cache", Finding::State::Broken, options.error().message};
  const DiskCache cache(*options);
  if (cache.path().empty())
    return {"cache", Finding::State::Absent, "no folder: set BQ_CACHE_DIR, XDG_CACHE_HOME or HOME"};
  if (options->cacheMode == Options::CacheMode::Off)
    return {"cache", Finding::State::Absent, "off (BQ_CACHE)"};
  const Expected<CacheTotals> totals = cache.totals();
  if (!totals)
    return {"cache", Finding::State::Broken, totals.error().message};
  const bool exists = access(cache.path().c_str(), F_OK) == 0;
  if (exists && options->cacheMode == Options::CacheMode::On && access(cache.path().c_str(), W_OK) != 0)
    return {"cache", Finding::State::Broken,
            cache.path() + " cannot be written: kernels are compiled in every process"};
  return {"cache", Finding::State::Found,
          fmt::format("{}, {} kernels, {} of at most {}{}", cache.path(), totals->files, sizeText(totals->bytes),
                      sizeText(options->cacheSize), exists ? "" : " (made on first use)")};
}

Finding findNvrtc() {
  const Expected<const NvrtcLibrary *> nvrtc = NvrtcLibrary::get();
  if (!nvrtc)
    return {"NVRTC", nvrtc.error().code == ErrorCode::NotFound ? Finding::State::Absent : Finding::State::Broken,
            nvrtc.error().message};
  std::string architectures;
  for (const int sm : (*nvrtc)->architectures)
    if (const Expected<CudaTarget> target = CudaTarget::parse(fmt::format("sm_{}", sm)))
      architectures += " " + target->str();
  return {"NVRTC", Finding::State::Found,
          fmt::format("{}, {}, for{}", (*nvrtc)->version(), (*nvrtc)->file.path, architectures)};
}

Finding findDriver() {
  const Expected<Options> options = Options::fromEnvironment();
  if (!options)
    return {"driver", Finding::State::Broken, options.error().message};
  const Expected<std::unique_ptr<const Driver>> driver = Driver::open(options->cudaDriverPath);
  // A path that leads nowhere is broken, not absent.
  if (!driver)
    return {"driver", std::getenv("BQ_CUDA_DRIVER") ? Finding::State::Broken : Finding::State::Absent,
            driver.error().message};
  std::string text = fmt::format("CUDA {}, {}", (*driver)->version(), options->cudaDriverPath);
  for (int i = 0; i < (*driver)->devices(); ++i) {
    const CudaDevice &device = **(*driver)->device(i);
    text += fmt::format(", device {} {} (compute capability {}.{}, {} multiprocessors)", i, device.name(),
                        device.capability().major, device.capability().minor, device.multiprocessors());
  }
  return {"driver", Finding::State::Found, text};
}

} // namespace

int cli::runDoctor(const OutputOptions &output) {
  const Expected<const TorchCommands *> torch = torchCommands();
  const Finding findings[] = {
      {"bq", Finding::State::Found, fmt::format("build {}", buildId())},
      {"cpu", Finding::State::Found, fmt::format("{}, {}", cpuModel(), CpuTarget::host().str())},
      findTarget(),
      findCompiler(),
      findTorch(torch),
      findCache(),
      findNvrtc(),
      findDriver(),
  };
  constexpr const char *states[] = {"found", "absent", "broken"};
  bool broken = false;
  Json object, variables;
  for (const Finding &finding : findings) {
    broken |= finding.state == Finding::State::Broken;
    object[finding.name] = {{"state", states[static_cast<int>(finding.state)]}, {"text", finding.text}};
    if (!output.json)
      fmt::print("{:<10}{:<8}{}\n", finding.name, states[static_cast<int>(finding.state)], finding.text);
  }
  for (const OptionInfo &option : optionTable()) {
    const char *value = std::getenv(option.name);
    variables[option.name] = value ? Json(value) : Json(nullptr);
    if (!output.json)
      fmt::print("{}{}  ({}; default {})\n", option.name, value ? fmt::format("={}", value) : " not set",
                 option.meaning, option.defaultText);
  }
  if (output.json)
    fmt::print("{}\n", Json{{"ok", !broken},
                            {"features", CpuTarget::host().featureString()},
                            {"findings", object},
                            {"variables", variables}}
                           .dump(2));
  return broken ? Failed : Done;
}
