// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/PickleFile.h"

#include "quantizers/WriteFile.h"

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/csrc/jit/serialization/import_read.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include <algorithm>

using namespace bq;

namespace {

size_t append(std::vector<char> &bytes, const void *data, size_t size) {
  const char *begin = static_cast<const char *>(data);
  bytes.insert(bytes.end(), begin, begin + size);
  return size;
}

/// Puts an opcode that names a class in the place of the one that holds the text `name`. Both are memorized by what
/// follows, so that no other opcode changes.
void replaceByClass(std::vector<char> &pickle, const std::string &name) {
  std::string text = "X"; // BINUNICODE: four bytes of length, then the text
  for (int byte = 0; byte < 4; ++byte)
    text += static_cast<char>(name.size() >> (8 * byte));
  text += name;
  const auto found = std::search(pickle.begin(), pickle.end(), text.begin(), text.end());
  if (found == pickle.end())
    return;
  const size_t dot = name.rfind('.');
  const std::string global = "c" + name.substr(0, dot) + "\n" + name.substr(dot + 1) + "\n"; // GLOBAL
  const auto at = pickle.erase(found, found + static_cast<std::ptrdiff_t>(text.size()));
  pickle.insert(at, global.begin(), global.end());
}

} // namespace

void bq::writePickle(const std::string &path, const c10::IValue &value, const std::vector<std::string> &classes) {
  std::vector<char> values, archive;
  // weights_only knows nothing of the tags that pickle_save() puts on aggregates.
  torch::jit::Pickler pickler([&](const char *data, size_t size) { append(values, data, size); }, nullptr, nullptr,
                              nullptr, nullptr, /*tag_aggregates=*/false);
  pickler.protocol();
  pickler.pushIValue(value);
  pickler.stop();
  for (const std::string &name : classes)
    replaceByClass(values, name);
  {
    // Completes the archive at its end.
    caffe2::serialize::PyTorchStreamWriter writer(
        [&](const void *data, size_t size) { return append(archive, data, size); });
    torch::jit::writeArchiveAndTensors("data", values.data(), values.size(), pickler.tensorData(), writer);
  }
  writeFile(path, {archive.data(), archive.size()});
}

c10::IValue bq::readPickle(const std::string &path, const char *expected, const std::vector<std::string> &classes) {
  const auto typeOf = [&](const c10::QualifiedName &name) {
    TORCH_CHECK(std::find(classes.begin(), classes.end(), name.qualifiedName()) != classes.end(),
                "it refers to the class ", name.qualifiedName());
    return c10::StrongTypePtr(std::make_shared<torch::jit::CompilationUnit>(), c10::AnyType::get());
  };
  try {
    caffe2::serialize::PyTorchStreamReader reader(path);
    return torch::jit::readArchiveAndTensors("data", "", "", typeOf, std::nullopt, at::Device(at::kCPU), reader);
  } catch (const std::exception &error) {
    const std::string text = error.what();
    TORCH_CHECK(false, path, ": cannot be read as ", expected, ": ", text.substr(0, text.find('\n')));
  }
}
