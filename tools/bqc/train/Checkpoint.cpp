// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/Checkpoint.h"

#include "tools/bqc/CheckpointFile.h"
#include "tools/bqc/ModelFile.h"
#include "tools/bqc/train/Settings.h"
#include "tools/bqc/train/TrainReport.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/serialize/archive.h>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

constexpr CheckpointKind kind{"bqc train", "bqc checkpoint 1"};

at::Tensor loadTensor(torch::serialize::InputArchive &archive, const char *name) {
  at::Tensor tensor;
  archive.read(name, tensor, /*is_buffer=*/true);
  return tensor;
}

} // namespace

Status cli::saveCheckpoint(const Trainer &trainer, const std::string &path) {
  Json header{{"settings", settingsOf(trainer.options)}, {"data", trainer.data.train.hash}, {"epochs", Json::array()}};
  for (const EpochResult &epoch : trainer.history)
    header["epochs"].push_back(epochJson(epoch));
  if (trainer.bits)
    header["penalty"] = trainer.bits->penalty;
  torch::serialize::OutputArchive archive;
  savePart(archive, "model", *trainer.model);
  savePart(archive, "optimizer", *trainer.optimizer);
  archive.write("order", trainer.order.get_state(), /*is_buffer=*/true);
  archive.write("random", at::detail::getDefaultCPUGenerator().get_state(), /*is_buffer=*/true);
  return CheckpointFile::write(kind, header, archive, path);
}

Expected<Checkpoint> Checkpoint::read(const std::string &path) {
  Expected<CheckpointFile> file = CheckpointFile::read(kind, path);
  if (!file)
    return file.error();
  Checkpoint checkpoint;
  checkpoint.path = path;
  checkpoint.header = std::move(file->header);
  checkpoint.archive = std::move(file->archive);
  return checkpoint;
}

Status Checkpoint::restore(Trainer &trainer) const {
  if (header["data"] != trainer.data.train.hash)
    return invalidArgument(fmt::format("--data {}: has changed since --checkpoint {} was written; bring the old data "
                                       "back, or begin a new run with another file",
                                       trainer.options.data, path));
  try {
    torch::serialize::InputArchive input;
    input.load_from(archive.data(), archive.size());
    loadPart(input, "model", *trainer.model);
    loadPart(input, "optimizer", *trainer.optimizer);
    trainer.order.set_state(loadTensor(input, "order"));
    at::Generator(at::detail::getDefaultCPUGenerator()).set_state(loadTensor(input, "random"));
  } catch (const std::exception &error) {
    return invalidArgument(fmt::format("--checkpoint {}: does not fit this run: {}", path, modelErrorText(error)));
  }
  for (const Json &epoch : header["epochs"])
    trainer.history.push_back({epoch["loss"].get<double>(), epoch["accuracy"].get<double>(),
                               epoch.value("size_mb", 0.0), epoch.value("mean_bits", 0.0)});
  if (trainer.bits)
    trainer.bits->penalty = header.value("penalty", trainer.bits->penalty);
  return {};
}
