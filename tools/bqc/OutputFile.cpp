// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/OutputFile.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

using namespace bq;
using namespace bq::cli;

namespace {

/// What a signal handler removes; empty = nothing. Only changed while the handled signals are blocked.
char pending[PATH_MAX];
constexpr int handledSignals[] = {SIGINT, SIGTERM, SIGHUP};

void removePending(int signal) {
  if (pending[0])
    unlink(pending);
  std::signal(signal, SIG_DFL);
  raise(signal);
}

void setPending(const std::string &path) {
  sigset_t handled, before;
  sigemptyset(&handled);
  for (int signal : handledSignals)
    sigaddset(&handled, signal);
  pthread_sigmask(SIG_BLOCK, &handled, &before);
  std::strncpy(pending, path.c_str(), sizeof(pending) - 1);
  for (int signal : handledSignals)
    std::signal(signal, path.empty() ? SIG_DFL : removePending);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

std::string parentOf(const std::string &path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

} // namespace

Status cli::checkOutputPath(std::string_view option, const std::string &path, const std::string &input) {
  const std::string parent = parentOf(path);
  struct stat file{}, folder{}, source{};
  if (path.empty() || path.back() == '/' || (stat(path.c_str(), &file) == 0 && S_ISDIR(file.st_mode)))
    return invalidArgument(fmt::format("{} {}: is a folder; give the name of a file", option, path));
  if (stat(parent.c_str(), &folder) != 0)
    return ioError(fmt::format("{} {}: the folder {}: {}; make it first", option, path, parent, std::strerror(errno)));
  if (!S_ISDIR(folder.st_mode))
    return invalidArgument(fmt::format("{} {}: {} is not a folder", option, path, parent));
  if (file.st_ino && !S_ISREG(file.st_mode))
    return invalidArgument(fmt::format("{} {}: exists and is not a regular file", option, path));
  if (!input.empty() && file.st_ino && stat(input.c_str(), &source) == 0 && source.st_dev == file.st_dev &&
      source.st_ino == file.st_ino)
    return invalidArgument(fmt::format("{} {}: is the input file; give another name", option, path));
  // Permissions alone do not tell: the file system may be read-only, or take no files at all.
  if (Expected<OutputFile> trial = OutputFile::create(path); !trial)
    return ioError(fmt::format("{} {}", option, trial.error().message));
  return {};
}

Expected<OutputFile> OutputFile::create(const std::string &path) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  std::string temporary = fmt::format("{}/.{}.XXXXXX", parentOf(path), name);
  if (temporary.size() >= PATH_MAX)
    return invalidArgument(fmt::format("{}: the name is too long", path));
  const int descriptor = mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0)
    return ioError(fmt::format("{}: cannot write: {}", path, std::strerror(errno)));
  // mkstemp makes files private; a result is as the user's mask says.
  const mode_t mask = umask(0);
  umask(mask);
  fchmod(descriptor, 0666 & ~mask);
  return OutputFile(path, std::move(temporary), descriptor);
}

OutputFile::OutputFile(std::string path, std::string temporary, int descriptor)
    : path(std::move(path)), temporary(std::move(temporary)), descriptor(descriptor) {
  setPending(this->temporary);
}

OutputFile::OutputFile(OutputFile &&other) noexcept
    : path(std::move(other.path)), temporary(std::move(other.temporary)),
      descriptor(std::exchange(other.descriptor, -1)) {}

OutputFile::~OutputFile() {
  if (descriptor < 0)
    return;
  close(descriptor);
  unlink(temporary.c_str());
  setPending("");
}

Error OutputFile::failure(std::string_view action) const {
  return ioError(fmt::format("{}: cannot {}: {}; nothing was written", path, action, std::strerror(errno)));
}

Status OutputFile::write(const void *data, size_t size) {
  const char *next = static_cast<const char *>(data);
  while (size) {
    const ssize_t written = ::write(descriptor, next, size);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return failure("write");
    next += written;
    size -= static_cast<size_t>(written);
  }
  return {};
}

Status OutputFile::commit() {
  if (fsync(descriptor) != 0)
    return failure("write");
  if (rename(temporary.c_str(), path.c_str()) != 0)
    return failure("rename the temporary file to it");
  setPending("");
  close(std::exchange(descriptor, -1));
  // Best effort: the file is complete either way.
  if (const int folder = open(parentOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); folder >= 0) {
    fsync(folder);
    close(folder);
  }
  return {};
}

Status cli::writeOutputFile(const std::string &path, std::string_view text) {
  Expected<OutputFile> file = OutputFile::create(path);
  if (!file)
    return file.error();
  if (Status status = file->write(text.data(), text.size()); !status)
    return status;
  return file->commit();
}
