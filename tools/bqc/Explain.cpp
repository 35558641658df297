// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/KernelCache.h"
#include "tools/bqc/LayerSpec.h"
#include "tools/bqc/Output.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <sstream>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

Expected<CpuTarget> parseTarget(const std::string &text) {
  if (text == "cpu")
    return CpuTarget::fromEnvironment();
  if (text.rfind("cpu:", 0) == 0)
    return CpuTarget::parse(text.substr(4));
  return invalidArgument(fmt::format("--target: unknown target '{}', expected cpu or cpu:NAME", text));
}

Expected<Stage> parseStage(const std::string &text) {
  constexpr std::pair<const char *, Stage> stages[] = {{"layer", Stage::Layer},
                                                       {"schedule", Stage::Schedule},
                                                       {"tile", Stage::Tile},
                                                       {"llvm", Stage::Llvm},
                                                       {"asm", Stage::Asm}};
  for (const auto &[name, stage] : stages)
    if (text == name)
      return stage;
  return invalidArgument(fmt::format("--stage: unknown stage '{}', expected layer, schedule, tile, llvm or asm", text));
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
  if (options.target.rfind("cuda", 0) == 0)
    return fail(fmt::format("--target {}: this version generates no CUDA kernels; a cpu target works", options.target));
  const Expected<KernelSpec> spec = parseLayer(options.layer);
  if (!spec)
    return failUsage(spec.error().message);
  const Expected<CpuTarget> target = parseTarget(options.target);
  if (!target)
    return failUsage(target.error().message);
  Expected<KernelCache *> cache = KernelCache::process();
  if (!cache)
    return fail(cache.error());
  const CompileRequest request{*spec, *target, options.schedule};

  if (!options.stage.empty()) {
    const Expected<Stage> stage = parseStage(options.stage);
    if (!stage)
      return failUsage(stage.error().message);
    const Expected<const CompilerApi *> compiler = (*cache)->compiler().get();
    if (!compiler)
      return fail(compiler.error());
    const Expected<std::string> text = (*compiler)->explain(request, *stage);
    if (!text)
      return fail(text.error());
    if (options.output.json)
      fmt::print(
          "{}\n",
          Json{{"kernel", spec->name()}, {"target", target->str()}, {"stage", options.stage}, {"text", *text}}.dump(2));
    else
      fmt::print("{}{}", *text, !text->empty() && text->back() == '\n' ? "" : "\n");
    return Done;
  }

  const Expected<const CompilerApi *> compiler = (*cache)->compiler().get();
  if (!compiler)
    return fail(compiler.error());
  const Expected<std::string> candidates = (*compiler)->candidates(request);
  if (!candidates)
    return fail(candidates.error());
  const Expected<Artifact> artifact = (*compiler)->compile(request);
  if (!artifact)
    return fail(artifact.error());

  Json object{{"kernel", artifact->name}, {"spec", spec->str()}, {"target", target->str()}};
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
  object["sizes"] = {{"object_bytes", static_cast<int64_t>(artifact->object.size())},
                     {"tasks", artifact->tasks},
                     {"row_multiple", artifact->rowMultiple},
                     {"panel_bytes_per_row", artifact->panelDataBytes},
                     {"panel_sums_per_row", artifact->panelSums},
                     {"prepare_scratch_bytes", artifact->prepareScratchBytes},
                     {"scratch_bytes", artifact->scratchBytes}};
  if (options.output.json)
    fmt::print("{}\n", object.dump(2));
  else
    printText(object, *candidates);
  return Done;
}
