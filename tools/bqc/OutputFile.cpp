// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/OutputFile.h"

#include <fmt/format.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>

using namespace bq;
using namespace bq::cli;

namespace {

/// What a signal handler removes; empty = nothing. Only changed while the handled signals are blocked.
char pending[PATH_MAX];

struct HandledSignal {
  int number;
  bool replaced;           ///< Whether the handler is in place.
  struct sigaction before; ///< What to put back where it is.
};
HandledSignal handledSignals[] = {{SIGINT, false, {}}, {SIGTERM, false, {}}, {SIGHUP, false, {}}};

void removePending(int number) {
  if (pending[0])
    unlink(pending);
  for (const HandledSignal &signal : handledSignals)
    if (signal.number == number)
      sigaction(number, &signal.before, nullptr);
  raise(number);
}

void setPending(const std::string &path) {
  struct sigaction handler{};
  handler.sa_handler = removePending;
  handler.sa_flags = SA_RESTART;
  for (const HandledSignal &signal : handledSignals)
    sigaddset(&handler.sa_mask, signal.number);
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &handler.sa_mask, &before);
  std::strncpy(pending, path.c_str(), sizeof(pending) - 1);
  for (HandledSignal &signal : handledSignals) {
    if (signal.replaced)
      sigaction(signal.number, &signal.before, nullptr);
    signal.replaced = false;
    // Who started the program may want it to outlive the signal, as nohup does.
    if (path.empty() || sigaction(signal.number, nullptr, &signal.before) != 0 || signal.before.sa_handler == SIG_IGN)
      continue;
    signal.replaced = sigaction(signal.number, &handler, nullptr) == 0;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

std::string parentOf(const std::string &path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::string nameOf(const std::string &path) { return path.substr(path.rfind('/') + 1); }

/// Whether both are there and are one, links followed.
bool isSameInode(const std::string &left, const std::string &right) {
  struct stat l{}, r{};
  return stat(left.c_str(), &l) == 0 && stat(right.c_str(), &r) == 0 && l.st_dev == r.st_dev && l.st_ino == r.st_ino;
}

} // namespace

bool cli::isSameFile(const std::string &left, const std::string &right) {
  return isSameInode(left, right) || (nameOf(left) == nameOf(right) && isSameInode(parentOf(left), parentOf(right)));
}

Status cli::checkOutputPath(std::string_view option, const std::string &path, const std::vector<std::string> &inputs) {
  const std::string parent = parentOf(path);
  struct stat file{}, folder{};
  if (path.empty())
    return invalidArgument(fmt::format("{}: needs the name of a file", option));
  if (path.back() == '/' || (stat(path.c_str(), &file) == 0 && S_ISDIR(file.st_mode)))
    return invalidArgument(fmt::format("{} {}: is a folder; give the name of a file", option, path));
  if (stat(parent.c_str(), &folder) != 0)
    return ioError(fmt::format("{} {}: the folder {}: {}; make it first", option, path, parent, std::strerror(errno)));
  if (!S_ISDIR(folder.st_mode))
    return invalidArgument(fmt::format("{} {}: {} is not a folder", option, path, parent));
  if (file.st_ino && !S_ISREG(file.st_mode))
    return invalidArgument(fmt::format("{} {}: exists and is not a regular file", option, path));
  for (const std::string &input : inputs)
    if (isSameFile(path, input))
      return invalidArgument(fmt::format("{} {}: is the input file {}; give another name", option, path, input));
  // Permissions alone do not tell: the file system may be read-only, or take no files at all.
  if (Expected<OutputFile> trial = OutputFile::create(path); !trial)
    return ioError(fmt::format("{} {}", option, trial.error().message));
  return {};
}

Expected<OutputFile> OutputFile::create(const std::string &path) {
  Expected<PendingFile> file = PendingFile::create(path);
  if (!file)
    return file.error();
  return OutputFile(std::move(*file));
}

OutputFile::OutputFile(PendingFile file) : file(std::move(file)) { setPending(this->file->temporaryName()); }

OutputFile::~OutputFile() {
  if (!file)
    return;
  file.reset();
  setPending("");
}

Status OutputFile::write(const void *data, size_t size) { return file->write(data, size); }

Status OutputFile::commit() {
  if (Status status = file->commit(); !status)
    return status;
  file.reset();
  setPending("");
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
