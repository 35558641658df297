// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/SafeTensors.h"

#include "quantizers/Tensors.h"
#include "quantizers/WriteFile.h"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

using namespace bq;

namespace {

using Json = nlohmann::json;

constexpr const char *metadataName = "__metadata__";
/// As the format's own reader has it.
constexpr uint64_t maxHeaderBytes = 100'000'000;

constexpr std::pair<const char *, at::ScalarType> typeNames[] = {{"F64", at::kDouble},
                                                                 {"F32", at::kFloat},
                                                                 {"F16", at::kHalf},
                                                                 {"BF16", at::kBFloat16},
                                                                 {"F8_E4M3", at::kFloat8_e4m3fn},
                                                                 {"F8_E5M2", at::kFloat8_e5m2},
                                                                 {"I64", at::kLong},
                                                                 {"I32", at::kInt},
                                                                 {"I16", at::kShort},
                                                                 {"I8", at::kChar},
                                                                 {"U64", at::kUInt64},
                                                                 {"U32", at::kUInt32},
                                                                 {"U16", at::kUInt16},
                                                                 {"U8", at::kByte},
                                                                 {"BOOL", at::kBool}};

/// A tensor of the header.
struct Entry {
  std::string name;
  at::ScalarType type;
  std::vector<int64_t> shape;
  uint64_t begin, end; ///< Within the data.
};

/// An open file; closed at the end.
struct File {
  explicit File(int descriptor) : descriptor(descriptor) {}
  File(const File &) = delete;
  File &operator=(const File &) = delete;
  ~File() {
    if (descriptor >= 0)
      close(descriptor);
  }
  const int descriptor;
};

void readAt(const std::string &path, const File &file, uint64_t offset, void *data, uint64_t size) {
  char *next = static_cast<char *>(data);
  while (size) {
    const ssize_t got = pread(file.descriptor, next, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    TORCH_CHECK(got >= 0, path, ": cannot read: ", std::strerror(errno));
    TORCH_CHECK(got > 0, path, ": the file became shorter while it was read");
    next += got;
    offset += got;
    size -= got;
  }
}

uint64_t sizeValue(const std::string &path, const std::string &name, const char *what, const Json &value) {
  TORCH_CHECK(value.is_number_unsigned(), path, ": tensor '", name, "': ", what, " holds ", value.dump(),
              ", which is no size");
  return value.get<uint64_t>();
}

Entry parseEntry(const std::string &path, const std::string &name, const Json &value, uint64_t dataBytes) {
  TORCH_CHECK(value.is_object() && value.size() == 3 && value.contains("dtype") && value.contains("shape") &&
                  value.contains("data_offsets"),
              path, ": tensor '", name, "': expected dtype, shape and data_offsets");
  const Json &type = value["dtype"], &shape = value["shape"], &offsets = value["data_offsets"];
  const auto *known = std::find_if(std::begin(typeNames), std::end(typeNames),
                                   [&](const auto &candidate) { return type == candidate.first; });
  TORCH_CHECK(known != std::end(typeNames), path, ": tensor '", name, "': unknown dtype ", type.dump());
  TORCH_CHECK(shape.is_array(), path, ": tensor '", name, "': shape is no array");
  Entry entry{name, known->second, {}, 0, 0};
  uint64_t bytes = c10::elementSize(entry.type);
  for (const Json &size : shape) {
    const uint64_t length = sizeValue(path, name, "shape", size);
    TORCH_CHECK(length <= INT64_MAX && !__builtin_mul_overflow(bytes, length, &bytes), path, ": tensor '", name,
                "': shape ", shape.dump(), " is too large");
    entry.shape.push_back(static_cast<int64_t>(length));
  }
  TORCH_CHECK(offsets.is_array() && offsets.size() == 2, path, ": tensor '", name, "': data_offsets is no pair");
  entry.begin = sizeValue(path, name, "data_offsets", offsets[0]);
  entry.end = sizeValue(path, name, "data_offsets", offsets[1]);
  TORCH_CHECK(entry.begin <= entry.end && entry.end <= dataBytes, path, ": tensor '", name, "': bytes ", entry.begin,
              " to ", entry.end, " are outside of the ", dataBytes, " bytes of data");
  TORCH_CHECK(entry.end - entry.begin == bytes, path, ": tensor '", name, "': shape ", shape.dump(), " of ",
              known->first, " takes ", bytes, " bytes, data_offsets give ", entry.end - entry.begin);
  return entry;
}

Json parseHeader(const std::string &path, const std::string &text) {
  std::set<std::string> names;
  std::string twice;
  // Objects keep the last of two values for a name; which one was meant cannot be told.
  auto watch = [&](int depth, Json::parse_event_t event, Json &key) {
    if (event == Json::parse_event_t::key && depth == 1 && !names.insert(key.get<std::string>()).second)
      twice = key.get<std::string>();
    return true;
  };
  Json header;
  try {
    header = Json::parse(text, watch);
  } catch (const Json::exception &error) {
    TORCH_CHECK(false, path, ": the header is damaged: ", error.what());
  }
  TORCH_CHECK(header.is_object(), path, ": the header is no JSON object");
  TORCH_CHECK(twice.empty(), path, ": the header names '", twice, "' twice");
  return header;
}

void checkCover(const std::string &path, std::vector<const Entry *> entries, uint64_t dataBytes) {
  std::sort(entries.begin(), entries.end(), [](const Entry *left, const Entry *right) {
    return std::tie(left->begin, left->end) < std::tie(right->begin, right->end);
  });
  uint64_t at = 0;
  std::string before = "the header";
  for (const Entry *entry : entries) {
    TORCH_CHECK(entry->begin >= at, path, ": tensor '", entry->name, "' overlaps ", before);
    TORCH_CHECK(entry->begin == at, path, ": bytes ", at, " to ", entry->begin, " of the data belong to no tensor");
    at = entry->end;
    before = "tensor '" + entry->name + "'";
  }
  TORCH_CHECK(at == dataBytes, path, ": bytes ", at, " to ", dataBytes, " of the data belong to no tensor");
}

at::Tensor readTensor(const std::string &path, const File &file, const Entry &entry, uint64_t dataStart) {
  at::Tensor tensor = at::empty(entry.shape, at::device(at::kCPU).dtype(entry.type));
  auto *bytes = static_cast<uint8_t *>(tensor.mutable_data_ptr());
  readAt(path, file, dataStart + entry.begin, bytes, entry.end - entry.begin);
  if (entry.type == at::kBool)
    TORCH_CHECK(std::all_of(bytes, bytes + tensor.numel(), [](uint8_t value) { return value <= 1; }), path,
                ": tensor '", entry.name, "': a BOOL is neither 0 nor 1");
  return tensor;
}

} // namespace

SafeTensors bq::readSafeTensors(const std::string &path) {
  File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  TORCH_CHECK(file.descriptor >= 0, path, ": ", std::strerror(errno));
  struct stat status{};
  TORCH_CHECK(fstat(file.descriptor, &status) == 0 && S_ISREG(status.st_mode), path, ": is not a regular file");
  const auto fileBytes = static_cast<uint64_t>(status.st_size);
  uint64_t headerBytes = 0;
  TORCH_CHECK(fileBytes >= sizeof(headerBytes), path, ": ", fileBytes, " bytes are too few for a safetensors file");
  readAt(path, file, 0, &headerBytes, sizeof(headerBytes));
  TORCH_CHECK(headerBytes <= std::min(fileBytes - sizeof(headerBytes), maxHeaderBytes), path, ": a header of ",
              headerBytes, " bytes does not fit a file of ", fileBytes, " bytes; it is damaged or no safetensors file");
  std::string text(headerBytes, '\0');
  readAt(path, file, sizeof(headerBytes), text.data(), headerBytes);
  const Json header = parseHeader(path, text);

  SafeTensors contents;
  const uint64_t dataStart = sizeof(headerBytes) + headerBytes, dataBytes = fileBytes - dataStart;
  std::vector<Entry> entries;
  for (const auto &[name, value] : header.items()) {
    if (name != metadataName) {
      entries.push_back(parseEntry(path, name, value, dataBytes));
      continue;
    }
    TORCH_CHECK(value.is_object(), path, ": __metadata__ is no JSON object");
    for (const auto &[key, text] : value.items()) {
      TORCH_CHECK(text.is_string(), path, ": __metadata__ '", key, "' is no string");
      contents.metadata[key] = text.get<std::string>();
    }
  }
  std::vector<const Entry *> order;
  for (const Entry &entry : entries)
    order.push_back(&entry);
  checkCover(path, std::move(order), dataBytes);
  for (const Entry &entry : entries)
    contents.tensors[entry.name] = readTensor(path, file, entry, dataStart);
  return contents;
}

void bq::writeSafeTensors(const std::string &path, const SafeTensors &contents,
                          const std::function<void(const void *, size_t)> &sink) {
  // Widest types first, by name among equals, so that all data is aligned in a file that is mapped.
  std::vector<std::pair<std::string, at::Tensor>> order;
  for (const auto &[name, tensor] : contents.tensors) {
    TORCH_CHECK(name != metadataName, path, ": a tensor cannot be named ", metadataName);
    TORCH_CHECK(tensor.defined(), path, ": tensor '", name, "' is not defined");
    order.emplace_back(name, tensor.detach().to(at::kCPU).contiguous());
  }
  std::stable_sort(order.begin(), order.end(), [](const auto &left, const auto &right) {
    return left.second.element_size() > right.second.element_size();
  });
  Json header = Json::object();
  if (!contents.metadata.empty())
    header[metadataName] = contents.metadata;
  uint64_t at = 0;
  for (const auto &[name, tensor] : order) {
    const auto *known = std::find_if(std::begin(typeNames), std::end(typeNames),
                                     [&](const auto &candidate) { return candidate.second == tensor.scalar_type(); });
    TORCH_CHECK(known != std::end(typeNames), path, ": tensor '", name, "' is ", tensor.scalar_type(),
                ", which safetensors does not have");
    const uint64_t end = at + tensor.nbytes();
    header[name] = {{"dtype", known->first}, {"shape", tensor.sizes().vec()}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception &) {
    TORCH_CHECK(false, path, ": a name or metadata is not UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t headerBytes = text.size();
  TORCH_CHECK(headerBytes <= maxHeaderBytes, path, ": a header of ", headerBytes, " bytes is more than ",
              maxHeaderBytes, ": write fewer tensors or shorter names");

  sink(&headerBytes, sizeof(headerBytes));
  sink(text.data(), text.size());
  for (const auto &[name, tensor] : order)
    sink(tensor.const_data_ptr(), tensor.nbytes());
}

void bq::writeSafeTensors(const std::string &path, const SafeTensors &contents) {
  writeFile(path, [&](const FileSink &sink) { writeSafeTensors(path, contents, sink); });
}
