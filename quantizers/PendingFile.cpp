// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/PendingFile.h"

#include <c10/util/Exception.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

using namespace bq;

PendingFile::PendingFile(const std::string &path)
    : path(path), temporary(path + ".XXXXXX"), descriptor(mkostemp(temporary.data(), O_CLOEXEC)) {
  TORCH_CHECK(descriptor >= 0, path, ": cannot write: ", std::strerror(errno));
  // mkostemp makes files private; a result is as the file that it replaces, or as the user's mask says.
  const mode_t mask = umask(0);
  umask(mask);
  struct stat replaced{};
  fchmod(descriptor, stat(path.c_str(), &replaced) == 0 ? replaced.st_mode & 0777 : 0666 & ~mask);
}

PendingFile::~PendingFile() {
  if (!temporary.empty())
    unlink(temporary.c_str());
  close(descriptor);
}

void PendingFile::write(const void *data, uint64_t size) {
  const char *next = static_cast<const char *>(data);
  while (size) {
    const ssize_t written = ::write(descriptor, next, size);
    if (written < 0 && errno == EINTR)
      continue;
    TORCH_CHECK(written >= 0, path, ": cannot write: ", std::strerror(errno), "; it is left as it was");
    next += written;
    size -= written;
  }
}

void PendingFile::commit() {
  TORCH_CHECK(fsync(descriptor) == 0 && rename(temporary.c_str(), path.c_str()) == 0, path,
              ": cannot write: ", std::strerror(errno), "; it is left as it was");
  temporary.clear();
}
