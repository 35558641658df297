// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the tests of the CUDA runtime share: a fake driver that is as it should be, memory of its devices, a compiler
/// that hands out what a test wants.
#ifndef BQ_TEST_UNIT_CUDA_SUPPORT_H
#define BQ_TEST_UNIT_CUDA_SUPPORT_H

#include "FakeDriver.h"

#include "runtime/KernelCache.h"
#include "runtime/cuda/CudaKernels.h"

#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bq::test {

/// Paths of the fake drivers, the second as before CUDA 12.
extern const std::string fakePath, oldFakePath;

/// The state of the fake at `path`.
FakeDriver &fakeAt(const std::string &path);

/// The message of what failed; empty where nothing did.
template <typename T>
std::string message(const Expected<T> &result) {
  return result ? "" : result.error().message;
}
inline std::string message(const Status &status) { return status ? "" : status.error().message; }

/// Memory of the fake's devices that holds elements of T.
template <typename T>
class DeviceArray {
public:
  explicit DeviceArray(size_t count, T value = T()) : DeviceArray(std::vector<T>(count, value)) {}
  explicit DeviceArray(const std::vector<T> &values) : count(values.size()), memory(allocate(count * sizeof(T))) {
    if (count)
      std::memcpy(memory, values.data(), count * sizeof(T));
  }
  DeviceArray(const void *data, size_t bytes) : count(bytes), memory(allocate(bytes)) {
    if (bytes)
      std::memcpy(memory, data, bytes);
  }
  DeviceArray(const DeviceArray &) = delete;
  DeviceArray &operator=(const DeviceArray &) = delete;
  ~DeviceArray() { free(memory); }

  /// Null where it is empty.
  T *data() { return count ? static_cast<T *>(memory) : nullptr; }
  std::vector<T> values() const { return {static_cast<T *>(memory), static_cast<T *>(memory) + count}; }

private:
  static void *allocate(size_t bytes);
  static void free(void *memory);

  size_t count;
  void *memory;
};

void *allocateOnFake(size_t bytes);
void freeOnFake(void *memory);
template <typename T>
void *DeviceArray<T>::allocate(size_t bytes) {
  return allocateOnFake(bytes);
}
template <typename T>
void DeviceArray<T>::free(void *memory) {
  freeOnFake(memory);
}

/// What the tests' compiler hands out and has done; reset for each test.
struct CompilerState {
  std::atomic<int> compiles{0};
  Artifact artifact; ///< Its empty names are filled in from the spec.
  std::optional<Error> error;
  bool waitsForTwo = false; ///< A compile ends when two are running, or after some seconds.
  std::atomic<int> running{0}, mostRunning{0};
};
extern CompilerState compilerState;
/// A CompilerLibrary that compiles nothing.
extern const CompilerApi testCompiler;

/// A driver, a folder for kernels, and what is made of them, new for each test.
class CudaTest : public ::testing::Test {
protected:
  CudaTest();
  ~CudaTest() override;

  /// Opens the driver at `path` and makes kernels for it by the tests' compiler, or by the real one.
  void open(const std::string &path = fakePath, bool realCompiler = false);
  const CudaDevice &device(int ordinal = 0) { return **driver->device(ordinal); }

  const std::string folder;
  Options options;
  FakeDriver *fake = nullptr;
  std::unique_ptr<CompilerLibrary> compiler;
  std::unique_ptr<ArtifactCache> artifacts;
  std::unique_ptr<const Driver> driver;
  std::unique_ptr<CudaKernels> kernels;
};

/// A spec of a linear layer, and of the rows of a weight.
KernelSpec linearSpec(int rows = 1);
KernelSpec dequantizeSpec(int64_t k = 64);

} // namespace bq::test

#endif // BQ_TEST_UNIT_CUDA_SUPPORT_H
