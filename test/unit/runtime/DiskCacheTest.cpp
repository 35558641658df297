// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the disk cache keeps, finds and throws away while nothing is wrong.
#include "runtime/DiskCache.h"
#include "Support.h"

#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <map>
#include <sys/stat.h>

using namespace bq;
using namespace bq::test;

namespace {

KernelKey keyOf(int number) { return KernelKey::fromText("kernel " + std::to_string(number)); }

KernelFile kernelFor(const KernelKey &key) {
  KernelFile file;
  file.keyText = key.text;
  file.specText = "a spec";
  file.target = "a cpu";
  file.artifact = {
      "a_kernel", "a schedule", "a layout", 1, 2, 3, 4, 5, 6, {{"a_kernel", 128, 4096, 16, 3, 2, 64, 8, 4}}, 7, 9,
      8,          testObject()};
  return file;
}

std::string pathOf(const DiskCache &cache, const KernelKey &key) { return cache.path() + "/" + key.hex + ".bqk"; }

/// Sets the last use of a kernel to `seconds` after 1970.
void setLastUse(const DiskCache &cache, const KernelKey &key, int64_t seconds) {
  timespec times[2] = {{seconds, 0}, {seconds, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, pathOf(cache, key).c_str(), times, 0), 0);
}

int64_t fileBytes() { return static_cast<int64_t>(kernelFor(keyOf(1)).encode().size()); }

} // namespace

TEST(DiskCache, WhatIsStoredIsFound) {
  TempFolder folder;
  DiskCache cache(optionsFor(folder.path + "/a/b"));
  KernelKey key = keyOf(1);
  EXPECT_FALSE(cache.load(key));
  cache.store(key, kernelFor(key));
  std::optional<KernelFile> found = cache.load(key);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->keyText, key.text);
  EXPECT_EQ(found->specText, "a spec");
  EXPECT_EQ(found->target, "a cpu");
  EXPECT_EQ(found->artifact.name, "a_kernel");
  EXPECT_EQ(found->artifact.schedule, "a schedule");
  EXPECT_EQ(found->artifact.layout, "a layout");
  EXPECT_EQ(found->artifact.tasks, 1);
  EXPECT_EQ(found->artifact.rowMultiple, 2);
  EXPECT_EQ(found->artifact.panelDataBytes, 3);
  EXPECT_EQ(found->artifact.panelSums, 4);
  EXPECT_EQ(found->artifact.prepareScratchBytes, 5);
  EXPECT_EQ(found->artifact.scratchBytes, 6);
  ASSERT_EQ(found->artifact.gpuKernels.size(), 1u);
  const GpuKernel &kernel = found->artifact.gpuKernels[0];
  EXPECT_EQ(kernel.entry, "a_kernel");
  EXPECT_EQ(kernel.threads, 128);
  EXPECT_EQ(kernel.sharedBytes, 4096);
  EXPECT_EQ(kernel.rowsPerBlock, 16);
  EXPECT_EQ(kernel.gridY, 3);
  EXPECT_EQ(kernel.gridZ, 2);
  EXPECT_EQ(kernel.registers, 64);
  EXPECT_EQ(kernel.spillBytes, 8);
  EXPECT_EQ(kernel.stackBytes, 4);
  EXPECT_EQ(found->artifact.rowMajorColumns, 7);
  EXPECT_EQ(found->artifact.rowMajorBytes, 9);
  EXPECT_EQ(found->artifact.splits, 8);
  EXPECT_EQ(found->artifact.object, testObject());
}

