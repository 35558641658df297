// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/Checkpoint.h"

#include "tools/bqc/ModelFile.h"
#include "tools/bqc/OutputFile.h"
#include "tools/bqc/train/Settings.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/serialize/archive.h>
#include <xxhash.h>

#include <fstream>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::string_view version = "bqc checkpoint 1";

uint64_t checksumOf(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

/// The first line, which the checksum of the rest ends.
std::string firstLine(std::string_view rest) { return fmt::format("{} {:016x}\n", version, checksumOf(rest)); }

template <typename Part>
void savePart(torch::serialize::OutputArchive &archive, const char *name, const Part &part) {
  torch::serialize::OutputArchive child(archive.compilation_unit());
  part.save(child);
  archive.write(name, child);
}

template <typename Part>
void loadPart(torch::serialize::InputArchive &archive, const char *name, Part &part) {
  torch::serialize::InputArchive child;
  archive.read(name, child);
  part.load(child);
}

at::Tensor loadTensor(torch::serialize::InputArchive &archive, const char *name) {
  at::Tensor tensor;
  archive.read(name, tensor, /*is_buffer=*/true);
  return tensor;
}

} // namespace

Status cli::saveCheckpoint(const Trainer &trainer, const std::string &path) {
  Json header{{"settings", settingsOf(trainer.options)}, {"data", trainer.data.train.hash}, {"epochs", Json::array()}};
  for (const EpochResult &epoch : trainer.history)
    header["epochs"].push_back({{"loss", epoch.loss}, {"accuracy", epoch.accuracy}});
  torch::serialize::OutputArchive archive;
  savePart(archive, "model", *trainer.model);
  savePart(archive, "optimizer", *trainer.optimizer);
  archive.write("order", trainer.order.get_state(), /*is_buffer=*/true);
  archive.write("random", at::detail::getDefaultCPUGenerator().get_state(), /*is_buffer=*/true);
  std::string rest = header.dump() + "\n";
  archive.save_to([&](const void *data, size_t size) {
    rest.append(static_cast<const char *>(data), size);
    return size;
  });
  return writeOutputFile(path, firstLine(rest) + rest);
}

Expected<Checkpoint> Checkpoint::read(const std::string &path) {
  if (Status status = checkReadable(path); !status)
    return notFound("--checkpoint " + status.error().message);
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  const std::string_view kind = version.substr(0, version.rfind(' '));
  if (bytes.compare(0, kind.size(), kind) != 0)
    return invalidArgument(fmt::format("--checkpoint {}: is no checkpoint of bqc train", path));
  const size_t end = bytes.find('\n') + 1;
  if (end && bytes.compare(0, version.size() + 1, std::string(version) + " ") != 0)
    return unsupported(fmt::format("--checkpoint {}: is '{}', this bqc reads '{}'", path,
                                   bytes.substr(0, bytes.find(' ', version.size() - 1)), version));
  const std::string rest = bytes.substr(end);
  if (!end || bytes.substr(0, end) != firstLine(rest))
    return invalidArgument(fmt::format("--checkpoint {}: is truncated or damaged, its checksum is wrong; begin the run "
                                       "again with another file",
                                       path));
  Checkpoint checkpoint;
  const size_t headerEnd = rest.find('\n');
  checkpoint.path = path;
  checkpoint.header = Json::parse(rest.substr(0, headerEnd), nullptr, /*allow_exceptions=*/false);
  checkpoint.archive = rest.substr(headerEnd + 1);
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
    trainer.history.push_back({epoch["loss"].get<double>(), epoch["accuracy"].get<double>()});
  return {};
}
