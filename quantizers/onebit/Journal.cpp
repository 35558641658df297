// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/Journal.h"

#include "quantizers/WriteFile.h"

#include <nlohmann/json.hpp>

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

using namespace bq;
using namespace bq::onebit;

using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr const char *version = "1";

std::string runPath(const std::string &folder) { return folder + "/run.json"; }
std::string layerPath(const std::string &folder, size_t number) {
  const std::string digits = std::to_string(number);
  return folder + "/layer-" + std::string(digits.size() < 6 ? 6 - digits.size() : 0, '0') + digits + ".safetensors";
}

/// Throws where the journal's run is another one.
void checkRun(const std::string &folder, const Journal::Run &wanted) {
  Journal::Run found;
  try {
    std::ifstream stream(runPath(folder));
    const Json json = Json::parse(stream);
    TORCH_CHECK(json.at("version") == version, runPath(folder), ": is of version ", json.at("version").dump(),
                ", this build of bq reads \"", version, "\"");
    found = json.at("run").get<Journal::Run>();
  } catch (const Json::exception &) {
    TORCH_CHECK(false, runPath(folder), ": is damaged; remove ", folder, " and begin the run again");
  }
  for (const auto &[key, value] : wanted) {
    const auto other = found.find(key);
    TORCH_CHECK(other != found.end() && other->second == value, folder, ": is the journal of a run with ", key, " ",
                other == found.end() ? "unknown" : other->second, ", this one has ", value,
                "; bring that back, or remove the folder and begin again");
  }
}

} // namespace

Journal Journal::begin(const std::string &folder, const Run &run) {
  if (mkdir(folder.c_str(), 0777) != 0) {
    TORCH_CHECK(errno != EEXIST, folder, ": is there already; go on from it, or remove it to begin again");
    TORCH_CHECK(false, folder, ": cannot be made: ", std::strerror(errno));
  }
  Journal journal(folder);
  writeFile(runPath(folder), Json{{"version", version}, {"run", run}}.dump(2) + "\n");
  return journal;
}

Journal Journal::resume(const std::string &folder, const Run &run) {
  if (!fs::exists(runPath(folder))) {
    // A process that ended before it had written its first file has left an empty folder, or its temporary file.
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    return begin(folder, run);
  }
  checkRun(folder, run);
  Journal journal(folder);
  for (; fs::exists(layerPath(folder, journal.files)); ++journal.files)
    journal.results.merge(loadResults(layerPath(folder, journal.files)));
  return journal;
}

void Journal::add(const std::string &layer, const OneBitResult &result) {
  saveResults(layerPath(folder, files), {{layer, result}});
  ++files;
}

void Journal::remove() {
  std::error_code error;
  fs::remove_all(folder, error);
  TORCH_CHECK(!error, folder, ": cannot be removed: ", error.message());
}
