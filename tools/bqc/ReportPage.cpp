// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/ReportPage.h"

#include "tools/bqc/Html.h"
#include "tools/bqc/Output.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::string_view head = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>bqc quantize</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .2em .6em; text-align: left; white-space: nowrap; border-bottom: 1px solid #ddd; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.bar { width: 40%; }
td.bar div { background: #c44e52; height: .8em; }
dl { display: grid; grid-template-columns: max-content auto; gap: .1em 1em; }
dt { color: #666; } dd { margin: 0; }
</style>
</head>
<body>
)";

std::string entry(std::string_view name, std::string_view value) {
  return fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, escapeHtml(value));
}

std::string sizes(int64_t before, int64_t after) {
  return fmt::format("{} to {} ({:.2f}x)", sizeText(before), sizeText(after),
                     static_cast<double>(before) / static_cast<double>(std::max<int64_t>(after, 1)));
}

std::string summary(const Json &report) {
  std::string formats;
  for (const Json &format : report["formats"])
    formats += (formats.empty() ? "" : " ") + format.get<std::string>();
  std::string text = "<dl>\n";
  text += entry("model", report["in"].get<std::string>());
  text += entry("formats", formats);
  text += entry("weights", sizes(report["in_weight_bytes"].get<int64_t>(), report["out_weight_bytes"].get<int64_t>()));
  if (report.contains("out_file_bytes"))
    text += entry("file", sizes(report["in_file_bytes"].get<int64_t>(), report["out_file_bytes"].get<int64_t>()));
  if (report.contains("calibration")) {
    const Json &calibration = report["calibration"];
    text +=
        entry("calibration", fmt::format("{}, {} inputs, {} layers, {:.1f} s", calibration["data"].get<std::string>(),
                                         calibration["inputs"].get<size_t>(), calibration["layers"].get<size_t>(),
                                         calibration["seconds"].get<double>()));
    text += entry("method", calibration["method"].get<std::string>());
    if (calibration.contains("bits_per_weight"))
      text += entry("bits a weight", fmt::format("{:.3f}", calibration["bits_per_weight"].get<double>()));
  }
  return text + "</dl>\n";
}

std::string errorText(const Json &value) { return value.is_number() ? fmt::format("{:.2e}", value.get<double>()) : ""; }

/// That of the output where it is known, else that of the weight.
const Json &shownError(const Json &layer) {
  return layer.contains("relative_output_error") && layer["relative_output_error"].is_number()
             ? layer["relative_output_error"]
             : layer["relative_error"];
}

std::string table(const Json &layers) {
  double greatest = 0;
  for (const Json &layer : layers)
    if (const Json &error = shownError(layer); error.is_number())
      greatest = std::max(greatest, error.get<double>());
  std::string text = "<table>\n<tr><th>layer</th><th>shape</th><th>format</th><th class=\"number\">bytes</th>"
                     "<th class=\"number\">weight error</th><th class=\"number\">output error</th><th></th></tr>\n";
  for (const Json &layer : layers) {
    const Json &error = shownError(layer);
    const double share = error.is_number() && greatest > 0 ? error.get<double>() / greatest : 0;
    text += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>"
        "<td class=\"number\">{}</td><td class=\"bar\"><div style=\"width:{:.1f}%\"></div></td></tr>\n",
        escapeHtml(layer["name"].get<std::string>()), shapeText(layer["shape"].get<std::vector<int64_t>>()),
        escapeHtml(layer["format"].get<std::string>()), sizeText(layer["bytes"].get<int64_t>()),
        errorText(layer["relative_error"]), errorText(layer.value("relative_output_error", Json())), 100 * share);
  }
  return text + "</table>\n";
}

} // namespace

std::string bq::cli::reportPage(const Json &report) {
  std::string page(head);
  page += "<h1>bqc quantize</h1>\n" + summary(report);
  page += "<h2>Layers, the worst first</h2>\n<p>Errors are relative: of the weight, and of the layer's output for the "
          "calibration inputs, which the bars show where it is known.</p>\n";
  page += table(report["layers"]);
  return page + "</body>\n</html>\n";
}
