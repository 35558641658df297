// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The disk cache on damaged files, folders that cannot be trusted, and disks that take nothing: kernels are compiled
// all the same, and one line says why.
#include "Support.h"

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace bq;
using namespace bq::test;

namespace {

/// Gets the kernel of testRequest() from a new cache; what that wrote to stderr.
struct Search {
  explicit Search(const Options &options) : cache(options, compiler.library) {
    testing::internal::CaptureStderr();
    auto kernel = cache.get(testRequest());
    output = testing::internal::GetCapturedStderr();
    works = kernel.ok();
  }
  FakeCompiler compiler;
  KernelCache cache;
  std::string output;
  bool works;
};

std::string kernelPath(const std::string &folder) { return folder + "/" + KernelKey::get(testRequest()).hex + ".bqk"; }

/// The kernel was compiled, with exactly one line on stderr, which holds `text`.
void expectOneWarning(const Search &run, const std::string &text) {
  EXPECT_TRUE(run.works);
  EXPECT_EQ(run.cache.stats().compiles, 1);
  EXPECT_EQ(occurrences(run.output, "\n"), 1) << run.output;
  EXPECT_EQ(run.output.rfind("bq: warning: ", 0), 0u) << run.output;
  EXPECT_NE(run.output.find(text), std::string::npos) << run.output;
}

/// The file is replaced by a sound one.
void expectReplaced(const std::string &folder) {
  Search next(optionsFor(folder));
  EXPECT_TRUE(next.works);
  EXPECT_EQ(next.output, "");
  EXPECT_EQ(next.cache.stats().diskHits, 1);
  EXPECT_EQ(next.cache.stats().compiles, 0);
}

} // namespace

TEST(DiskCacheFault, EveryChangedByteIsNoticed) {
  TempFolder folder;
  Search first(optionsFor(folder.path));
  const std::vector<uint8_t> sound = readFile(kernelPath(folder.path));
  ASSERT_GT(sound.size(), testObject().size());
  DiskCache cache(optionsFor(folder.path));
  ASSERT_TRUE(cache.load(KernelKey::get(testRequest())));
  testing::internal::CaptureStderr();
  int64_t noticed = 0;
  // In place: a file that is written anew goes to the disk each time.
  int file = open(kernelPath(folder.path).c_str(), O_WRONLY);
  for (size_t i = 0; i < sound.size(); ++i) {
    uint8_t changed = sound[i] ^ 1 << (i % 8);
    bool written = pwrite(file, &changed, 1, static_cast<off_t>(i)) == 1;
    noticed += written && !cache.load(KernelKey::get(testRequest()));
    ASSERT_EQ(pwrite(file, &sound[i], 1, static_cast<off_t>(i)), 1);
  }
  close(file);
  EXPECT_TRUE(cache.load(KernelKey::get(testRequest())));
  std::string output = testing::internal::GetCapturedStderr();
  EXPECT_EQ(noticed, static_cast<int64_t>(sound.size()));
  EXPECT_EQ(cache.damaged(), noticed);
  EXPECT_EQ(occurrences(output, "bq: warning: "), noticed);
}

