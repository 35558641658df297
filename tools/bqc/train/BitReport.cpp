// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/BitReport.h"

#include "tools/bqc/Html.h"
#include "tools/bqc/Output.h"

#include <fmt/format.h>

#include <algorithm>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

constexpr const char *head = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>bqc train --quantizer diffq</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #222; }
svg { display: block; margin: .5em 0 1.5em; } text { font: 11px system-ui, sans-serif; fill: #444; }
rect { fill: #4c72b0; } polyline { fill: none; stroke: #c44e52; stroke-width: 2; } circle { fill: #c44e52; }
line { stroke: #999; }
</style>
</head>
<body>
)";

/// A bar for each number of bits from 1 to 15.
std::string histogram(const Json &groups) {
  int64_t most = 1;
  for (const Json &count : groups)
    most = std::max(most, count.get<int64_t>());
  std::string svg = R"(<svg width="520" height="130">)";
  for (int64_t bits = 1; bits <= 15; ++bits) {
    const int64_t count = groups[bits], height = 90 * count / most, x = 10 + 34 * (bits - 1);
    svg += fmt::format(R"(<rect x="{}" y="{}" width="28" height="{}"/>)", x, 105 - height, height);
    svg += fmt::format(R"(<text x="{}" y="120" text-anchor="middle">{}</text>)", x + 14, bits);
    if (count)
      svg += fmt::format(R"(<text x="{}" y="{}" text-anchor="middle">{}</text>)", x + 14, 101 - height, count);
  }
  return svg + "</svg>\n";
}

/// The epochs as a line from size to accuracy.
std::string path(const Json &epochs) {
  double small = 1e300, large = 0, worst = 1, best = 0;
  for (const Json &epoch : epochs) {
    small = std::min(small, epoch["size_mb"].get<double>());
    large = std::max(large, epoch["size_mb"].get<double>());
    worst = std::min(worst, epoch["accuracy"].get<double>());
    best = std::max(best, epoch["accuracy"].get<double>());
  }
  const double width = std::max(large - small, 1e-9), height = std::max(best - worst, 1e-9);
  std::string points, dots;
  for (const Json &epoch : epochs) {
    const double x = 60 + 600 * (epoch["size_mb"].get<double>() - small) / width;
    const double y = 230 - 200 * (epoch["accuracy"].get<double>() - worst) / height;
    points += fmt::format("{:.1f},{:.1f} ", x, y);
    dots += fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="3"/>)", x, y);
  }
  return fmt::format(R"(<svg width="700" height="270"><line x1="60" y1="240" x2="660" y2="240"/>)"
                     R"(<line x1="50" y1="30" x2="50" y2="230"/><polyline points="{}"/>{})"
                     R"(<text x="60" y="256">{:.4f} MB</text><text x="660" y="256" text-anchor="end">{:.4f} MB</text>)"
                     R"(<text x="44" y="234" text-anchor="end">{:.1f} %</text>)"
                     R"(<text x="44" y="34" text-anchor="end">{:.1f} %</text></svg>)"
                     "\n",
                     points, dots, small, large, 100 * worst, 100 * best);
}

} // namespace

void cli::printBits(const Trainer &trainer) {
  size_t width = 9;
  const std::vector<StoredBits> layers = trainer.bits->stored();
  for (const StoredBits &layer : layers)
    width = std::max(width, layer.name.size());
  fmt::print("{:<{}}  {:<16}  {:>9}  {:>5}  groups of bits\n", "parameter", width, "weight", "packed", "mean");
  for (const StoredBits &layer : layers) {
    std::string counts;
    for (size_t bits = 0; bits < layer.groups.size(); ++bits)
      if (layer.groups[bits])
        counts += fmt::format("{}{}: {}", counts.empty() ? "" : ", ", bits, layer.groups[bits]);
    fmt::print("{:<{}}  {:<16}  {:>9}  {:>5.2f}  {}\n", layer.name, width, shapeText(layer.shape),
               sizeText(layer.bytes), layer.mean(), counts);
  }
  fmt::print("size      {:.4f} MB estimated, {:.4f} MB as a file; penalty {:.3g} for a MB\n", trainer.bits->size(),
             trainer.bits->fileSize(), trainer.bits->penalty);
}

Json cli::bitsJson(const Trainer &trainer) {
  Json object{{"size_mb", trainer.bits->size()},
              {"file_mb", trainer.bits->fileSize()},
              {"mean_bits", trainer.bits->meanBits()},
              {"penalty", trainer.bits->penalty},
              {"bits", Json::array()}};
  for (const StoredBits &layer : trainer.bits->stored())
    object["bits"].push_back({{"name", layer.name},
                              {"shape", layer.shape},
                              {"packed_bytes", layer.bytes},
                              {"mean", layer.mean()},
                              {"groups", layer.groups}});
  return object;
}

std::string cli::bitsPage(const Json &result) {
  std::string page = head;
  page += fmt::format("<h1>{}</h1>\n<p>{:.4f} MB, {:.2f} bits a weight, accuracy {:.2f} % by the packed kernels.</p>\n",
                      escapeHtml(result["settings"]["model"].get<std::string>()), result["size_mb"].get<double>(),
                      result["mean_bits"].get<double>(), 100 * result["packed_accuracy"].get<double>());
  page += "<h2>Size and accuracy, by epoch</h2>\n" + path(result["epochs"]);
  page += "<h2>Groups of weights by their bits</h2>\n";
  for (const Json &layer : result["bits"])
    page += fmt::format("<h3>{}, {:.2f} bits</h3>\n", escapeHtml(layer["name"].get<std::string>()),
                        layer["mean"].get<double>()) +
            histogram(layer["groups"]);
  return page + "</body>\n</html>\n";
}
