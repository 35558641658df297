// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/KernelCache.h"
#include "tools/bqc/LayerSpec.h"
#include "tools/bqc/Measure.h"
#include "tools/bqc/Output.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <optional>
#include <sstream>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

struct NamedStage {
  const char *name;
  std::optional<Stage> stage; ///< Nothing for resources, which are not text.
  /// The targets that have it.
  bool onCpu, onGpu, onEmulator;
};
constexpr NamedStage stages[] = {
    {"layer", Stage::Layer, true, true, true}, {"schedule", Stage::Schedule, true, true, true},
    {"tile", Stage::Tile, true, true, true},   {"llvm", Stage::Llvm, true, false, false},
    {"asm", Stage::Asm, true, false, false},   {"cuda", Stage::Cuda, false, true, true},
    {"ptx", Stage::Ptx, false, true, false},   {"resources", std::nullopt, false, true, false}};

Expected<std::optional<Stage>> parseStage(const std::string &text, const Target &target) {
  const CudaTarget *gpu = std::get_if<CudaTarget>(&target);
  std::string accepted;
  for (const NamedStage &named : stages) {
    if (!gpu ? !named.onCpu : gpu->isEmulator ? !named.onEmulator : !named.onGpu)
      continue;
    if (text == named.name)
      return named.stage;
    accepted += (accepted.empty() ? "" : ", ") + std::string(named.name);
  }
  return invalidArgument(
      fmt::format("--stage: '{}' is no stage of a kernel for {}, expected one of {}", text, str(target), accepted));
}

/// The compiler's error as one line, and after it a log and a source where there are any.
int failCompile(const Error &error) {
  const size_t end = error.message.find('\n');
  fail(error.message.substr(0, end));
  if (end != std::string::npos)
    fmt::print(stderr, "{}\n", error.message.substr(end + 1));
  return Failed;
}

/// What each kernel for a GPU takes: not text of the compiler but numbers of its result.
int showResources(const CompileRequest &request, const CompilerApi &compiler, bool json) {
  const double start = now();
  const Expected<Artifact> artifact = compiler.compile(request);
  if (!artifact)
    return failCompile(artifact.error());
  const double ms = (now() - start) * 1e3;
  Json object{{"kernel", request.spec.name()}, {"target", str(request.target)}, {"stage", "resources"}};
  Json kernels = Json::array();
  for (const GpuKernel &kernel : artifact->gpuKernels) {
    const Json taken{{"entry", kernel.entry},
                     {"threads", kernel.threads},
                     {"registers", kernel.registers},
                     {"spill_bytes", kernel.spillBytes},
                     {"stack_bytes", kernel.stackBytes},
                     {"shared_bytes", kernel.sharedBytes},
                     {"compile_ms", ms}};
    // Those of the kernel itself also on top, where the one that prepares its activations is not in the way.
    if (kernel.entry == artifact->name)
      object.update(taken);
    kernels.push_back(taken);
  }
  object["kernels"] = kernels;
  if (json) {
    fmt::print("{}\n", object.dump(2));
    return Done;
  }
  for (const Json &kernel : kernels)
    for (const auto &[name, value] : kernel.items())
      if (name == "entry")
        fmt::print("{}\n", value.get<std::string>());
      else if (name == "compile_ms")
        fmt::print("  {:<14}{:.1f}\n", name, value.get<double>());
      else
        fmt::print("  {:<14}{}\n", name, value.get<int64_t>());
  return Done;
}

int showStage(const CompileRequest &request, const std::string &name, const CompilerApi &compiler, bool json) {
  const Expected<std::optional<Stage>> stage = parseStage(name, request.target);
  if (!stage)
    return failUsage(stage.error().message);
  if (!*stage)
    return showResources(request, compiler, json);
  const Expected<std::string> text = compiler.explain(request, **stage);
  if (!text)
    return failCompile(text.error());
  if (json)
    fmt::print(
        "{}\n",
        Json{{"kernel", request.spec.name()}, {"target", str(request.target)}, {"stage", name}, {"text", *text}}.dump(
            2));
  else
    fmt::print("{}{}", *text, !text->empty() && text->back() == '\n' ? "" : "\n");
  return Done;
}

