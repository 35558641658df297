// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// GPUs for tests of LibTorch's side: a fake driver that runs kernels on the emulator, and LibTorch's CPU tensors as
/// the memory of its devices.
#ifndef BQ_TEST_UNIT_QUANTIZERS_GPUFIXTURE_H
#define BQ_TEST_UNIT_QUANTIZERS_GPUFIXTURE_H

#include "quantizers/Linear.h"
#include "quantizers/cuda/Place.h"
#include "test/unit/cuda/FakeDriver.h"

#include <gtest/gtest.h>

namespace bq::test {

/// While a test of this runs, every tensor that is made lies in memory of the fake driver.
class GpuTest : public ::testing::Test {
protected:
  GpuTest();
  ~GpuTest() override;

  gpu::Place place(cuda::Stream stream = nullptr) { return gpu::placeOn("test", 0, at::kCPU, stream); }

  FakeDriver &fake;

private:
  c10::Allocator *before;
};

/// A random weight in canonical form, with scales of type `scaleType`; zero points of a lut are its table.
struct TestWeight {
  TestWeight(const std::string &format, int64_t n, int64_t k, at::ScalarType scaleType = at::kHalf);

  /// As the linear operator takes it, prepacked for `place` when first asked for.
  LinearWeight onGpu(const gpu::Place &place);
  /// Its value as the CPU has it, in the type of the scales or in `type`.
  at::Tensor decoded(std::optional<at::ScalarType> type = std::nullopt) const;

  Format format;
  WeightTensors tensors;
  int64_t n, k;
  std::shared_ptr<const PrepackedWeight> prepacked;
};

} // namespace bq::test

#endif // BQ_TEST_UNIT_QUANTIZERS_GPUFIXTURE_H
