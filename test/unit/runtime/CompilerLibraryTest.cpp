// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/CompilerLibrary.h"
#include "Support.h"

#include <gtest/gtest.h>

using namespace bq;
using namespace bq::test;

namespace {

void expectRefused(const std::string &path, const std::string &text) {
  CompilerLibrary library(path);
  Expected<const CompilerApi *> api = library.get();
  ASSERT_FALSE(api);
  EXPECT_EQ(api.error().code, ErrorCode::Unsupported);
  EXPECT_NE(api.error().message.find(path), std::string::npos) << api.error().message;
  EXPECT_NE(api.error().message.find(text), std::string::npos) << api.error().message;
  EXPECT_FALSE(library.isLoaded());
}

} // namespace

TEST(CompilerLibrary, AbsentLibraryIsNamedWithTheReason) {
  expectRefused("/nowhere/libbq_compiler.so", "No such file");
}

TEST(CompilerLibrary, FileThatIsNoLibraryIsRefused) {
  TempFolder folder;
  writeFile(folder.path + "/libbq_compiler.so", {1, 2, 3});
  expectRefused(folder.path + "/libbq_compiler.so", "file too short");
}

TEST(CompilerLibrary, LibraryWithoutTheEntryPointIsRefused) {
  expectRefused(BQ_TEST_COMPILER_EMPTY, "has no bqCompilerApi");
}

TEST(CompilerLibrary, LibraryFromOtherSourcesIsRefused) {
  expectRefused(BQ_TEST_COMPILER_OTHER, std::string("is of build another-build, this is build ") + buildId());
}

TEST(CompilerLibrary, SearchedBesideTheProgramThenInLib) {
  CompilerLibrary library("");
  ASSERT_EQ(library.paths().size(), 2u);
  std::string folder = library.paths()[0].substr(0, library.paths()[0].rfind('/'));
  EXPECT_EQ(folder[0], '/');
  EXPECT_EQ(library.paths()[0], folder + "/libbq_compiler.so");
  EXPECT_EQ(library.paths()[1], folder + "/../lib/libbq_compiler.so");
}

TEST(CompilerLibrary, BuildIdHoldsVersionAndHash) {
  std::string id = buildId();
  size_t dash = id.find('-');
  ASSERT_NE(dash, std::string::npos) << id;
  EXPECT_EQ(id.size() - dash - 1, 16u);
  EXPECT_EQ(id.find_first_not_of("0123456789abcdef", dash + 1), std::string::npos);
}
