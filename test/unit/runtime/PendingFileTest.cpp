// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/PendingFile.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

using namespace bq;
namespace fs = std::filesystem;

namespace {

class PendingFileTest : public testing::Test {
protected:
  PendingFileTest() {
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  ~PendingFileTest() override { fs::remove_all(folder); }

  static void put(const std::string &path, const std::string &text) { std::ofstream(path) << text; }
  static std::string textOf(const std::string &path) {
    std::ifstream stream(path);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  int64_t entries() const { return std::distance(fs::directory_iterator(folder), {}); }

  const std::string folder = testing::TempDir() + "pending-file-test", path = folder + "/result";
};

TEST_F(PendingFileTest, HasItsNameOnceItIsWhole) {
  Expected<PendingFile> file = PendingFile::create(path);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(file->write("one ", 4));
  EXPECT_FALSE(fs::exists(path));
  ASSERT_TRUE(file->write("two", 3));
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(textOf(path), "one two");
  EXPECT_EQ(entries(), 1);
}

TEST_F(PendingFileTest, LeavesNothingWithoutCommit) {
  put(path, "before");
  {
    Expected<PendingFile> file = PendingFile::create(path);
    ASSERT_TRUE(file && file->write("half", 4));
    EXPECT_EQ(entries(), 2);
    const PendingFile moved = std::move(*file);
  }
  EXPECT_EQ(textOf(path), "before");
  EXPECT_EQ(entries(), 1);
}

TEST_F(PendingFileTest, KeepsTheModeOfWhatItReplaces) {
  put(path, "before");
  const fs::perms mode = fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read;
  fs::permissions(path, mode);
  Expected<PendingFile> file = PendingFile::create(path);
  ASSERT_TRUE(file && file->write("after", 5) && file->commit());
  EXPECT_EQ(textOf(path), "after");
  EXPECT_EQ(fs::status(path).permissions(), mode);
}

TEST_F(PendingFileTest, ErrorsBeginWithThePath) {
  const std::string lost = folder + "/no-such-folder/result";
  Expected<PendingFile> file = PendingFile::create(lost);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message, lost + ": cannot write: No such file or directory");
  EXPECT_EQ(file.error().code, ErrorCode::Io);
  fs::create_directory(path);
  Expected<PendingFile> taken = PendingFile::create(path);
  ASSERT_TRUE(taken);
  const Status status = taken->commit();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message,
            path + ": cannot rename the temporary file to it: Is a directory; it is left as it was");
}

} // namespace
