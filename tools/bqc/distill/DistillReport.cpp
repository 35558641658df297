// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/distill/DistillReport.h"

#include "tools/bqc/Output.h"

#include <fmt/format.h>

#include <algorithm>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

/// Mean of the last steps, a twentieth of all.
Json lastLoss(const std::vector<DistillLoss> &history, double DistillLoss::*part) {
  if (history.empty())
    return nullptr;
  const size_t count = std::max<size_t>(history.size() / 20, 1);
  double sum = 0;
  for (size_t i = history.size() - count; i < history.size(); ++i)
    sum += history[i].*part;
  return sum / static_cast<double>(count);
}

double flippedShare(const Student::Layer &layer) {
  return at::ne(layer.latent >= 0, layer.weight >= 0).to(at::kDouble).mean().item<double>();
}

void printCosine(const Json &report, const char *key, const char *what) {
  if (report["agreement"].contains(key))
    fmt::print("cosine    mean {:.4f}  least {:.4f}  {}\n", report["agreement"][key]["mean_cosine"].get<double>(),
               report["agreement"][key]["min_cosine"].get<double>(), what);
}

} // namespace

LinearBytes bq::cli::linearBytes(const Student &student) {
  LinearBytes bytes;
  for (const LayerReport &layer : student.plan().layers) {
    const int64_t n = layer.shape[0], k = layer.shape[1];
    bytes.half += 2 * n * k;
    bytes.packed += n * ((k + 7) / 8) + 2 * (n + k);
  }
  return bytes;
}

Json bq::cli::toJson(const Agreement &agreement) {
  return {{"rows", agreement.rows},
          {"mean_cosine", agreement.meanCosine},
          {"min_cosine", agreement.minCosine},
          {"max_abs_err", agreement.maxAbsError},
          {"top10_overlap", agreement.top10 ? Json(*agreement.top10) : Json(nullptr)}};
}

Json bq::cli::planJson(const Distiller &distiller) {
  const DistillOptions &options = distiller.options;
  const LinearBytes bytes = linearBytes(*distiller.student);
  Json object{{"teacher", options.teacher},
              {"data", {{"file", options.data}, {"inputs", distiller.data.size()}}},
              {"test", options.test.empty() ? Json(nullptr)
                                            : Json({{"file", options.test}, {"inputs", distiller.test.size()}})},
              {"loss", options.loss},
              {"output_weight", options.outputWeight},
              {"hidden_weight", options.hiddenWeight},
              {"lr", options.lr},
              {"steps", distiller.total},
              {"threads", options.threads},
              {"linear_half_bytes", bytes.half},
              {"linear_packed_bytes", bytes.packed},
              {"layers", Json::array()}};
  for (const LayerReport &layer : distiller.student->plan().layers)
    object["layers"].push_back({{"name", layer.name}, {"shape", layer.shape}});
  return object;
}

void bq::cli::printPlan(const Distiller &distiller) {
  const DistillOptions &options = distiller.options;
  const LinearBytes bytes = linearBytes(*distiller.student);
  fmt::print("teacher   {}: {} linear layers, {} in 16 bits -> {} in one bit and factors, {:.2f}x\n", options.teacher,
             distiller.student->layers().size(), sizeText(bytes.half), sizeText(bytes.packed),
             static_cast<double>(bytes.half) / static_cast<double>(bytes.packed));
  fmt::print("data      {}: {} inputs", options.data, distiller.data.size());
  if (!options.test.empty())
    fmt::print("; judged on {}: {}", options.test, distiller.test.size());
  fmt::print("\ntrain     ");
  if (distiller.total)
    fmt::print("{} steps", distiller.total);
  else
    fmt::print("{} minutes", options.minutes);
  fmt::print(", lr {}, {} x {} between results, {} x relative error of the layers' outputs, seed {}, {} threads\n",
             options.lr, options.outputWeight, options.loss, options.hiddenWeight, options.seed, options.threads);
}

Json bq::cli::reportJson(Distiller &distiller) {
  Json object = planJson(distiller);
  object["agreement"] = distiller.results;
  object["last_output_loss"] = lastLoss(distiller.history, &DistillLoss::output);
  object["last_hidden_loss"] = lastLoss(distiller.history, &DistillLoss::hidden);
  const std::vector<double> errors = distiller.layerErrors();
  for (size_t i = 0; i < object["layers"].size(); ++i) {
    object["layers"][i]["flipped"] = flippedShare(distiller.student->layers()[i]);
    object["layers"][i]["output_error"] = errors.empty() ? Json(nullptr) : Json(errors[i]);
  }
  return object;
}

void bq::cli::printReport(const Json &report) {
  printCosine(report, "plain", "by decomposition");
  printCosine(report, "calibrated", "by decomposition with calibration");
  printCosine(report, "trained", "after distillation");
  printCosine(report, "packed", "the same by the kernels on packed signs");
  if (report["agreement"].contains("packed"))
    fmt::print("kernels   differ from the training path by at most {:.2g}\n",
               report["agreement"]["kernel_difference"].get<double>());
  if (report["last_output_loss"].is_number())
    fmt::print("loss      {:.4f} between results, {:.4f} between layers' outputs, in the last steps\n",
               report["last_output_loss"].get<double>(), report["last_hidden_loss"].get<double>());
  if (report["test"].is_null())
    return;
  std::vector<Json> layers = report["layers"];
  std::stable_sort(layers.begin(), layers.end(), [](const Json &left, const Json &right) {
    return left["output_error"].get<double>() > right["output_error"].get<double>();
  });
  layers.resize(std::min<size_t>(layers.size(), 3));
  for (const Json &layer : layers)
    fmt::print("limit     {}: its output is off by {:.1f} % of its square, {:.1f} % of its signs have flipped\n",
               layer["name"].get<std::string>(), 100 * layer["output_error"].get<double>(),
               100 * layer["flipped"].get<double>());
}
