// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Convert.h"
#include "tools/bqc/Device.h"
#include "tools/bqc/KernelReport.h"
#include "tools/bqc/Measure.h"
#include "tools/bqc/ModelFile.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/OutputFile.h"
#include "tools/bqc/Progress.h"
#include "tools/bqc/TorchCommands.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

Expected<ConvertOptions> parseOptions(const QuantizeOptions &command) {
  ConvertOptions options;
  for (const std::string &text : command.formats) {
    Expected<FormatRule> rule = FormatRule::parse(text);
    if (!rule)
      return invalidArgument(fmt::format("--format {}: {}", text, rule.error().message));
    options.rules.push_back(std::move(*rule));
  }
  const Expected<Compute> compute = parseCompute(command.compute);
  if (!compute)
    return invalidArgument("--compute: " + compute.error().message);
  options.compute = *compute;
  options.include = command.include;
  options.exclude = command.exclude;
  return options;
}

/// JSON has no infinity, which is the ratio of an exact layer.
Json number(const std::optional<double> &value) {
  return value && std::isfinite(*value) ? Json(*value) : Json(nullptr);
}

Json toJson(const LayerReport &layer) {
  const bool hasCompute = layer.op != "embedding";
  return {{"name", layer.name},
          {"op", layer.op},
          {"shape", layer.shape},
          {"format", layer.format.str()},
          {"compute", hasCompute ? Json(str(layer.compute)) : Json(nullptr)},
          {"activation", hasCompute ? Json(str(layer.activation)) : Json(nullptr)},
          {"bytes", layer.bytes},
          {"float_bytes", layer.floatBytes},
          {"relative_error", number(layer.relativeError)},
          {"sqnr_db", number(layer.sqnrDb)}};
}

Json toJson(const QuantizeOptions &command, const ConvertReport &report) {
  Json object{{"in", command.in},           {"out", command.out},        {"formats", command.formats},
              {"compute", command.compute}, {"dry_run", command.dryRun}, {"layers", Json::array()}};
  for (const LayerReport &layer : report.layers)
    object["layers"].push_back(toJson(layer));
  object["kept"] = Json::array();
  for (const KeptTensor &tensor : report.kept)
    object["kept"].push_back(
        {{"name", tensor.name}, {"shape", tensor.shape}, {"bytes", tensor.bytes}, {"reason", tensor.reason}});
  object["in_weight_bytes"] = report.floatBytes();
  object["out_weight_bytes"] = report.bytes();
  object["in_file_bytes"] = fileSize(command.in);
  return object;
}

void printPlan(const ConvertReport &report) {
  size_t width = 5;
  for (const LayerReport &layer : report.layers)
    width = std::max(width, layer.name.size());
  fmt::print("{:<{}}  {:<9}  {:<15}  {:<12}  {:<7}  {:<10}  {:>9}  {:>9}\n", "layer", width, "op", "shape", "format",
             "compute", "activation", "float", "bytes");
  for (const LayerReport &layer : report.layers) {
    const bool hasCompute = layer.op != "embedding";
    fmt::print("{:<{}}  {:<9}  {:<15}  {:<12}  {:<7}  {:<10}  {:>9}  {:>9}\n", layer.name, width, layer.op,
               shapeText(layer.shape), layer.format.str(), hasCompute ? str(layer.compute) : "-",
               hasCompute ? str(layer.activation) : "-", sizeText(layer.floatBytes), sizeText(layer.bytes));
  }
  int64_t keptBytes = 0;
  for (const KeptTensor &tensor : report.kept) {
    keptBytes += tensor.bytes;
    if (!tensor.reason.empty())
      fmt::print("kept {} {}: {}\n", tensor.name, shapeText(tensor.shape), tensor.reason);
  }
  std::map<std::tuple<std::string, std::string>, int> counts;
  for (const LayerReport &layer : report.layers)
    ++counts[{layer.op, layer.format.str()}];
  fmt::print("plan      ");
  for (const auto &[kind, count] : counts)
    fmt::print("{} {} -> {}, ", count, std::get<0>(kind), std::get<1>(kind));
  fmt::print("{} tensors kept ({})\n", report.kept.size(), sizeText(keptBytes));
  fmt::print("weights   {} -> {} ({:.2f}x)\n", sizeText(report.floatBytes()), sizeText(report.bytes()),
             static_cast<double>(report.floatBytes()) / static_cast<double>(report.bytes()));
}

