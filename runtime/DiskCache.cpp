// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/DiskCache.h"

#include "runtime/CacheFolder.h"
#include "runtime/ElfLoader.h"
#include "runtime/Fork.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

using namespace bq;

namespace {

constexpr const char *lockName = "lock";
constexpr const char *suffix = ".bqk";
constexpr const char *failures = "/failed";

std::string fileName(const std::string &key) { return key + suffix; }

/// The key of a kernel's file; empty for all other names.
std::string keyOf(const std::string &name) {
  bool good = name.size() == 36 && name.compare(32, 4, suffix) == 0 && name.find_first_not_of("0123456789abcdef") >= 32;
  return good ? name.substr(0, 32) : "";
}

/// Whether a kernel is loaded by a driver, not by us.
bool isForGpu(const std::string &target) { return target.compare(0, 5, "cuda:") == 0; }

/// Kernels only, least recently used first.
std::vector<CacheFolder::File> kernels(const CacheFolder &folder) {
  std::vector<CacheFolder::File> files = folder.files();
  files.erase(std::remove_if(files.begin(), files.end(), [](const auto &file) { return keyOf(file.name).empty(); }),
              files.end());
  std::sort(files.begin(), files.end(),
            [](const auto &l, const auto &r) { return l.usedNs != r.usedNs ? l.usedNs < r.usedNs : l.name < r.name; });
  return files;
}

} // namespace

DiskCache::DiskCache(const Options &options)
    : folder(options.cacheDir), mode(options.cacheMode), sizeLimit(options.cacheSize),
      lockSeconds(options.cacheLockSeconds) {}

void DiskCache::warnOnce(const std::string &text) {
  if (!warned.exchange(true))
    logLine("warning: " + text + "; new kernels are kept in memory only");
}

void DiskCache::reportDamage(const KernelKey &key, const std::string &why) {
  ++refused;
  logLine("warning: cached kernel " + folder + "/" + fileName(key.hex) + " is not used: " + why);
}

std::optional<KernelFile> DiskCache::load(const KernelKey &key, bool quiet) {
  if (!isOn())
    return std::nullopt;
  Expected<CacheFolder> opened = CacheFolder::open(folder, /*create=*/false);
  if (!opened) {
    if (opened.error().code != ErrorCode::NotFound)
      warnOnce(opened.error().message);
    return std::nullopt;
  }
  Expected<std::vector<uint8_t>> bytes = opened->read(fileName(key.hex), mode == Options::CacheMode::On);
  if (!bytes) {
    if (bytes.error().code != ErrorCode::NotFound && !quiet)
      reportDamage(key, bytes.error().message);
    return std::nullopt;
  }
  Expected<KernelFile> file = KernelFile::decode(bytes->data(), bytes->size());
  if (!file) {
    if (!quiet)
      reportDamage(key, file.error().message);
    return std::nullopt;
  }
  if (file->keyText != key.text) {
    if (!quiet)
      reportDamage(key, "it is another kernel's");
    return std::nullopt;
  }
  return std::move(*file);
}

void DiskCache::store(const KernelKey &key, const KernelFile &kernel) {
  if (!isOn() || mode != Options::CacheMode::On || !storable)
    return;
  std::vector<uint8_t> bytes = kernel.encode();
  auto size = static_cast<int64_t>(bytes.size());
  if (size > sizeLimit)
    return;
  Expected<CacheFolder> opened = CacheFolder::open(folder, /*create=*/true);
  Status written = opened ? opened->write(fileName(key.hex), bytes) : Status(opened.error());
  if (!written) {
    storable = false;
    warnOnce(written.error().message);
    return;
  }
  // Other processes write too: what they add is seen at the first look, and whenever the limit seems passed.
  bool known = expected >= 0;
  if (known && (expected += size) <= sizeLimit)
    return;
  std::vector<CacheFolder::File> files = kernels(*opened);
  int64_t total = 0;
  for (const auto &file : files)
    total += file.bytes;
  if (total > sizeLimit) {
    // A tenth more than necessary, so that a full cache is not searched at every store.
    for (size_t i = 0; i + 1 < files.size() && total > sizeLimit - sizeLimit / 10; ++i)
      if (opened->remove(files[i].name)) {
        total -= files[i].bytes;
        ++evicted;
      }
    opened->removeStaleTemporaries();
  }
  expected = total;
}

std::string DiskCache::storeFailure(const KernelKey &key, const std::string &text) {
  if (!isOn() || mode != Options::CacheMode::On || !storable)
    return "";
  std::string path = folder + failures, name = key.hex + ".log";
  Expected<CacheFolder> opened = CacheFolder::open(path, /*create=*/true);
  if (!opened || !opened->write(name, {text.begin(), text.end()}))
    return "";
  return path + "/" + name;
}

DiskCache::Lock::~Lock() {
  if (descriptor < 0)
    return;
  // Unlocked by name first: a child that was just forked may still have the descriptor.
  if (!keepInChild(descriptor))
    return;
  struct flock range{};
  range.l_type = F_UNLCK;
  fcntl(descriptor, F_OFD_SETLK, &range);
  close(descriptor);
}

