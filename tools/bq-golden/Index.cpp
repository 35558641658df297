// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bq-golden/Index.h"

#include "tools/bq-golden/Sha256.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

using namespace bq;
using namespace bq::golden;

namespace {

using Json = nlohmann::json;

/// The member `key` of an object, which must be of a kind that `isKind` tells.
const Json &member(const std::string &where, const Json &object, const char *key, bool (Json::*isKind)() const noexcept,
                   const char *kind) {
  TORCH_CHECK(object.is_object() && object.contains(key), where, ": '", key, "' is missing");
  const Json &value = object[key];
  TORCH_CHECK((value.*isKind)(), where, ": '", key, "' is no ", kind);
  return value;
}

std::string text(const std::string &where, const Json &object, const char *key) {
  return member(where, object, key, &Json::is_string, "string");
}

TensorEntry parseTensor(const std::string &where, const Json &value) {
  TensorEntry entry{text(where, value, "tensor"), {}, text(where, value, "dtype")};
  for (const Json &size : member(where, value, "shape", &Json::is_array, "array")) {
    TORCH_CHECK(size.is_number_unsigned(), where, ": 'shape' holds ", size.dump(), ", which is no size");
    entry.shape.push_back(size.get<int64_t>());
  }
  return entry;
}

std::map<std::string, TensorEntry> parseTensors(const std::string &where, const Json &object, const char *key) {
  std::map<std::string, TensorEntry> tensors;
  for (const auto &[name, value] : member(where, object, key, &Json::is_object, "object").items())
    tensors[name] = parseTensor(where + " " + key + " '" + name + "'", value);
  return tensors;
}

CaseEntry parseCase(const std::string &where, const Json &value) {
  CaseEntry entry;
  entry.id = text(where, value, "id");
  const std::string named = where + " '" + entry.id + "'";
  entry.system = text(named, value, "system");
  entry.op = text(named, value, "op");
  entry.file = text(named, value, "file");
  entry.params = member(named, value, "params", &Json::is_object, "object");
  entry.inputs = parseTensors(named, value, "inputs");
  entry.outputs = parseTensors(named, value, "outputs");
  const Json &tolerances = member(named, value, "tolerance", &Json::is_object, "object");
  for (const auto &[name, output] : entry.outputs)
    entry.tolerances[name] = outputTolerance(named, tolerances, name);
  entry.expect = Json::object();
  if (value.contains("expect"))
    entry.expect = member(named, value, "expect", &Json::is_object, "object");
  return entry;
}

/// The name that the index uses for a type; LibTorch's own differs.
std::string typeName(at::ScalarType type) {
  switch (type) {
  case at::kFloat:
    return "float32";
  case at::kDouble:
    return "float64";
  case at::kHalf:
    return "float16";
  case at::kBFloat16:
    return "bfloat16";
  case at::kChar:
    return "int8";
  case at::kByte:
    return "uint8";
  case at::kShort:
    return "int16";
  case at::kInt:
    return "int32";
  case at::kLong:
    return "int64";
  case at::kBool:
    return "bool";
  default:
    return c10::toString(type);
  }
}

} // namespace

std::string Index::pathOf(const std::string &file) const {
  return (std::filesystem::absolute(path).parent_path().parent_path() / file).lexically_normal().string();
}

Index golden::readIndex(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  TORCH_CHECK(stream && !std::filesystem::is_directory(path), path, ": ",
              stream ? "is a folder" : std::strerror(errno));
  Json root;
  try {
    root = Json::parse(stream);
  } catch (const Json::exception &error) {
    TORCH_CHECK(false, path, ": is no index: ", error.what());
  }
  TORCH_CHECK(root.is_object() && root.contains("format"), path, ": is no index: 'format' is missing");
  TORCH_CHECK(root["format"] == 1, path, ": index format ", root["format"].dump(), " is not known: use 1");

  Index index;
  index.path = path;
  if (root.contains("files"))
    for (const auto &[name, value] : member(path, root, "files", &Json::is_object, "object").items()) {
      const std::string where = path + " file '" + name + "'";
      index.files[name] = {member(where, value, "bytes", &Json::is_number_unsigned, "size").get<int64_t>(),
                           text(where, value, "sha256")};
    }
  std::set<std::string> ids;
  const Json &cases = member(path, root, "cases", &Json::is_array, "array");
  for (size_t i = 0; i < cases.size(); ++i) {
    index.cases.push_back(parseCase(path + " case " + std::to_string(i), cases[i]));
    TORCH_CHECK(ids.insert(index.cases.back().id).second, path, ": the case '", index.cases.back().id,
                "' is there twice");
  }
  return index;
}

SafeTensors golden::readCaseFile(const Index &index, const std::string &file) {
  const std::string path = index.pathOf(file);
  if (auto listed = index.files.find(file); listed != index.files.end()) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(path, error);
    TORCH_CHECK(!error, path, ": ", error.message());
    TORCH_CHECK(bytes == static_cast<uint64_t>(listed->second.bytes), path, ": ", bytes, " bytes, the index lists ",
                listed->second.bytes, "; the file is damaged or another");
    const std::string digest = fileSha256(path);
    TORCH_CHECK(digest == listed->second.sha256, path, ": SHA-256 ", digest, ", the index lists ",
                listed->second.sha256, "; the file is damaged or another");
  }
  return readSafeTensors(path);
}

at::Tensor golden::findTensor(const SafeTensors &contents, const CaseEntry &entry, const TensorEntry &tensor) {
  auto found = contents.tensors.find(tensor.key);
  TORCH_CHECK(found != contents.tensors.end(), entry.file, ": has no tensor '", tensor.key, "', which case '", entry.id,
              "' names");
  const at::Tensor &value = found->second;
  TORCH_CHECK(value.sizes() == at::IntArrayRef(tensor.shape) && typeName(value.scalar_type()) == tensor.dtype,
              entry.file, ": tensor '", tensor.key, "' is ", typeName(value.scalar_type()), " ",
              shapeText(value.sizes()), ", the index says ", tensor.dtype, " ", shapeText(tensor.shape));
  return value;
}