TEST(DiskCache, FolderAndFilesAreForTheirUserAlone) {
  TempFolder folder;
  mode_t before = umask(0);
  DiskCache cache(optionsFor(folder.path + "/cache"));
  cache.store(keyOf(1), kernelFor(keyOf(1)));
  umask(before);
  struct stat status;
  ASSERT_EQ(stat(cache.path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
  ASSERT_EQ(stat(pathOf(cache, keyOf(1)).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST(DiskCache, TheFileOfAnotherKernelIsAMissAndCounted) {
  TempFolder folder;
  DiskCache cache(optionsFor(folder.path));
  KernelKey key = keyOf(1);
  cache.store(key, kernelFor(keyOf(2)));
  EXPECT_FALSE(cache.load(key));
  EXPECT_EQ(cache.damaged(), 1);
}

TEST(DiskCache, KeysDifferInEverythingThatShapesAKernel) {
  CompileRequest request = testRequest();
  std::string key = KernelKey::get(request).hex;
  EXPECT_EQ(key.size(), 32u);
  EXPECT_EQ(KernelKey::get(request).hex, key);
  CompileRequest rows = testRequest(2), schedule = request, name = request, features = request, gpu = request,
                 otherGpu = request;
  schedule.schedule = "stream";
  std::get<CpuTarget>(name.target).name = "znver9";
  std::get<CpuTarget>(features.target).features ^= CpuTarget::AVXVNNI;
  gpu.target = CudaTarget{8, 0};
  otherGpu.target = CudaTarget{9, 0};
  EXPECT_NE(KernelKey::get(gpu).hex, KernelKey::get(otherGpu).hex);
  EXPECT_NE(KernelKey::get(gpu).text.find("\nnvrtc "), std::string::npos);
  for (const CompileRequest &other : {rows, schedule, name, features, gpu})
    EXPECT_NE(KernelKey::get(other).hex, key);
  std::string text = KernelKey::get(request).text;
  for (const std::string &part :
       {request.spec.str(), str(request.target), std::string(buildId()), std::string("llvm 22.")})
    EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(DiskCache, ReadOnlyReadsAndChangesNothing) {
  TempFolder folder;
  Options options = optionsFor(folder.path + "/cache");
  DiskCache writer(options);
  options.cacheMode = Options::CacheMode::ReadOnly;
  DiskCache reader(options);
  reader.store(keyOf(1), kernelFor(keyOf(1)));
  EXPECT_FALSE(reader.lock(keyOf(1)).isHeld());
  EXPECT_FALSE(std::filesystem::exists(writer.path()));

  writer.store(keyOf(1), kernelFor(keyOf(1)));
  setLastUse(writer, keyOf(1), 1000);
  EXPECT_TRUE(reader.load(keyOf(1)));
  EXPECT_EQ(reader.list()->front().lastUse, 1000);
  EXPECT_FALSE(reader.clear());
  EXPECT_EQ(reader.totals()->files, 1);
}

TEST(DiskCache, OffLeavesTheDiskAlone) {
  TempFolder folder;
  Options options = optionsFor(folder.path + "/cache");
  options.cacheMode = Options::CacheMode::Off;
  DiskCache cache(options);
  cache.store(keyOf(1), kernelFor(keyOf(1)));
  EXPECT_FALSE(cache.load(keyOf(1)));
  EXPECT_FALSE(std::filesystem::exists(folder.path + "/cache"));
}

TEST(DiskCache, LeastRecentlyUsedKernelsGoWhenTheLimitIsPassed) {
  TempFolder folder;
  Options options = optionsFor(folder.path);
  options.cacheSize = 3 * fileBytes() + fileBytes() / 2;
  DiskCache cache(options);
  for (int i : {1, 2, 3})
    cache.store(keyOf(i), kernelFor(keyOf(i)));
  EXPECT_EQ(cache.evictions(), 0);
  setLastUse(cache, keyOf(1), 1000);
  setLastUse(cache, keyOf(2), 2000);
  setLastUse(cache, keyOf(3), 3000);
  // A hit makes the oldest the most recent.
  EXPECT_TRUE(cache.load(keyOf(1)));
  cache.store(keyOf(4), kernelFor(keyOf(4)));
  EXPECT_EQ(cache.evictions(), 1);
  EXPECT_TRUE(cache.load(keyOf(1)));
  EXPECT_FALSE(cache.load(keyOf(2)));
  EXPECT_TRUE(cache.load(keyOf(3)));
  EXPECT_TRUE(cache.load(keyOf(4)));
}

TEST(DiskCache, AKernelLargerThanTheLimitIsNotKept) {
  TempFolder folder;
  Options options = optionsFor(folder.path);
  options.cacheSize = fileBytes() - 1;
  DiskCache cache(options);
  cache.store(keyOf(1), kernelFor(keyOf(1)));
  EXPECT_EQ(cache.totals()->files, 0);
}

TEST(DiskCache, ListShowsKernelsLeastRecentlyUsedFirst) {
  TempFolder folder;
  DiskCache cache(optionsFor(folder.path));
  cache.store(keyOf(1), kernelFor(keyOf(1)));
  cache.store(keyOf(2), kernelFor(keyOf(2)));
  setLastUse(cache, keyOf(1), 2000);
  setLastUse(cache, keyOf(2), 1000);
  writeFile(folder.path + "/notes.txt", {1});
  auto entries = cache.list();
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 2u);
  const CacheEntry &entry = (*entries)[0];
  EXPECT_EQ(entry.key, keyOf(2).hex);
  EXPECT_EQ(entry.name, "a_kernel");
  EXPECT_EQ(entry.spec, "a spec");
  EXPECT_EQ(entry.target, "a cpu");
  EXPECT_EQ(entry.schedule, "a schedule");
  EXPECT_EQ(entry.bytes, fileBytes());
  EXPECT_EQ(entry.lastUse, 1000);
  EXPECT_EQ(entry.damage, "");
  EXPECT_EQ((*entries)[1].key, keyOf(1).hex);
}

TEST(DiskCache, VerifyNamesWhatIsDamaged) {
  TempFolder folder;
  DiskCache cache(optionsFor(folder.path));
  cache.store(keyOf(1), kernelFor(keyOf(1)));
  KernelFile noObject = kernelFor(keyOf(2));
  noObject.artifact.object.assign(100, 0);
  cache.store(keyOf(2), noObject);
  cache.store(keyOf(3), kernelFor(keyOf(4)));
  writeFile(folder.path + "/" + keyOf(5).hex + ".bqk", {1, 2, 3});
  auto verified = cache.verify(), read = cache.list();
  ASSERT_TRUE(verified && read);
  std::map<std::string, std::string> damage, listed;
  for (const CacheEntry &entry : *verified)
    damage[entry.key] = entry.damage;
  for (const CacheEntry &entry : *read)
    listed[entry.key] = entry.damage;
  EXPECT_EQ(damage[keyOf(1).hex], "");
  EXPECT_EQ(damage[keyOf(2).hex], "kernel object of 100 bytes: it is not an ELF file");
  EXPECT_EQ(listed[keyOf(2).hex], "");
  EXPECT_EQ(damage[keyOf(3).hex], "its name does not belong to its key");
  EXPECT_EQ(damage[keyOf(5).hex], "it is shorter than its header");
}

TEST(DiskCache, InfoFindsAKernelByTheBeginningOfItsKey) {
  TempFolder folder;
  DiskCache cache(optionsFor(folder.path));
  cache.store(keyOf(1), kernelFor(keyOf(1)));
  cache.store(keyOf(2), kernelFor(keyOf(2)));
  EXPECT_EQ(cache.info(keyOf(1).hex)->key, keyOf(1).hex);
  EXPECT_EQ(cache.info(keyOf(2).hex.substr(0, 12))->key, keyOf(2).hex);
  EXPECT_EQ(cache.info("zz").error().code, ErrorCode::NotFound);
  EXPECT_EQ(cache.info("").error().code, ErrorCode::NotFound);
}

TEST(DiskCache, PruneAndClearRemoveOldestFirst) {
  TempFolder folder;
  DiskCache cache(optionsFor(folder.path));
  for (int i : {1, 2, 3}) {
    cache.store(keyOf(i), kernelFor(keyOf(i)));
    setLastUse(cache, keyOf(i), i * 1000);
  }
  auto pruned = cache.prune(2 * fileBytes());
  ASSERT_TRUE(pruned);
  EXPECT_EQ(pruned->files, 1);
  EXPECT_EQ(pruned->bytes, fileBytes());
  EXPECT_FALSE(cache.load(keyOf(1)));
  EXPECT_EQ(cache.totals()->files, 2);
  EXPECT_EQ(cache.clear()->files, 2);
  EXPECT_EQ(cache.totals()->files, 0);
}

TEST(DiskCache, AnAbsentFolderIsEmpty) {
  TempFolder folder;
  DiskCache cache(optionsFor(folder.path + "/absent"));
  EXPECT_TRUE(cache.list()->empty());
  EXPECT_EQ(cache.totals()->files, 0);
  EXPECT_EQ(cache.clear()->files, 0);
  EXPECT_FALSE(std::filesystem::exists(folder.path + "/absent"));
}

TEST(DiskCache, NothingButKernelsAndOneLockFileIsLeft) {
  TempFolder folder;
  DiskCache cache(optionsFor(folder.path));
  for (int i = 0; i < 100; ++i)
    EXPECT_TRUE(cache.lock(keyOf(i)).isHeld());
  cache.store(keyOf(1), kernelFor(keyOf(1)));
  int files = 0;
  for ([[maybe_unused]] const auto &file : std::filesystem::directory_iterator(folder.path))
    ++files;
  EXPECT_EQ(files, 2);
}