/// What a caller must know to run the kernel.
Json sizesOf(const Artifact &artifact, const Target &target) {
  Json sizes{{"object_bytes", static_cast<int64_t>(artifact.object.size())}};
  if (std::holds_alternative<CpuTarget>(target)) {
    sizes.update({{"tasks", artifact.tasks},
                  {"row_multiple", artifact.rowMultiple},
                  {"panel_bytes_per_row", artifact.panelDataBytes},
                  {"panel_sums_per_row", artifact.panelSums},
                  {"prepare_scratch_bytes", artifact.prepareScratchBytes},
                  {"scratch_bytes", artifact.scratchBytes}});
    return sizes;
  }
  const GpuKernel &kernel = artifact.gpuKernels.back();
  sizes.update({{"threads", kernel.threads},
                {"rows_per_block", kernel.rowsPerBlock},
                {"grid_y", kernel.gridY},
                {"grid_z", kernel.gridZ},
                {"shared_bytes", kernel.sharedBytes},
                {"splits", artifact.splits},
                {"prepared_columns", artifact.rowMajorColumns}});
  return sizes;
}

void printText(const Json &object, const std::string &candidates) {
  fmt::print("kernel      {}\n", object["kernel"].get<std::string>());
  fmt::print("spec        {}\n", object["spec"].get<std::string>());
  fmt::print("target      {}\n", object["target"].get<std::string>());
  fmt::print("candidates\n");
  std::istringstream lines(candidates);
  for (std::string line; std::getline(lines, line);)
    fmt::print("  {}\n", line);
  fmt::print("schedule    {}\n", object["schedule"].get<std::string>());
  if (const std::string layout = object["layout"]; !layout.empty())
    fmt::print("layout      {}\n", layout);
  for (const auto &[name, value] : object["sizes"].items())
    fmt::print("{:<24}{}\n", name, value.get<int64_t>());
}

} // namespace

int cli::runExplain(const ExplainOptions &options) {
  const Expected<Target> target = parseTarget(options.target);
  if (!target)
    return failUsage("--target: " + target.error().message);
  const Expected<KernelSpec> spec = parseLayer(options.layer, *target);
  if (!spec)
    return failUsage(spec.error().message);
  Expected<KernelCache *> cache = KernelCache::process();
  if (!cache)
    return fail(cache.error());
  const CompileRequest request{*spec, *target, options.schedule};

  const Expected<const CompilerApi *> compiler = (*cache)->compiler().get();
  if (!compiler)
    return fail(compiler.error());
  if (!options.stage.empty())
    return showStage(request, options.stage, **compiler, options.output.json);
  const Expected<std::string> candidates = (*compiler)->candidates(request);
  if (!candidates)
    return fail(candidates.error());
  const Expected<Artifact> artifact = (*compiler)->compile(request);
  if (!artifact)
    return failCompile(artifact.error());

  Json object{{"kernel", artifact->name}, {"spec", spec->str()}, {"target", str(*target)}};
  object["candidates"] = Json::array();
  std::istringstream lines(*candidates);
  for (std::string line; std::getline(lines, line);) {
    const size_t end = line.find_first_of(": ");
    const size_t verdict = line.find_first_not_of(": ", end);
    object["candidates"].push_back(
        {{"name", line.substr(0, end)}, {"verdict", verdict == std::string::npos ? "" : line.substr(verdict)}});
  }
  object["schedule"] = artifact->schedule;
  object["layout"] = artifact->layout;
  object["sizes"] = sizesOf(*artifact, *target);
  if (options.output.json)
    fmt::print("{}\n", object.dump(2));
  else
    printText(object, *candidates);
  return Done;
}
