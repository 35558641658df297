// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/Options.h"

#include <charconv>
#include <climits>
#include <cstdlib>
#include <pwd.h>
#include <unistd.h>

using namespace bq;

const std::vector<OptionInfo> &bq::optionTable() {
  static const std::vector<OptionInfo> table = {
      {"BQ_CPU", "CPU to compile for: a name such as haswell or znver4, or host", "host"},
      {"BQ_CACHE", "on, ro (kernels on disk are read, nothing is written) or off (memory only)", "on"},
      {"BQ_CACHE_DIR", "Folder of compiled kernels", "$XDG_CACHE_HOME/bq, else ~/.cache/bq"},
      {"BQ_CACHE_SIZE", "Bytes of kernels kept on disk, with an optional suffix K, M or G", "1G"},
      {"BQ_CACHE_LOCK_SECONDS", "Longest wait for another process that compiles the same kernel", "10"},
      {"BQ_COMPILER", "Path of libbq_compiler.so", "beside the library or program in use, else in ../lib"},
      {"BQ_CUDA_ARCH", "Architecture to compile for on every GPU, such as sm_90a, or emu", "each GPU's own"},
      {"BQ_CUDA_DRIVER", "Path of libcuda.so.1, NVIDIA's driver", "found by the system's loader"},
      {"BQ_NVRTC", "Path of libnvrtc.so.13, NVIDIA's run-time compiler",
       "found beside LibTorch or with the CUDA toolkit"},
      {"BQ_VERBOSE", "Lines on stderr, a comma-separated list of dispatch, compile and cache", "none"},
  };
  return table;
}

Expected<int64_t> bq::parseSize(std::string_view text) {
  int64_t value = 0;
  auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view suffix = text.substr(end - text.data());
  int shift = suffix == "K" ? 10 : suffix == "M" ? 20 : suffix == "G" ? 30 : suffix.empty() ? 0 : -1;
  if (code != std::errc() || value < 0 || shift < 0 || value > INT64_MAX >> shift)
    return invalidArgument("size '" + std::string(text) +
                           "' is not a number of bytes: use digits with an optional suffix K, M or G, such as 512M");
  return value << shift;
}

void bq::logLine(const std::string &text) {
  std::string line = "bq: " + text + "\n";
  // Nothing can be done where stderr is closed.
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

namespace {

Error refuse(const char *name, std::string_view value, const std::string &rule) {
  return invalidArgument(std::string(name) + " is '" + std::string(value) + "': " + rule);
}

std::string absolute(const std::string &path) {
  char here[PATH_MAX];
  return path[0] == '/' || !getcwd(here, sizeof(here)) ? path : std::string(here) + "/" + path;
}

/// The user's home folder from the password database, for processes started without an environment.
std::string homeFolder() {
  char text[4096];
  passwd entry, *found = nullptr;
  return getpwuid_r(geteuid(), &entry, text, sizeof(text), &found) == 0 && found ? entry.pw_dir : "";
}

} // namespace

Expected<Options> Options::parse(const Lookup &lookup) {
  Options options;
  auto get = [&](const char *name) -> std::string {
    const char *value = lookup(name);
    return value ? value : "";
  };

  if (std::string mode = get("BQ_CACHE"); mode == "ro")
    options.cacheMode = CacheMode::ReadOnly;
  else if (mode == "off")
    options.cacheMode = CacheMode::Off;
  else if (!mode.empty() && mode != "on")
    return refuse("BQ_CACHE", mode, "use on, ro or off");

  // A relative XDG_CACHE_HOME is to be ignored, says the XDG base directory specification.
  if (std::string folder = get("BQ_CACHE_DIR"); !folder.empty())
    options.cacheDir = absolute(folder);
  else if (std::string xdg = get("XDG_CACHE_HOME"); !xdg.empty() && xdg[0] == '/')
    options.cacheDir = xdg + "/bq";
  else {
    std::string home = get("HOME");
    if (home.empty())
      home = homeFolder();
    if (!home.empty() && home[0] == '/')
      options.cacheDir = home + "/.cache/bq";
  }

  if (std::string size = get("BQ_CACHE_SIZE"); !size.empty()) {
    Expected<int64_t> bytes = parseSize(size);
    if (!bytes)
      return Error{bytes.error().code, "BQ_CACHE_SIZE: " + bytes.error().message};
    options.cacheSize = *bytes;
  }

  if (std::string seconds = get("BQ_CACHE_LOCK_SECONDS"); !seconds.empty()) {
    auto [end, code] = std::from_chars(seconds.data(), seconds.data() + seconds.size(), options.cacheLockSeconds);
    if (code != std::errc() || *end || !(options.cacheLockSeconds >= 0 && options.cacheLockSeconds <= 3600))
      return refuse("BQ_CACHE_LOCK_SECONDS", seconds, "use a number of seconds from 0 to 3600");
  }

  for (std::string rest = get("BQ_VERBOSE"); !rest.empty();) {
    size_t comma = rest.find(',');
    std::string topic = rest.substr(0, comma);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
    if (topic == "dispatch")
      options.verboseDispatch = true;
    else if (topic == "compile")
      options.verboseCompile = true;
    else if (topic == "cache")
      options.verboseCache = true;
    else
      return refuse("BQ_VERBOSE", get("BQ_VERBOSE"), "use a comma-separated list of dispatch, compile and cache");
  }

  if (std::string path = get("BQ_COMPILER"); !path.empty())
    options.compilerPath = absolute(path);
  if (std::string path = get("BQ_CUDA_DRIVER"); !path.empty())
    options.cudaDriverPath = absolute(path);
  if (std::string name = get("BQ_CUDA_ARCH"); !name.empty()) {
    Expected<CudaTarget> target = CudaTarget::parse(name);
    if (!target)
      return Error{target.error().code, "BQ_CUDA_ARCH: " + target.error().message};
    options.cudaTarget = *target;
  }
  return options;
}

Expected<Options> Options::fromEnvironment() {
  return parse([](const char *name) { return std::getenv(name); });
}
