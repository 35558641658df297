// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/KernelTimes.h"

#include "tools/bqc/Measure.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::json;

extern char **environ;

namespace {

/// A folder that goes when this does.
class TemporaryFolder {
public:
  TemporaryFolder() : path((std::filesystem::temp_directory_path() / "bqc-XXXXXX").string()) {
    if (!mkdtemp(path.data()))
      path.clear();
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path.empty())
      std::filesystem::remove_all(path, ignored);
  }
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;

  std::string path; ///< Empty where it could not be made.
};

/// What `bqc load-kernel` prints with this cache folder.
Expected<Json> loadKernel(const KernelSpec &spec, const std::string &cacheDir) {
  std::vector<std::string> variables;
  for (char **variable = environ; *variable; ++variable)
    if (std::strncmp(*variable, "BQ_CACHE", 8) != 0)
      variables.push_back(*variable);
  variables.push_back("BQ_CACHE_DIR=" + cacheDir);
  std::vector<char *> environment;
  for (std::string &variable : variables)
    environment.push_back(variable.data());
  environment.push_back(nullptr);
  std::string arguments[] = {"bqc", "load-kernel", spec.str()};
  char *argumentList[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return ioError(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t child = 0;
  const int code = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argumentList, environment.data());
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t size; code == 0 && (size = read(ends[0], buffer, sizeof(buffer))) > 0;)
    text.append(buffer, static_cast<size_t>(size));
  close(ends[0]);
  if (code != 0)
    return ioError(fmt::format("cannot start {}: {}", "/proc/self/exe", std::strerror(code)));
  int status = 0;
  waitpid(child, &status, 0);
  Json result = Json::parse(text, nullptr, false);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !result.is_object())
    return internalError("a process that loads the kernel failed");
  return result;
}

} // namespace

Expected<KernelTimes> cli::measureKernelTimes(const KernelSpec &spec) {
  Samples cold, warm, disk;
  for (int i = 0; i < 3; ++i) {
    const TemporaryFolder folder;
    if (folder.path.empty())
      return ioError(fmt::format("cannot make a temporary folder: {}", std::strerror(errno)));
    const Expected<Json> first = loadKernel(spec, folder.path);
    if (!first)
      return first.error();
    const Expected<Json> second = loadKernel(spec, folder.path);
    if (!second)
      return second.error();
    if ((*first)["compiles"] != 1 || (*second)["compiles"] != 0)
      return internalError("the kernel did not go through the disk cache");
    cold.add((*first)["ms"]);
    warm.add((*first)["warm_compile_ms"]);
    disk.add((*second)["ms"]);
  }
  return KernelTimes{cold.minimum(), warm.minimum(), disk.minimum()};
}