std::string errorOf(const LayerReport &layer) {
  if (!layer.relativeError)
    return "";
  return layer.sqnrDb && std::isfinite(*layer.sqnrDb)
             ? fmt::format("error {:.2e}, {:.1f} dB", *layer.relativeError, *layer.sqnrDb)
             : fmt::format("error {:.2e}", *layer.relativeError);
}

void printResult(const QuantizeOptions &command, const ConvertReport &report, double seconds) {
  const auto worse = [](const LayerReport &l, const LayerReport &r) {
    return l.relativeError.value_or(0) < r.relativeError.value_or(0);
  };
  const LayerReport &worst = *std::max_element(report.layers.begin(), report.layers.end(), worse);
  if (command.output.quiet || command.output.verbose)
    for (const LayerReport &layer : report.layers)
      fmt::print("{}  {}\n", layer.name, errorOf(layer));
  fmt::print("worst     {}  {}\n", worst.name, errorOf(worst));
  const int64_t before = fileSize(command.in), after = fileSize(command.out);
  fmt::print("file      {} -> {} ({:.2f}x)  {}\n", sizeText(before), sizeText(after),
             static_cast<double>(before) / static_cast<double>(after), command.out);
  fmt::print("time      {:.1f} s\n", seconds);
}

int quantizeChecked(const QuantizeOptions &command) {
  Expected<ConvertOptions> options = parseOptions(command);
  if (!options)
    return failUsage(options.error().message);
  const Expected<at::Device> device = openDevice(command.device);
  if (!device)
    return fail(device.error());
  if (device->is_cuda())
    options->device = *device;
  if (Status status = checkOutputPath("-o", command.out, {command.in}); !status)
    return fail(status.error());
  if (!command.report.empty()) {
    if (Status status = checkOutputPath("--report", command.report, {command.in}); !status)
      return fail(status.error());
    if (isSameFile(command.report, command.out))
      return failUsage(fmt::format("--report {}: is the file of the model too; give another name", command.report));
  }
  Expected<torch::jit::Module> module = loadModel(command.in);
  if (!module)
    return fail(module.error());

  const double start = now();
  ConvertReport report = planConversion(*module, *options);
  if (!command.output.json)
    printPlan(report);
  if (!command.dryRun) {
    std::fflush(stdout);
    {
      Progress progress("quantize", command.output);
      options->progress = [&](const LayerReport &layer, size_t done, size_t total) {
        progress.step(done, total, layer.name, errorOf(layer));
      };
      report = convert(*module, *options);
    }
    if (Status status = saveModel(*module, command.out); !status)
      return fail(status.error());
  }

  Json object = toJson(command, report);
  if (!command.dryRun) {
    object["out_file_bytes"] = fileSize(command.out);
    object["seconds"] = now() - start;
    object["kernels"] = kernelReport();
    if (!command.output.json)
      printResult(command, report, now() - start);
  }
  if (!command.report.empty())
    if (Status status = writeOutputFile(command.report, object.dump(2) + "\n"); !status)
      return fail(status.error().message + (command.dryRun ? "" : "; the model " + command.out + " is written"));
  if (command.output.json)
    fmt::print("{}\n", object.dump(2));
  return Done;
}

} // namespace

int cli::runQuantize(const QuantizeOptions &command) {
  try {
    return quantizeChecked(command);
  } catch (const std::exception &error) {
    return fail(fmt::format("{}: {}", command.in, modelErrorText(error)));
  }
}
