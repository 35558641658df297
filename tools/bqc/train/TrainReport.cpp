// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/TrainReport.h"

#include "tools/bqc/Output.h"
#include "tools/bqc/train/Settings.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

std::string exampleShape(const DataSet &data) { return shapeText(data.x.sizes().slice(1).vec()); }

int64_t groupsOf(const BitTraining &bits) {
  int64_t groups = 0;
  for (const QuantizedParameter &entry : bits.quantizer.quantizedParameters())
    groups += entry.learned.numel();
  return groups;
}

} // namespace

Evaluation cli::evaluate(Trainer &trainer) {
  const DataSet &test = trainer.data.test;
  const at::Tensor trained = classify(*trainer.model, test.x, /*packed=*/false);
  const at::Tensor packed = classify(*trainer.model, test.x, /*packed=*/true);
  return {accuracyOf(trained, test), accuracyOf(packed, test), trained.eq(packed).sum().item<int64_t>()};
}

ModelBytes cli::bytesOf(const TrainModel &model) {
  ModelBytes bytes{model.keptBytes(), model.keptBytes()};
  for (const TrainLayerInfo &layer : model.layers()) {
    bytes.floating += layer.floatBytes;
    bytes.packed += layer.packedBytes;
  }
  return bytes;
}

std::string cli::str(const EpochResult &epoch) {
  const std::string size = epoch.size > 0 ? fmt::format("  {:.4f} MB  {:.2f} bits", epoch.size, epoch.bits) : "";
  return fmt::format("loss {:.4f}  accuracy {:.2f} %{}", epoch.loss, 100 * epoch.accuracy, size);
}

Json cli::epochJson(const EpochResult &epoch) {
  Json object{{"loss", epoch.loss}, {"accuracy", epoch.accuracy}};
  if (epoch.size > 0) {
    object["size_mb"] = epoch.size;
    object["mean_bits"] = epoch.bits;
  }
  return object;
}

void cli::printPlan(const Trainer &trainer) {
  const TrainOptions &options = trainer.options;
  const DataSet &train = trainer.data.train;
  fmt::print("data      {}: examples of {}, {} classes; {} train, {} test\n", options.data, exampleShape(train),
             train.classes.size(), train.x.size(0), trainer.data.test.x.size(0));
  size_t width = 5;
  const std::vector<TrainLayerInfo> layers = trainer.model->layers();
  for (const TrainLayerInfo &layer : layers)
    width = std::max(width, layer.name.size());
  if (!layers.empty())
    fmt::print("{:<{}}  {:<16}  {:>9}  {:>9}  {}\n", "layer", width, "weight", "float", "packed", "kind");
  for (const TrainLayerInfo &layer : layers)
    fmt::print("{:<{}}  {:<16}  {:>9}  {:>9}  {}\n", layer.name, width, shapeText(layer.shape),
               sizeText(layer.floatBytes), sizeText(layer.packedBytes), layer.kind);
  const ModelBytes bytes = bytesOf(*trainer.model);
  fmt::print("model     {}, {} -> {} ({:.2f}x), of which {} stay float\n", options.model, sizeText(bytes.floating),
             sizeText(bytes.packed), static_cast<double>(bytes.floating) / static_cast<double>(bytes.packed),
             sizeText(trainer.model->keptBytes()));
  if (trainer.bits)
    fmt::print("bits      {}, {} groups of {}, {} noise, from {} bits with lr {}, {}\n", options.quantizer,
               groupsOf(*trainer.bits), options.groupSize ? std::to_string(options.groupSize) : "all", options.noise,
               options.initBits, options.bitsLr,
               options.targetSize > 0 ? fmt::format("to {} MB", options.targetSize)
                                      : fmt::format("penalty {} for a MB", options.penalty));
  const std::string how = options.optimizer == "diodemix"
                              ? fmt::format(" with {} rounding, {} moments", options.rounding, options.moments)
                              : "";
  fmt::print("train     {}{}, lr {} {}, {} epochs of {} steps, seed {}, {} threads\n", options.optimizer, how,
             options.lr, options.schedule, options.epochs, trainer.stepsPerEpoch(), options.seed, options.threads);
}

Json cli::planJson(const Trainer &trainer) {
  const Split &data = trainer.data;
  Json object{{"settings", settingsOf(trainer.options)},
              {"data",
               {{"example", data.train.x.sizes().slice(1).vec()},
                {"classes", data.train.classes},
                {"train", data.train.x.size(0)},
                {"test", data.test.x.size(0)}}},
              {"layers", Json::array()}};
  for (const TrainLayerInfo &layer : trainer.model->layers())
    object["layers"].push_back({{"name", layer.name},
                                {"shape", layer.shape},
                                {"kind", layer.kind},
                                {"float_bytes", layer.floatBytes},
                                {"packed_bytes", layer.packedBytes}});
  const ModelBytes bytes = bytesOf(*trainer.model);
  object["kept_bytes"] = trainer.model->keptBytes();
  object["float_bytes"] = bytes.floating;
  object["packed_bytes"] = bytes.packed;
  object["steps_per_epoch"] = trainer.stepsPerEpoch();
  object["epochs"] = Json::array();
  for (const EpochResult &epoch : trainer.history)
    object["epochs"].push_back(epochJson(epoch));
  return object;
}
