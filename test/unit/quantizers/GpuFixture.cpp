// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GpuFixture.h"

#include "quantizers/Quantize.h"
#include "quantizers/cuda/GpuWeight.h"

#include <c10/core/CPUAllocator.h>

#include <cstdlib>
#include <dlfcn.h>

using namespace bq;
using namespace bq::test;

namespace {

/// Read when the first kernel is asked for.
const bool isSet = setenv("BQ_CUDA_DRIVER", BQ_TEST_FAKE_DRIVER, 1) == 0 && setenv("BQ_CUDA_ARCH", "emu", 1) == 0;

template <typename Function>
Function fakeFunction(const char *name) {
  void *library = dlopen(BQ_TEST_FAKE_DRIVER, RTLD_NOW | RTLD_LOCAL);
  void *function = library ? dlsym(library, name) : nullptr;
  if (!isSet || !function)
    std::abort();
  return reinterpret_cast<Function>(function);
}

/// The memory of the fake driver's devices.
struct FakeAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    static const auto allocate = fakeFunction<int (*)(unsigned long long *, size_t)>("cuMemAlloc_v2");
    unsigned long long memory = 0;
    allocate(&memory, bytes);
    auto *pointer = reinterpret_cast<void *>(memory);
    return {pointer, pointer, raw_deleter(), at::kCPU};
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return [](void *memory) {
      static const auto free = fakeFunction<int (*)(unsigned long long)>("cuMemFree_v2");
      free(reinterpret_cast<unsigned long long>(memory));
    };
  }
  void copy_data(void *target, const void *source, size_t bytes) const override {
    default_copy_data(target, source, bytes);
  }
};

FakeAllocator allocator;

constexpr uint8_t replacing = 100;

} // namespace

GpuTest::GpuTest() : fake(*fakeFunction<FakeDriverFn>(fakeDriverSymbol)()), before(c10::GetCPUAllocator()) {
  fake.reset();
  fake.behaviour.runsKernels = true;
  c10::SetCPUAllocator(&allocator, replacing);
  at::manual_seed(1);
}

GpuTest::~GpuTest() {
  c10::SetCPUAllocator(before, replacing);
  fake.reset();
}

TestWeight::TestWeight(const std::string &text, int64_t n, int64_t k, at::ScalarType scaleType)
    : format(*Format::parse(text)), n(n), k(k) {
  Format quantized = format;
  if (format.kind == Format::Kind::Lut)
    quantized.kind = Format::Kind::UInt;
  std::tie(tensors.codes, tensors.scales, tensors.zeros) = quantize(at::randn({n, k}), quantized, scaleType);
  if (format.kind == Format::Kind::Lut)
    tensors.zeros = at::randn({int64_t{1} << format.bits});
}

LinearWeight TestWeight::onGpu(const gpu::Place &place) {
  return {[this, place] {
            if (!prepacked)
              prepacked = gpu::prepack("test", place, tensors, format, k);
            return prepacked;
          },
          [this] { return tensors; }, format, n, k};
}

at::Tensor TestWeight::decoded(std::optional<at::ScalarType> type) const {
  return dequantizeAs(tensors, format, {n, k}, type,
                      [](const WeightTensors &weight, const Format &plain, at::IntArrayRef shape) {
                        return dequantize(weight.codes, weight.scales, weight.zeros, plain, shape);
                      });
}
