// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/CacheFolder.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

using namespace bq;

namespace {

constexpr const char *temporaryPrefix = ".tmp-";
/// A kernel is some kilobytes; what is larger was not written by us.
constexpr off_t maxFileBytes = 256 << 20;

/// Why a folder or file could have been written by another user; nothing where it could not.
std::optional<std::string> distrust(const struct stat &status) {
  if (status.st_uid != geteuid())
    return "belongs to user " + std::to_string(status.st_uid) + ", not to " + std::to_string(geteuid());
  if (status.st_mode & (S_IWGRP | S_IWOTH)) {
    char text[8];
    std::snprintf(text, sizeof(text), "%04o", static_cast<unsigned>(status.st_mode & 07777));
    return std::string("has mode ") + text + ", so that other users can write it";
  }
  return std::nullopt;
}

/// mkdir -p with mode 0700. What exists already counts as success; opening it tells the rest.
void makeFolders(const std::string &path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
    mkdir(path.substr(0, slash).c_str(), 0700);
  mkdir(path.c_str(), 0700);
}

bool writeAll(int file, const std::vector<uint8_t> &bytes) {
  for (size_t done = 0; done < bytes.size();) {
    ssize_t written = write(file, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno != EINTR)
      return false;
    done += written > 0 ? written : 0;
  }
  return true;
}

} // namespace

Error CacheFolder::failure(const std::string &what, const std::string &name) const {
  return ioError("cannot " + what + " " + path + "/" + name + ": " + std::strerror(errno));
}

Expected<CacheFolder> CacheFolder::open(const std::string &path, bool create) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0 && errno == ENOENT && create) {
    makeFolders(path);
    descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  if (descriptor < 0) {
    std::string text = "cannot open the kernel cache " + path + ": " + std::strerror(errno);
    return errno == ENOENT && !create ? notFound(text) : ioError(text);
  }
  CacheFolder folder(path, descriptor);
  struct stat status;
  if (fstat(descriptor, &status) != 0)
    return ioError("cannot look at the kernel cache " + path + ": " + std::strerror(errno));
  if (std::optional<std::string> why = distrust(status))
    return unsupported("the kernel cache " + path + " is refused: it " + *why +
                       " (use a folder of your own with mode 0700)");
  return folder;
}

CacheFolder::~CacheFolder() {
  if (descriptor >= 0)
    close(descriptor);
}

std::vector<CacheFolder::File> CacheFolder::files() const {
  std::vector<File> found;
  int copy = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *listing = copy < 0 ? nullptr : fdopendir(copy);
  if (!listing)
    return found;
  while (dirent *entry = readdir(listing)) {
    struct stat status;
    if (fstatat(descriptor, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode))
      found.push_back({entry->d_name, status.st_size, status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec});
  }
  closedir(listing);
  return found;
}

Expected<std::vector<uint8_t>> CacheFolder::read(const std::string &name, bool touch) const {
  // Without O_NONBLOCK, a FIFO of that name would make us wait for ever.
  int file = openat(descriptor, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0)
    return errno == ENOENT ? notFound(name) : failure("open", name);
  struct Closer {
    int file;
    ~Closer() { close(file); }
  } closer{file};
  struct stat status;
  if (fstat(file, &status) != 0)
    return failure("look at", name);
  if (!S_ISREG(status.st_mode))
    return unsupported("it is not a regular file");
  if (std::optional<std::string> why = distrust(status))
    return unsupported("it " + *why);
  if (status.st_size > maxFileBytes)
    return unsupported("it is " + std::to_string(status.st_size) + " bytes long");
  std::vector<uint8_t> bytes(status.st_size);
  size_t done = 0;
  while (done < bytes.size()) {
    ssize_t got = ::read(file, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return failure("read", name);
    if (got == 0)
      break;
    done += got;
  }
  bytes.resize(done);
  // A disk that cannot be written only loses the order of use.
  if (touch)
    futimens(file, nullptr);
  return bytes;
}

Status CacheFolder::write(const std::string &name, const std::vector<uint8_t> &bytes) const {
  static std::atomic<unsigned> serial{0};
  // Process numbers repeat in containers that share a folder; the time does not.
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  std::string temporary = temporaryPrefix + std::to_string(getpid()) + "-" + std::to_string(serial++) + "-" +
                          std::to_string(now.tv_sec) + std::to_string(now.tv_nsec) + "-" + name;
  int file = openat(descriptor, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0)
    return failure("create", temporary);
  bool written = writeAll(file, bytes) && fsync(file) == 0;
  int reason = errno;
  close(file);
  if (written && renameat(descriptor, temporary.c_str(), descriptor, name.c_str()) == 0)
    return {};
  if (!written)
    errno = reason;
  Status status = failure("write", name);
  unlinkat(descriptor, temporary.c_str(), 0);
  return status;
}

Status CacheFolder::remove(const std::string &name) const {
  if (unlinkat(descriptor, name.c_str(), 0) == 0 || errno == ENOENT)
    return {};
  return failure("remove", name);
}

void CacheFolder::removeStaleTemporaries() const {
  int64_t limit = (time(nullptr) - 3600) * int64_t{1000000000};
  for (const File &file : files())
    if (file.name.rfind(temporaryPrefix, 0) == 0 && file.usedNs < limit)
      unlinkat(descriptor, file.name.c_str(), 0);
}

Expected<int> CacheFolder::openLock(const std::string &name) const {
  int file = openat(descriptor, name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0)
    return failure("open", name);
  return file;
}
