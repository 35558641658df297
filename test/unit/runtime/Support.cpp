// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Support.h"

#include "dialect/core/Layout.h"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace bq;
using namespace bq::test;

FakeState bq::test::fakeState;

namespace {

constexpr uid_t nobody = 65534;

Expected<Artifact> compileFake(const CompileRequest &request) {
  ++fakeState.compiles;
  if (!fakeState.countFile.empty()) {
    int file = open(fakeState.countFile.c_str(), O_WRONLY | O_APPEND | O_CREAT, 0600);
    bool counted = write(file, "x", 1) == 1;
    close(file);
    if (!counted)
      return internalError("cannot count");
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(fakeState.milliseconds));
  if (fakeState.fails)
    return unsupported(fakeState.failure);

  const KernelSpec &spec = request.spec;
  Artifact artifact;
  artifact.schedule = "fake";
  artifact.object = fakeState.object;
  switch (spec.op) {
  case KernelSpec::Op::Linear:
    artifact.name = "test_linear";
    artifact.layout = !fakeState.layout.empty()
                          ? fakeState.layout
                          : Layout::get(spec.format, spec.n, spec.k, std::get<CpuTarget>(request.target)).str();
    artifact.tasks = 5;
    artifact.rowMultiple = 4;
    artifact.panelDataBytes = spec.k * 4;
    artifact.panelSums = 1;
    artifact.prepareScratchBytes = 64;
    artifact.scratchBytes = 128;
    break;
  case KernelSpec::Op::Embedding:
    artifact.name = "test_embedding";
    break;
  case KernelSpec::Op::Dequantize:
    artifact.name = "test_dequantize";
    break;
  case KernelSpec::Op::Quantize:
    artifact.name = "test_quantize";
    break;
  }
  return artifact;
}

const CompilerApi fakeApi{"fake", "0", compileFake, nullptr, nullptr};

} // namespace

std::vector<uint8_t> bq::test::readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void bq::test::writeFile(const std::string &path, const std::vector<uint8_t> &bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

const std::vector<uint8_t> &bq::test::testObject() {
  static const std::vector<uint8_t> object = readFile(BQ_TEST_OBJECT);
  return object;
}

FakeCompiler::FakeCompiler() : library(&fakeApi) {
  fakeState.compiles = 0;
  fakeState.milliseconds = 0;
  fakeState.fails = false;
  fakeState.failure = "the test wants it so";
  fakeState.countFile.clear();
  fakeState.layout.clear();
  fakeState.object = testObject();
}

static std::string makeFolder() {
  std::string name = std::filesystem::temp_directory_path() / "bq-runtime-test-XXXXXX";
  if (!mkdtemp(name.data()))
    std::abort();
  return name;
}

TempFolder::TempFolder() : path(makeFolder()) {}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

Options bq::test::optionsFor(const std::string &folder) {
  Options options;
  options.cacheDir = folder;
  return options;
}

CompileRequest bq::test::testRequest(int rows) {
  CompileRequest request;
  request.target = CpuTarget::host();
  request.spec.format = *Format::parse("int8:g2");
  request.spec.n = testRows;
  request.spec.k = testColumns;
  request.spec.rows = rows;
  return request;
}

pid_t bq::test::spawn(const std::function<bool()> &body) {
  pid_t child = fork();
  if (child == 0)
    _exit(body() ? 0 : 1);
  return child;
}

bool bq::test::succeeded(pid_t child) {
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int bq::test::occurrences(const std::string &all, const std::string &text) {
  int count = 0;
  for (size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + text.size()))
    ++count;
  return count;
}

AsOrdinaryUser::AsOrdinaryUser(const std::string &path) : changed(geteuid() == 0) {
  if (changed && (chown(path.c_str(), nobody, nobody) != 0 || seteuid(nobody) != 0))
    std::abort();
}

AsOrdinaryUser::~AsOrdinaryUser() {
  if (changed && seteuid(0) != 0)
    std::abort();
}

void bq::test::threadedFor(int64_t begin, int64_t end, int64_t grain,
                           const std::function<void(int64_t, int64_t)> &body) {
  std::vector<std::thread> threads;
  for (int64_t first = begin; first < end; first += grain)
    threads.emplace_back(body, first, std::min(end, first + grain));
  for (std::thread &thread : threads)
    thread.join();
}