DiskCache::Lock DiskCache::lock(const KernelKey &key) {
  Lock lock;
  if (!isOn() || mode != Options::CacheMode::On || !storable)
    return lock;
  Expected<CacheFolder> opened = CacheFolder::open(folder, /*create=*/true);
  Expected<int> file = opened ? opened->openLock(lockName) : Expected<int>(opened.error());
  if (!file) {
    storable = false;
    warnOnce(file.error().message);
    return lock;
  }
  // One byte of one file for each key, however many there are: nothing piles up. Locks of open file descriptions
  // exclude threads as well as processes, and die with their holder.
  struct flock range{};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(std::stoull(key.hex.substr(0, 16), nullptr, 16) >> 2);
  range.l_len = 1;
  using Clock = std::chrono::steady_clock;
  Clock::time_point end = Clock::now() + std::chrono::microseconds(static_cast<int64_t>(lockSeconds * 1e6));
  for (useconds_t pause = 500;; pause = std::min<useconds_t>(pause * 2, 10000)) {
    if (fcntl(*file, F_OFD_SETLK, &range) == 0) {
      closeInChild(*file);
      lock.descriptor = *file;
      return lock;
    }
    if ((errno != EAGAIN && errno != EACCES && errno != EINTR) || Clock::now() >= end)
      break;
    usleep(pause);
  }
  close(*file);
  return lock;
}

Expected<std::vector<CacheEntry>> DiskCache::read(bool loadObjects) const {
  std::vector<CacheEntry> entries;
  Expected<CacheFolder> opened = CacheFolder::open(folder, /*create=*/false);
  if (!opened)
    return opened.error().code == ErrorCode::NotFound ? Expected<std::vector<CacheEntry>>(entries) : opened.error();
  for (const CacheFolder::File &file : kernels(*opened)) {
    CacheEntry entry;
    entry.key = keyOf(file.name);
    entry.bytes = file.bytes;
    entry.lastUse = file.usedNs / 1000000000;
    Expected<std::vector<uint8_t>> bytes = opened->read(file.name, /*touch=*/false);
    // Removed since by another process.
    if (!bytes && bytes.error().code == ErrorCode::NotFound)
      continue;
    Expected<KernelFile> kernel =
        bytes ? KernelFile::decode(bytes->data(), bytes->size()) : Expected<KernelFile>(bytes.error());
    if (kernel) {
      const Artifact &artifact = kernel->artifact;
      entry.name = artifact.name;
      entry.spec = kernel->specText;
      entry.target = kernel->target;
      entry.schedule = artifact.schedule;
      if (KernelKey::fromText(kernel->keyText).hex != entry.key)
        entry.damage = "its name does not belong to its key";
      else if (loadObjects && !isForGpu(kernel->target))
        if (auto object = LoadedObject::load(artifact.object.data(), artifact.object.size()); !object)
          entry.damage = object.error().message;
    } else {
      entry.damage = kernel.error().message;
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

Expected<std::vector<CacheEntry>> DiskCache::list() const { return read(/*loadObjects=*/false); }

Expected<std::vector<CacheEntry>> DiskCache::verify() const { return read(/*loadObjects=*/true); }

Expected<CacheEntry> DiskCache::info(const std::string &key) const {
  Expected<std::vector<CacheEntry>> entries = list();
  if (!entries)
    return entries.error();
  std::vector<CacheEntry> found;
  for (CacheEntry &entry : *entries)
    if (!key.empty() && entry.key.compare(0, key.size(), key) == 0)
      found.push_back(std::move(entry));
  if (found.empty())
    return notFound("no kernel in " + folder + " has a key that begins with '" + key + "': bqc cache list shows all");
  if (found.size() > 1)
    return invalidArgument(std::to_string(found.size()) + " kernels in " + folder + " have a key that begins with '" +
                           key + "': give more digits");
  return std::move(found.front());
}

Expected<CacheTotals> DiskCache::totals() const {
  CacheTotals sum;
  Expected<CacheFolder> opened = CacheFolder::open(folder, /*create=*/false);
  if (!opened)
    return opened.error().code == ErrorCode::NotFound ? Expected<CacheTotals>(sum) : opened.error();
  for (const CacheFolder::File &file : kernels(*opened)) {
    ++sum.files;
    sum.bytes += file.bytes;
  }
  return sum;
}

Expected<CacheTotals> DiskCache::prune(int64_t maxBytes) {
  CacheTotals removed;
  Expected<CacheFolder> opened = CacheFolder::open(folder, /*create=*/false);
  if (!opened)
    return opened.error().code == ErrorCode::NotFound ? Expected<CacheTotals>(removed) : opened.error();
  if (mode == Options::CacheMode::ReadOnly)
    return invalidArgument("BQ_CACHE is ro: nothing in " + folder + " is removed; use BQ_CACHE=on");
  std::vector<CacheFolder::File> files = kernels(*opened);
  int64_t total = 0;
  for (const auto &file : files)
    total += file.bytes;
  for (size_t i = 0; i < files.size() && total > maxBytes; ++i) {
    if (Status status = opened->remove(files[i].name); !status)
      return status.error();
    total -= files[i].bytes;
    ++removed.files;
    removed.bytes += files[i].bytes;
  }
  opened->removeStaleTemporaries();
  if (Expected<CacheFolder> reports = CacheFolder::open(folder + failures, /*create=*/false))
    for (const CacheFolder::File &report : reports->files())
      if (Status status = reports->remove(report.name); !status)
        return status.error();
  expected = -1;
  return removed;
}
