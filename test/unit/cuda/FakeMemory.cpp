// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The functions of libcuda.so.1 that programs without LibTorch use besides: copies.
#include "FakeDriver.h"

#include "runtime/cuda/DriverApi.h"

#include <cstring>

using namespace bq::cuda;
using namespace bq::test;

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr Result invalidValue = 1;

/// Whether all of these bytes are of one allocation.
bool isDeviceMemory(unsigned long long address, size_t bytes) {
  auto *first = reinterpret_cast<const char *>(address);
  std::lock_guard<std::mutex> guard(fakeDriver().mutex);
  for (auto [base, size] : fakeDriver().allocations)
    if (first >= base && first + bytes <= base + size)
      return true;
  return false;
}

} // namespace

EXPORT Result cuMemcpyHtoD_v2(unsigned long long device, const void *host, size_t bytes) {
  if (!isDeviceMemory(device, bytes))
    return invalidValue;
  std::memcpy(reinterpret_cast<void *>(device), host, bytes);
  return success;
}

EXPORT Result cuMemcpyDtoH_v2(void *host, unsigned long long device, size_t bytes) {
  if (!isDeviceMemory(device, bytes))
    return invalidValue;
  std::memcpy(host, reinterpret_cast<const void *>(device), bytes);
  return success;
}

EXPORT Result cuCtxSynchronize() { return success; }
