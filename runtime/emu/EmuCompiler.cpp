// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/EmuCompiler.h"

#include "runtime/emu/Multiprocessor.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

using namespace bq;
using namespace bq::emu;

namespace fs = std::filesystem;

namespace {

const char *const abiText =
#include "runtime/emu/EmuAbi.h.inc"
    ;
const char *const preludeText =
#include "runtime/emu/EmuPrelude.h.inc"
    ;

/// A new folder, gone with this.
struct TemporaryFolder {
  fs::path path;

  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

Status write(const fs::path &path, const std::string &text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  return file ? Status() : ioError("cannot write " + path.string());
}

std::vector<std::string> words(const std::string &text) {
  std::istringstream stream(text);
  std::vector<std::string> result;
  for (std::string word; stream >> word;)
    result.push_back(word);
  return result;
}

/// Runs a program, found by PATH, with its output in the file `log`. Gives its exit status, -1 where a signal ended it.
Expected<int> run(const std::vector<std::string> &command, const fs::path &log) {
  std::vector<char *> arguments;
  for (const std::string &argument : command)
    arguments.push_back(const_cast<char *>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child;
  const int failure = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure)
    return notFound("C++ compiler " + command[0] + ": " + std::strerror(failure) + "; CXX names another one");
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR)
      return ioError("waiting for " + command[0] + ": " + std::strerror(errno));
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// The first line that names an error, or else the first line.
std::string firstError(const fs::path &log) {
  std::ifstream file(log);
  std::string first, line;
  while (std::getline(file, line)) {
    if (line.find("error") != std::string::npos)
      return line;
    if (first.empty())
      first = line;
  }
  return first;
}

} // namespace

CompiledKernel::~CompiledKernel() { dlclose(library); }

void *CompiledKernel::entry(const std::string &name) const { return dlsym(library, name.c_str()); }

Expected<std::shared_ptr<CompiledKernel>> CompiledKernel::compile(const std::string &text) {
  std::error_code error;
  std::string name = (fs::temp_directory_path(error) / "bq-emu-XXXXXX").string();
  if (error || !mkdtemp(name.data()))
    return ioError("cannot make the folder " + name + ": " + std::strerror(errno));
  TemporaryFolder folder{name};
  const fs::path headers = folder.path / "runtime/emu", source = folder.path / "kernel.cpp",
                 object = folder.path / "kernel.so", log = folder.path / "log";
  fs::create_directories(headers, error);
  for (const auto &[path, content] :
       {std::pair<fs::path, std::string>{headers / "EmuAbi.h", abiText},
        {headers / "EmuPrelude.h", preludeText},
        {source, "#include \"runtime/emu/EmuPrelude.h\"\n#line 1 \"kernel.cu\"\n" + text}})
    if (Status status = write(path, content); !status)
      return status.error();

  const char *compiler = std::getenv("CXX");
  std::vector<std::string> command = words(compiler ? compiler : "");
  if (command.empty())
    command = {"c++"};
  // Contraction would round once where a device, without being asked for it, rounds twice. Memory that a block shares
  // has elements of several types.
  for (const char *option : {"-std=c++17", "-O1", "-w", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-exceptions",
                             "-ffp-contract=off", "-fno-math-errno", "-fno-strict-aliasing"})
    command.push_back(option);
  for (const std::string &option : words(BQ_EMU_SANITIZERS))
    command.push_back(option);
  for (const std::string &argument : {"-I" + folder.path.string(), std::string("-o"), object.string(), source.string()})
    command.push_back(argument);
  Expected<int> status = run(command, log);
  if (!status)
    return status.error();
  if (*status != 0)
    return internalError(command[0] + " refuses the kernel: " + firstError(log));

  void *library = dlopen(object.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return internalError(std::string("the compiled kernel cannot be loaded: ") + dlerror());
  std::shared_ptr<CompiledKernel> kernel(new CompiledKernel(library));
  // The folder's files are mapped, and need their names no longer.
  *static_cast<const BQEmuApi **>(kernel->entry("bqEmuApi")) = &api();
  return kernel;
}
