// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/PendingFile.h"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace bq;

namespace {

/// With the slash at its end; empty for the working directory.
std::string folderOf(const std::string &path) { return path.substr(0, path.rfind('/') + 1); }

} // namespace

Expected<PendingFile> PendingFile::create(const std::string &path) {
  const std::string folder = folderOf(path);
  std::string temporary = folder + "." + path.substr(folder.size()) + ".XXXXXX";
  if (temporary.size() >= PATH_MAX)
    return invalidArgument(path + ": the name is too long");
  const int descriptor = mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0)
    return ioError(path + ": cannot write: " + std::strerror(errno));
  // mkostemp makes files private; a result is as the file that it replaces, or as the user's mask says.
  const mode_t mask = umask(0);
  umask(mask);
  struct stat replaced{};
  fchmod(descriptor, stat(path.c_str(), &replaced) == 0 ? replaced.st_mode & 0777 : 0666 & ~mask);
  return PendingFile(path, std::move(temporary), descriptor);
}

PendingFile::~PendingFile() {
  if (descriptor < 0)
    return;
  close(descriptor);
  unlink(temporary.c_str());
}

Error PendingFile::failure(std::string_view action) const {
  return ioError(path + ": cannot " + std::string(action) + ": " + std::strerror(errno) + "; it is left as it was");
}

Status PendingFile::write(const void *data, size_t size) {
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

Status PendingFile::commit() {
  if (fsync(descriptor) != 0)
    return failure("write");
  if (rename(temporary.c_str(), path.c_str()) != 0)
    return failure("rename the temporary file to it");
  close(std::exchange(descriptor, -1));
  // Best effort: the file is complete either way.
  const std::string folder = folderOf(path);
  if (const int opened = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); opened >= 0) {
    fsync(opened);
    close(opened);
  }
  return {};
}
