// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/ModelFile.h"

#include "tools/bqc/OutputFile.h"

#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

using namespace bq;
using namespace bq::cli;

namespace {

std::string firstBytes(const std::string &path) {
  char bytes[4] = {};
  std::ifstream(path, std::ios::binary).read(bytes, sizeof(bytes));
  return std::string(bytes, sizeof(bytes));
}

/// What keeps `path` from being a TorchScript archive, or nothing.
Status checkArchive(const std::string &path) {
  if (Status status = checkReadable(path); !status)
    return status;
  if (firstBytes(path)[0] == '\x80')
    return invalidArgument(fmt::format("{}: is a pickle, expected a TorchScript model: save the module with "
                                       "torch.jit.save",
                                       path));
  if (!isZipFile(path))
    return invalidArgument(
        fmt::format("{}: is no zip archive, expected a TorchScript model as torch.jit.save writes it", path));
  try {
    caffe2::serialize::PyTorchStreamReader reader(path);
    if (!reader.hasRecord("data.pkl") || !reader.hasRecord("constants.pkl"))
      return invalidArgument(
          fmt::format("{}: holds {}, expected a TorchScript model: save the module with torch.jit.save", path,
                      reader.hasRecord("data.pkl") ? "pickled values such as a state dict" : "no TorchScript module"));
  } catch (const c10::Error &error) {
    const std::string text = error.what_without_backtrace();
    if (text.find("maximum supported version") != std::string::npos)
      return unsupported(
          fmt::format("{}: was written by a newer LibTorch than this one: {}", path, modelErrorText(error)));
    return invalidArgument(
        fmt::format("{}: is truncated or damaged, expected a TorchScript model: {}", path, modelErrorText(error)));
  }
  return {};
}

Expected<std::vector<c10::IValue>> asTuple(const c10::IValue &value, size_t index, const std::string &path) {
  if (value.isTuple())
    return value.toTupleRef().elements().vec();
  if (value.isTensor())
    return std::vector<c10::IValue>{value};
  return invalidArgument(
      fmt::format("{}: element {} is of type {}, expected a tuple of tensors", path, index, value.tagKind()));
}

} // namespace

Status cli::checkReadable(const std::string &path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0)
    return notFound(fmt::format("{}: {}", path, std::strerror(errno)));
  if (S_ISDIR(info.st_mode))
    return invalidArgument(fmt::format("{}: is a folder, expected a file", path));
  if (!std::ifstream(path, std::ios::binary))
    return ioError(fmt::format("{}: {}", path, std::strerror(errno)));
  return {};
}

bool cli::isZipFile(const std::string &path) { return firstBytes(path) == "PK\x03\x04"; }

std::string cli::modelErrorText(const std::exception &error) {
  const auto *torchError = dynamic_cast<const c10::Error *>(&error);
  std::istringstream lines(torchError ? torchError->what_without_backtrace() : error.what());
  std::string chosen;
  for (std::string line; std::getline(lines, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos)
      continue;
    chosen = line;
    if (torchError)
      break;
  }
  return chosen;
}

Expected<torch::jit::Module> cli::loadModel(const std::string &path) {
  if (Status status = checkArchive(path); !status)
    return status.error();
  try {
    return torch::jit::load(path, c10::kCPU);
  } catch (const std::exception &error) {
    return invalidArgument(fmt::format("{}: cannot be loaded as a TorchScript model: {}", path, modelErrorText(error)));
  }
}

Status cli::saveModel(const torch::jit::Module &module, const std::string &path) {
  Expected<OutputFile> file = OutputFile::create(path);
  if (!file)
    return file.error();
  Status written;
  // Saved through a function, the archive does not hold the name of the file.
  const auto write = [&](const void *data, size_t size) -> size_t {
    if (written)
      written = file->write(data, size);
    return size;
  };
  torch::jit::ExportModule(module, write);
  if (!written)
    return written;
  return file->commit();
}

Expected<c10::IValue> cli::loadPickle(std::string_view option, const std::string &path, std::string_view expected) {
  if (Status status = checkReadable(path); !status)
    return status.error();
  if (!isZipFile(path))
    return invalidArgument(fmt::format("{} {}: expected {}", option, path, expected));
  std::ifstream stream(path, std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  try {
    return torch::jit::pickle_load(bytes);
  } catch (const std::exception &error) {
    return invalidArgument(fmt::format("{} {}: expected {}: {}", option, path, expected, modelErrorText(error)));
  }
}

Expected<std::vector<std::vector<c10::IValue>>> cli::loadInputs(std::string_view option, const std::string &path) {
  const Expected<c10::IValue> loaded = loadPickle(option, path, "a list of tuples of tensors as torch.save writes it");
  if (!loaded)
    return loaded.error();
  const c10::IValue &value = *loaded;
  if (!value.isList() || value.toListRef().empty())
    return invalidArgument(
        fmt::format("{} {}: expected a list of at least one tuple of tensors, got {}", option, path, value.tagKind()));
  std::vector<std::vector<c10::IValue>> inputs;
  for (const c10::IValue &element : value.toListRef()) {
    Expected<std::vector<c10::IValue>> tuple = asTuple(element, inputs.size(), fmt::format("{} {}", option, path));
    if (!tuple)
      return tuple.error();
    inputs.push_back(std::move(*tuple));
  }
  return inputs;
}

int64_t cli::fileSize(const std::string &path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0 ? info.st_size : 0;
}
