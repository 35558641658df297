// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the runtime's tests share: a compiler that only hands out one object, a folder of one's own, child processes.
#ifndef BQ_TEST_UNIT_RUNTIME_SUPPORT_H
#define BQ_TEST_UNIT_RUNTIME_SUPPORT_H

#include "codegen/Compiler.h"
#include "runtime/Backend.h"
#include "runtime/KernelCache.h"

#include <atomic>
#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace bq::test {

/// The weight that TestKernels.cpp is made for.
constexpr int64_t testRows = 37, testColumns = 6;

std::vector<uint8_t> readFile(const std::string &path);
void writeFile(const std::string &path, const std::vector<uint8_t> &bytes);

/// The object of TestKernels.cpp.
const std::vector<uint8_t> &testObject();

/// How the tests' compiler behaves. One for the process, since a CompilerApi has no state; reset by each FakeCompiler.
struct FakeState {
  std::atomic<int> compiles{0};
  int milliseconds = 0; ///< What a compile takes at least.
  bool fails = false;   ///< Every compile is the error `failure`.
  std::string failure = "the test wants it so";
  std::string countFile; ///< A byte is appended for each compile, whichever process does it.
  std::string layout;    ///< Artifact::layout; empty = the one that belongs to the spec.
  std::vector<uint8_t> object;
};
extern FakeState fakeState;

/// A CompilerLibrary that compiles nothing: the kernels of TestKernels.cpp under the name of their op.
class FakeCompiler {
public:
  FakeCompiler();
  CompilerLibrary library;
};

/// A folder that only this test uses, removed with all that is in it.
class TempFolder {
public:
  TempFolder();
  ~TempFolder();
  const std::string path;
};

/// Options with a cache in `folder`.
Options optionsFor(const std::string &folder);

/// A request for the linear layer of TestKernels.cpp; requests with other `rows` are other kernels.
CompileRequest testRequest(int rows = 1);

/// Runs `body` in a forked child, which exits with 0 where it returns true.
pid_t spawn(const std::function<bool()> &body);
/// Whether the child exited with 0.
bool succeeded(pid_t child);

/// How often `text` occurs in `all`.
int occurrences(const std::string &all, const std::string &text);

/// Runs with the user id of nobody where the test runs as root, for whom no folder is read-only.
class AsOrdinaryUser {
public:
  /// Also gives `path` to that user.
  explicit AsOrdinaryUser(const std::string &path);
  ~AsOrdinaryUser();

private:
  bool changed;
};

/// Two threads that take turns in any order, as a caller's scheduler may have them.
void threadedFor(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)> &body);

} // namespace bq::test

#endif // BQ_TEST_UNIT_RUNTIME_SUPPORT_H
