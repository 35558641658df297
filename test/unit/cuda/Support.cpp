// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Support.h"

#include "dialect/core/FragmentLayout.h"

#include <chrono>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <thread>

using namespace bq;
using namespace bq::test;

const std::string bq::test::fakePath = BQ_TEST_FAKE_DRIVER, bq::test::oldFakePath = BQ_TEST_FAKE_DRIVER_OLD;
CompilerState bq::test::compilerState;

namespace {

/// Whose memory DeviceArray takes: the one that was opened last.
std::string memoryPath = fakePath;

template <typename Fn>
Fn fakeFunction(const std::string &path, const char *name) {
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void *function = library ? dlsym(library, name) : nullptr;
  if (!function)
    std::abort();
  return reinterpret_cast<Fn>(function);
}

void waitForTwo() {
  const int running = ++compilerState.running;
  if (running > compilerState.mostRunning)
    compilerState.mostRunning = running;
  for (int waited = 0; compilerState.mostRunning < 2 && waited < 5000; ++waited)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  --compilerState.running;
}

Expected<Artifact> compileFake(const CompileRequest &request) {
  ++compilerState.compiles;
  if (compilerState.waitsForTwo)
    waitForTwo();
  if (compilerState.error)
    return *compilerState.error;
  const KernelSpec &spec = request.spec;
  Artifact artifact = compilerState.artifact;
  artifact.name = spec.name();
  artifact.schedule = "fake";
  if (spec.op == KernelSpec::Op::Linear)
    artifact.layout = FragmentLayout::get(spec.format, spec.n, spec.k).str();
  for (size_t i = 0; i < artifact.gpuKernels.size(); ++i)
    artifact.gpuKernels[i].entry = spec.name() + (i + 1 < artifact.gpuKernels.size() ? "_prepare" : "");
  const std::string text = "code of " + artifact.name;
  if (artifact.object.empty())
    artifact.object.assign(text.begin(), text.end());
  return artifact;
}

std::string makeFolder() {
  std::string name = std::filesystem::temp_directory_path() / "bq-cuda-test-XXXXXX";
  if (!mkdtemp(name.data()))
    std::abort();
  return name;
}

} // namespace

const CompilerApi bq::test::testCompiler{"fake", "0", compileFake, nullptr, nullptr};

FakeDriver &bq::test::fakeAt(const std::string &path) { return *fakeFunction<FakeDriverFn>(path, fakeDriverSymbol)(); }

void *bq::test::allocateOnFake(size_t bytes) {
  unsigned long long pointer = 0;
  fakeFunction<int (*)(unsigned long long *, size_t)>(memoryPath, "cuMemAlloc_v2")(&pointer, bytes);
  return reinterpret_cast<void *>(pointer);
}

void bq::test::freeOnFake(void *memory) {
  fakeFunction<int (*)(unsigned long long)>(memoryPath, "cuMemFree_v2")(reinterpret_cast<unsigned long long>(memory));
}

CudaTest::CudaTest() : folder(makeFolder()) {
  compilerState.compiles = 0;
  compilerState.error.reset();
  compilerState.waitsForTwo = false;
  compilerState.mostRunning = 0;
  compilerState.artifact = {};
  compilerState.artifact.gpuKernels.resize(1);
  compilerState.artifact.gpuKernels[0].threads = 128;
  options.cacheDir = folder;
  fakeAt(fakePath).reset();
  fakeAt(oldFakePath).reset();
  fakeAt(oldFakePath).behaviour.version = 11080;
}

CudaTest::~CudaTest() {
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
}

void CudaTest::open(const std::string &path, bool realCompiler) {
  // What a second opening replaces lives on what is beneath it.
  kernels.reset();
  artifacts.reset();
  driver.reset();
  memoryPath = path;
  fake = &fakeAt(path);
  Expected<std::unique_ptr<const Driver>> opened = Driver::open(path);
  ASSERT_TRUE(opened) << message(opened);
  driver = std::move(*opened);
  compiler = realCompiler ? std::make_unique<CompilerLibrary>(std::string())
                          : std::make_unique<CompilerLibrary>(&testCompiler);
  artifacts = std::make_unique<ArtifactCache>(options, *compiler);
  kernels = std::make_unique<CudaKernels>(*driver, *artifacts);
}

KernelSpec bq::test::linearSpec(int rows) {
  KernelSpec spec;
  spec.format = *Format::parse("int4:g32");
  spec.n = 48;
  spec.k = 64;
  spec.dataType = ElementType::BF16;
  spec.compute = Compute::BF16;
  spec.rows = rows;
  return spec;
}

KernelSpec bq::test::dequantizeSpec(int64_t k) {
  KernelSpec spec;
  spec.op = KernelSpec::Op::Dequantize;
  spec.format = *Format::parse("int4:g32");
  spec.k = k;
  return spec;
}
