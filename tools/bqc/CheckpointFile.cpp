// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/CheckpointFile.h"

#include "tools/bqc/ModelFile.h"
#include "tools/bqc/OutputFile.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <fstream>
#include <iterator>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

/// The first line, which the checksum of the rest ends.
std::string firstLine(std::string_view version, std::string_view rest) {
  return fmt::format("{} {:016x}\n", version, XXH3_64bits(rest.data(), rest.size()));
}

} // namespace

Status CheckpointFile::write(const CheckpointKind &kind, const Json &header, torch::serialize::OutputArchive &archive,
                             const std::string &path) {
  std::string rest = header.dump() + "\n";
  archive.save_to([&](const void *data, size_t size) {
    rest.append(static_cast<const char *>(data), size);
    return size;
  });
  return writeOutputFile(path, firstLine(kind.version, rest) + rest);
}

Expected<CheckpointFile> CheckpointFile::read(const CheckpointKind &kind, const std::string &path) {
  if (Status status = checkReadable(path); !status)
    return notFound("--checkpoint " + status.error().message);
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  const std::string_view unversioned = kind.version.substr(0, kind.version.rfind(' '));
  if (bytes.compare(0, unversioned.size(), unversioned) != 0)
    return invalidArgument(fmt::format("--checkpoint {}: is no checkpoint of {}", path, kind.command));
  const size_t end = bytes.find('\n') + 1;
  if (end && bytes.compare(0, kind.version.size() + 1, std::string(kind.version) + " ") != 0)
    return unsupported(fmt::format("--checkpoint {}: is '{}', this bqc reads '{}'", path,
                                   bytes.substr(0, bytes.find(' ', kind.version.size() - 1)), kind.version));
  const std::string rest = bytes.substr(end);
  if (!end || bytes.substr(0, end) != firstLine(kind.version, rest))
    return invalidArgument(fmt::format("--checkpoint {}: is truncated or damaged, its checksum is wrong; begin the run "
                                       "again with another file",
                                       path));
  const size_t headerEnd = rest.find('\n');
  return CheckpointFile{Json::parse(rest.substr(0, headerEnd), nullptr, /*allow_exceptions=*/false),
                        rest.substr(headerEnd + 1)};
}
