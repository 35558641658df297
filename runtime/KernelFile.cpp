// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/KernelFile.h"

#include "codegen/cuda/NvrtcFile.h"

#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <xxhash.h>

using namespace bq;

namespace {

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t keyBytes;
  uint64_t metadataBytes;
  uint64_t objectBytes;
  uint64_t checksum; ///< Last, so that what it covers is two runs of bytes.
};
static_assert(sizeof(Header) == 40);

constexpr char magic[8] = {'B', 'Q', 'K', 'E', 'R', 'N', 'E', 'L'};
constexpr uint32_t version = 2;

uint64_t checksum(const uint8_t *data, size_t size) {
  XXH3_state_t *state = XXH3_createState();
  XXH3_64bits_reset(state);
  XXH3_64bits_update(state, data, offsetof(Header, checksum));
  XXH3_64bits_update(state, data + sizeof(Header), size - sizeof(Header));
  uint64_t sum = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  return sum;
}

/// Calls visit(name, field) for each field of the metadata, so that writing and reading cannot disagree.
template <typename File, typename Visit>
void forEachField(File &file, Visit visit) {
  visit("spec", file.specText);
  visit("target", file.target);
  visit("name", file.artifact.name);
  visit("schedule", file.artifact.schedule);
  visit("layout", file.artifact.layout);
  visit("tasks", file.artifact.tasks);
  visit("row_multiple", file.artifact.rowMultiple);
  visit("panel_data_bytes", file.artifact.panelDataBytes);
  visit("panel_sums", file.artifact.panelSums);
  visit("prepare_scratch_bytes", file.artifact.prepareScratchBytes);
  visit("scratch_bytes", file.artifact.scratchBytes);
  visit("gpu_kernels", file.artifact.gpuKernels);
  visit("row_major_columns", file.artifact.rowMajorColumns);
  visit("row_major_bytes", file.artifact.rowMajorBytes);
  visit("splits", file.artifact.splits);
}

template <typename Kernel, typename Visit>
void forEachKernelField(Kernel &kernel, Visit visit) {
  visit("entry", kernel.entry);
  visit("threads", kernel.threads);
  visit("shared_bytes", kernel.sharedBytes);
  visit("rows_per_block", kernel.rowsPerBlock);
  visit("grid_y", kernel.gridY);
  visit("grid_z", kernel.gridZ);
  visit("registers", kernel.registers);
  visit("spill_bytes", kernel.spillBytes);
  visit("stack_bytes", kernel.stackBytes);
}

template <typename Field>
nlohmann::json writeField(const Field &field) {
  return field;
}

nlohmann::json writeField(const std::vector<GpuKernel> &kernels) {
  nlohmann::json all = nlohmann::json::array();
  for (const GpuKernel &kernel : kernels) {
    nlohmann::json json;
    forEachKernelField(kernel, [&](const char *name, const auto &field) { json[name] = field; });
    all.push_back(std::move(json));
  }
  return all;
}

bool readField(const nlohmann::json &value, std::string &field) {
  if (!value.is_string())
    return false;
  field = value.get<std::string>();
  return true;
}

bool readField(const nlohmann::json &value, int64_t &field) {
  if (!value.is_number_integer())
    return false;
  field = value.get<int64_t>();
  return true;
}

bool readField(const nlohmann::json &value, std::vector<GpuKernel> &kernels) {
  bool good = value.is_array();
  for (size_t i = 0; good && i < value.size(); ++i) {
    GpuKernel &kernel = kernels.emplace_back();
    const nlohmann::json &json = value[i];
    forEachKernelField(kernel, [&](const char *name, auto &field) {
      good = good && json.is_object() && json.contains(name) && readField(json[name], field);
    });
  }
  return good;
}

} // namespace

KernelKey KernelKey::fromText(std::string text) {
  XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  char hex[33];
  std::snprintf(hex, sizeof(hex), "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return {std::move(text), hex};
}

KernelKey KernelKey::get(const CompileRequest &request) {
  std::string text = "spec " + request.spec.str() + "\nschedule " + request.schedule + "\ntarget " +
                     str(request.target) + "\nbuild " + buildId() + "\nllvm " BQ_LLVM_VERSION "\n";
  if (auto *gpu = std::get_if<CudaTarget>(&request.target); gpu && !gpu->isEmulator) {
    Expected<NvrtcFile> nvrtc = NvrtcFile::find();
    text += "nvrtc " + (nvrtc ? nvrtc->build : "none") + "\n";
  }
  return fromText(std::move(text));
}

std::vector<uint8_t> KernelFile::encode() const {
  nlohmann::json json;
  forEachField(*this, [&](const char *name, const auto &field) { json[name] = writeField(field); });
  // Names come from descriptions, but a text that is not UTF-8 must not throw here.
  std::string metadata = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);

  Header header{};
  std::memcpy(header.magic, magic, sizeof(magic));
  header.version = version;
  header.keyBytes = static_cast<uint32_t>(keyText.size());
  header.metadataBytes = metadata.size();
  header.objectBytes = artifact.object.size();
  std::vector<uint8_t> bytes(sizeof(header));
  bytes.reserve(sizeof(header) + keyText.size() + metadata.size() + artifact.object.size());
  std::memcpy(bytes.data(), &header, sizeof(header));
  bytes.insert(bytes.end(), keyText.begin(), keyText.end());
  bytes.insert(bytes.end(), metadata.begin(), metadata.end());
  bytes.insert(bytes.end(), artifact.object.begin(), artifact.object.end());
  uint64_t sum = checksum(bytes.data(), bytes.size());
  std::memcpy(bytes.data() + offsetof(Header, checksum), &sum, sizeof(sum));
  return bytes;
}

Expected<KernelFile> KernelFile::decode(const uint8_t *data, size_t size) {
  Header header;
  if (size < sizeof(header))
    return invalidArgument("it is shorter than its header");
  std::memcpy(&header, data, sizeof(header));
  if (std::memcmp(header.magic, magic, sizeof(magic)) != 0)
    return invalidArgument("it does not begin with BQKERNEL");
  if (header.version != version)
    return invalidArgument("it has version " + std::to_string(header.version) + ", not " + std::to_string(version));
  uint64_t rest = size - sizeof(header);
  if (header.keyBytes > rest || header.metadataBytes > rest - header.keyBytes ||
      header.objectBytes != rest - header.keyBytes - header.metadataBytes)
    return invalidArgument("it is " + std::to_string(size) + " bytes long, which is not what its header says");
  if (checksum(data, size) != header.checksum)
    return invalidArgument("its checksum does not match");

  KernelFile file;
  const char *text = reinterpret_cast<const char *>(data) + sizeof(header);
  file.keyText.assign(text, header.keyBytes);
  text += header.keyBytes;
  auto json = nlohmann::json::parse(text, text + header.metadataBytes, nullptr, /*allow_exceptions=*/false);
  bool good = json.is_object();
  forEachField(
      file, [&](const char *name, auto &field) { good = good && json.contains(name) && readField(json[name], field); });
  if (!good)
    return invalidArgument("its metadata is incomplete");
  file.artifact.object.assign(data + size - header.objectBytes, data + size);
  return file;
}
