// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/QuantizeReport.h"

#include "tools/bqc/ModelFile.h"
#include "tools/bqc/Output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

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

Json toJson(const std::optional<onebit::SquaredError> &error) {
  if (!error)
    return nullptr;
  return {{"sum", error->sum}, {"mean", error->mean}, {"relative", number(error->relative)}};
}

const OneBitResult *resultOf(const CalibratedLayers *calibrated, const std::string &layer) {
  if (!calibrated)
    return nullptr;
  const auto found = calibrated->results().find(layer);
  return found == calibrated->results().end() ? nullptr : &found->second;
}

/// The relative error of a layer's output, where inputs have told it.
std::optional<double> outputErrorOf(const OneBitResult *result) {
  if (!result || !result->outputError || !result->outputError->relative)
    return std::nullopt;
  return std::sqrt(*result->outputError->relative);
}

/// What layers are ordered by.
double badness(const LayerReport &layer, const CalibratedLayers *calibrated) {
  return outputErrorOf(resultOf(calibrated, layer.name)).value_or(layer.relativeError.value_or(-1));
}

std::vector<const LayerReport *> worstFirst(const ConvertReport &report, const CalibratedLayers *calibrated) {
  std::vector<const LayerReport *> layers;
  for (const LayerReport &layer : report.layers)
    layers.push_back(&layer);
  std::stable_sort(layers.begin(), layers.end(), [&](const LayerReport *l, const LayerReport *r) {
    return badness(*l, calibrated) > badness(*r, calibrated);
  });
  return layers;
}

/// Bits for each weight of the layers at one bit, as their canonical tensors take them.
double bitsPerWeight(const CalibratedLayers &calibrated) {
  int64_t bytes = 0, weights = 0;
  for (const auto &[name, result] : calibrated.results()) {
    bytes += static_cast<int64_t>(result.sign.nbytes() + result.a.nbytes() + result.b.nbytes());
    weights += result.outFeatures() * result.inFeatures();
  }
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

} // namespace

Json cli::toJson(const QuantizeOptions &command, const ConvertReport &report, const CalibratedLayers *calibrated) {
  Json object{{"in", command.in},           {"out", command.out},        {"formats", command.formats},
              {"compute", command.compute}, {"dry_run", command.dryRun}, {"layers", Json::array()}};
  for (const LayerReport *layer : worstFirst(report, calibrated)) {
    Json entry = ::toJson(*layer);
    if (const OneBitResult *result = resultOf(calibrated, layer->name)) {
      entry["relative_output_error"] = number(outputErrorOf(result));
      entry["output_squared_error"] = ::toJson(result->outputError);
      entry["weight_squared_error"] = ::toJson(result->weightError);
      entry["seconds"] = result->quantizationTime;
    }
    object["layers"].push_back(std::move(entry));
  }
  object["kept"] = Json::array();
  for (const KeptTensor &tensor : report.kept)
    object["kept"].push_back(
        {{"name", tensor.name}, {"shape", tensor.shape}, {"bytes", tensor.bytes}, {"reason", tensor.reason}});
  object["in_weight_bytes"] = report.floatBytes();
  object["out_weight_bytes"] = report.bytes();
  object["in_file_bytes"] = fileSize(command.in);
  if (calibrated)
    object["calibration"] = calibrated->toJson();
  if (calibrated && !calibrated->results().empty())
    object["calibration"]["bits_per_weight"] = bitsPerWeight(*calibrated);
  return object;
}

void cli::printPlan(const ConvertReport &report) {
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

std::string cli::errorOf(const LayerReport &layer) {
  if (!layer.relativeError)
    return "";
  return layer.sqnrDb && std::isfinite(*layer.sqnrDb)
             ? fmt::format("error {:.2e}, {:.1f} dB", *layer.relativeError, *layer.sqnrDb)
             : fmt::format("error {:.2e}", *layer.relativeError);
}

void cli::printResult(const QuantizeOptions &command, const ConvertReport &report, const CalibratedLayers *calibrated,
                      double seconds) {
  const auto text = [&](const LayerReport &layer) {
    const std::optional<double> output = outputErrorOf(resultOf(calibrated, layer.name));
    return errorOf(layer) + (output ? fmt::format(", output error {:.2e}", *output) : "");
  };
  if (command.output.quiet || command.output.verbose)
    for (const LayerReport &layer : report.layers)
      fmt::print("{}  {}\n", layer.name, text(layer));
  const LayerReport &worst = *worstFirst(report, calibrated)[0];
  fmt::print("worst     {}  {}\n", worst.name, text(worst));
  if (calibrated)
    fmt::print("one bit   {} layers, {:.3f} bits a weight with a and b\n", calibrated->results().size(),
               bitsPerWeight(*calibrated));
  const int64_t before = fileSize(command.in), after = fileSize(command.out);
  fmt::print("file      {} -> {} ({:.2f}x)  {}\n", sizeText(before), sizeText(after),
             static_cast<double>(before) / static_cast<double>(after), command.out);
  fmt::print("time      {:.1f} s\n", seconds);
}