TEST(DiskCacheFault, EveryTruncationIsNoticed) {
  TempFolder folder;
  Search first(optionsFor(folder.path));
  const std::vector<uint8_t> sound = readFile(kernelPath(folder.path));
  for (size_t size = 0; size < sound.size(); ++size) {
    std::vector<uint8_t> cut(sound.begin(), sound.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(KernelFile::decode(cut.data(), cut.size())) << size;
  }
  std::vector<uint8_t> longer = sound;
  longer.push_back(0);
  EXPECT_FALSE(KernelFile::decode(longer.data(), longer.size()));
}

TEST(DiskCacheFault, DamagedFilesAreReplacedAfterOneWarning) {
  TempFolder folder;
  Search first(optionsFor(folder.path));
  std::vector<uint8_t> changed = readFile(kernelPath(folder.path));
  ASSERT_FALSE(changed.empty());
  changed[changed.size() / 2] ^= 4;
  writeFile(kernelPath(folder.path), changed);
  Search second(optionsFor(folder.path));
  expectOneWarning(second, "its checksum does not match");
  EXPECT_EQ(second.cache.stats().damaged, 1);
  expectReplaced(folder.path);

  changed.resize(changed.size() / 2);
  writeFile(kernelPath(folder.path), changed);
  expectOneWarning(Search(optionsFor(folder.path)), "bytes long, which is not what its header says");
  expectReplaced(folder.path);

  writeFile(kernelPath(folder.path), testObject());
  expectOneWarning(Search(optionsFor(folder.path)), "does not begin with BQKERNEL");
  expectReplaced(folder.path);

  writeFile(kernelPath(folder.path), {});
  expectOneWarning(Search(optionsFor(folder.path)), "shorter than its header");
  expectReplaced(folder.path);
}

TEST(DiskCacheFault, FileThatOthersCanWriteIsReplaced) {
  TempFolder folder;
  Search first(optionsFor(folder.path));
  ASSERT_EQ(chmod(kernelPath(folder.path).c_str(), 0666), 0);
  expectOneWarning(Search(optionsFor(folder.path)), "has mode 0666");
  expectReplaced(folder.path);
}

TEST(DiskCacheFault, LinkInPlaceOfAFileIsReplacedAndNotFollowed) {
  TempFolder folder, elsewhere;
  Search first(optionsFor(folder.path));
  std::filesystem::rename(kernelPath(folder.path), elsewhere.path + "/kernel");
  std::filesystem::create_symlink(elsewhere.path + "/kernel", kernelPath(folder.path));
  expectOneWarning(Search(optionsFor(folder.path)), "cannot open");
  expectReplaced(folder.path);
}

TEST(DiskCacheFault, FifoInPlaceOfAFileIsReplacedWithoutWaiting) {
  TempFolder folder;
  ASSERT_EQ(mkfifo(kernelPath(folder.path).c_str(), 0600), 0);
  expectOneWarning(Search(optionsFor(folder.path)), "not a regular file");
  expectReplaced(folder.path);
}

TEST(DiskCacheFault, FolderThatOthersCanWriteIsRefused) {
  TempFolder folder;
  Search first(optionsFor(folder.path));
  for (mode_t mode : {0720, 0702, 0777}) {
    ASSERT_EQ(chmod(folder.path.c_str(), mode), 0);
    Search second(optionsFor(folder.path));
    expectOneWarning(second, "is refused: it has mode 0");
    EXPECT_FALSE(second.cache.disk().list());
    EXPECT_FALSE(second.cache.disk().clear());
  }
  ASSERT_EQ(chmod(folder.path.c_str(), 0755), 0);
  expectReplaced(folder.path);
}

TEST(DiskCacheFault, FolderOfAnotherUserIsRefused) {
  TempFolder folder;
  // For everyone but root the root folder is somebody else's.
  std::string foreign = geteuid() == 0 ? folder.path : "/";
  if (geteuid() == 0) {
    ASSERT_EQ(chown(foreign.c_str(), 65534, 65534), 0);
  }
  expectOneWarning(Search(optionsFor(foreign)), "is refused: it belongs to user");
}

TEST(DiskCacheFault, ReadOnlyFolderServesWhatItHas) {
  TempFolder folder;
  ASSERT_EQ(chmod(folder.path.c_str(), 0755), 0);
  std::string path = folder.path + "/cache";
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  AsOrdinaryUser user(path);
  {
    Search first(optionsFor(path));
    EXPECT_EQ(first.output, "");
  }
  ASSERT_EQ(chmod(path.c_str(), 0500), 0);
  Search second(optionsFor(path));
  EXPECT_EQ(second.cache.stats().diskHits, 1);
  EXPECT_EQ(second.output, "");
  // A kernel that is not there: one warning, also for the next one.
  testing::internal::CaptureStderr();
  EXPECT_TRUE(second.cache.get(testRequest(2)));
  EXPECT_TRUE(second.cache.get(testRequest(3)));
  std::string output = testing::internal::GetCapturedStderr();
  EXPECT_EQ(occurrences(output, "\n"), 1) << output;
  EXPECT_NE(output.find("Permission denied"), std::string::npos) << output;
  ASSERT_EQ(chmod(path.c_str(), 0700), 0);
}

TEST(DiskCacheFault, FolderThatCannotBeMadeMeansOneWarning) {
  TempFolder folder;
  writeFile(folder.path + "/file", {1});
  Search run(optionsFor(folder.path + "/file/cache"));
  expectOneWarning(run, "Not a directory");
}

TEST(DiskCacheFault, FullDiskMeansOneWarningAndNoHalfFile) {
  TempFolder folder;
  // A process may write files of at most 1000 bytes: to it the disk is full in the middle of a kernel.
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small{1000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  Search run(optionsFor(folder.path));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  expectOneWarning(run, "File too large");
  for (const auto &file : std::filesystem::directory_iterator(folder.path))
    EXPECT_EQ(file.path().filename(), "lock");
}
