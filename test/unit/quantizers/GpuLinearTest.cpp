// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The linear layer on a GPU as LibTorch sees it: kernels, LibTorch's product, what replaces a kernel, capture.
#include "quantizers/cuda/GpuLinear.h"
#include "GpuFixture.h"
#include "quantizers/cuda/GpuWeight.h"

#include <gmock/gmock.h>

using namespace bq;
using namespace bq::test;
using ::testing::HasSubstr;

namespace {

using GpuLinearTest = GpuTest;

struct Case {
  std::string format;
  int64_t m;
  Compute compute;
  at::ScalarType type = at::kFloat;
  Activation activation = Activation::None;
  bool hasBias = false;
  bool hasStride = false;
  bool hasGroupIndex = false;
};

/// y by the GPU, and how far it may be from the same in float: by what sums are rounded to, relative to max|x| sum|W|,
/// and by what y is. An activation's slope is at most 1.13.
void expectAgrees(const gpu::Place &place, const Case &test, int64_t n = 40, int64_t k = 96) {
  TestWeight weight(test.format, n, k);
  if (test.hasGroupIndex)
    weight.tensors.groupIndex = at::arange(k, at::kInt).remainder(weight.format.groupCount(k));
  at::Tensor x = at::randn({test.m, k + (test.hasStride ? 16 : 0)}).to(test.type).slice(1, 0, k);
  LinearRows rows{x, test.hasBias ? at::randn({n}) : at::Tensor(), at::full({test.m, n}, NAN, test.type)};
  gpu::linear("test", place, rows, weight.onGpu(place), {test.compute, test.activation});

  const at::Tensor decoded = weight.decoded(at::kFloat), x32 = x.to(at::kFloat);
  const at::Tensor expected =
      activate(at::linear(x32, decoded, rows.bias.defined() ? std::optional<at::Tensor>(rows.bias) : std::nullopt),
               test.activation);
  const at::Tensor magnitude = x32.abs().amax(1, true) * decoded.abs().sum(1);
  // bf16: x, table values and in LibTorch's product weights are rounded. i8: x and table values.
  const double ofSum = test.compute == Compute::F32 ? 1e-6 : test.compute == Compute::BF16 ? 0x1p-7 : 0x1p-6;
  const double ofResult = test.type == at::kFloat ? 0 : test.type == at::kHalf ? 0x1p-11 : 0x1p-8;
  const at::Tensor bound = 1.13 * ofSum * magnitude + ofResult * (expected.abs() + 1e-3) + 1e-5;
  const at::Tensor distance = (rows.y.to(at::kFloat) - expected).abs();
  EXPECT_TRUE(distance.le(bound).all().item<bool>())
      << test.format << " m " << test.m << ": off by " << distance.max().item<float>();
}

std::string refusal(const std::function<void()> &call) {
  try {
    call();
  } catch (const c10::Error &error) {
    return error.what_without_backtrace();
  }
  return "accepted";
}

void multiply(const gpu::Place &place, TestWeight &weight, int64_t m, Compute compute = Compute::BF16) {
  LinearRows rows{at::randn({m, weight.k}), {}, at::empty({m, weight.n})};
  gpu::linear("bq::linear", place, rows, weight.onGpu(place), {compute, Activation::None});
}

} // namespace

TEST_F(GpuLinearTest, KernelsAgreeWithTheDecodedWeight) {
  expectAgrees(place(), {"int4:g16", 1, Compute::BF16, at::kFloat, Activation::Gelu, true});
  expectAgrees(place(), {"uint3", 3, Compute::F32, at::kHalf, Activation::None, false, true});
  expectAgrees(place(), {"nf4:g32", 20, Compute::I8, at::kFloat, Activation::Relu, true, true});
  expectAgrees(place(), {"sign", 2, Compute::BF16, at::kBFloat16, Activation::Silu});
  expectAgrees(place(), {"uint4:g32", 17, Compute::BF16, at::kHalf, Activation::None, true, false, true});
  EXPECT_GE(fake.launches, 5);
  EXPECT_EQ(fake.fault, "");
}

TEST_F(GpuLinearTest, ManyRowsAreLibTorchsProduct) {
  const int64_t m = gpu::maxKernelRows + 5;
  expectAgrees(place(), {"int4:g16", m, Compute::BF16, at::kHalf, Activation::Gelu, true, true});
  EXPECT_EQ(fake.launches, 1) << "dequantize, and no kernel of the sum";
  expectAgrees(place(), {"int4:g16", m, Compute::F32, at::kFloat, Activation::None, true});
  expectAgrees(place(), {"uint4:g32", m, Compute::BF16, at::kFloat, Activation::None, false, false, true});
  const int before = fake.launches;
  expectAgrees(place(), {"int4:g32", m, Compute::I8}, 16, 32);
  EXPECT_GE(fake.launches - before, 2) << "sums in i8 are always the kernel's";
}

TEST_F(GpuLinearTest, AKernelThatCannotBeLoadedIsReplacedWithOneWarning) {
  // The kernel that prepacks such weights is there.
  TestWeight("int5:g24", 24, 72).onGpu(place()).prepacked();
  EXPECT_EQ(fake.launches, 1);
  fake.behaviour.loadResult = 200;
  testing::internal::CaptureStderr();
  for (Compute compute : {Compute::F32, Compute::BF16, Compute::I8})
    for (int repetition = 0; repetition < 2; ++repetition)
      expectAgrees(place(), {"int5:g24", 4, compute, at::kFloat, Activation::Relu, true}, 24, 72);
  const std::string output = testing::internal::GetCapturedStderr();
  // Three kernels of sums and the one that dequantizes.
  EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 4) << output;
  EXPECT_THAT(output, HasSubstr("is replaced by dequantizing the weight and multiplying"));
  EXPECT_EQ(fake.launches, 1 + 6) << "each call prepacks a weight";
}

TEST_F(GpuLinearTest, AWeightThatCannotBePrepackedIsLibTorchs) {
  fake.behaviour.loadResult = 200;
  testing::internal::CaptureStderr();
  for (Compute compute : {Compute::F32, Compute::BF16, Compute::I8})
    expectAgrees(place(), {"int6:g24", 4, compute, at::kFloat, Activation::Relu, true}, 24, 72);
  const std::string output = testing::internal::GetCapturedStderr();
  // The kernel that prepacks and the one that dequantizes.
  EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 2) << output;
  EXPECT_THAT(output, HasSubstr("kernel bq_int6g24sf16_prepack__k72 is replaced by dequantizing the weight"));
  EXPECT_EQ(fake.launches, 0);
  TestWeight weight("int6:g24", 24, 72);
  const auto packed = weight.onGpu(place()).prepacked();
  const int loads = fake.loads;
  gpu::makeKernels(place(), *packed, {{Compute::BF16}}, {1, 2});
  EXPECT_EQ(fake.loads, loads) << "no kernel for what is not there";
}

TEST_F(GpuLinearTest, SumsInI16AreRefused) {
  TestWeight weight("int4:g16", 16, 32);
  EXPECT_EQ(refusal([&] { multiply(place(), weight, 1, Compute::I16); }),
            "bq::linear: compute i16 has no kernels for GPUs: use f32, bf16 or i8");
}

TEST_F(GpuLinearTest, WhatACaptureLacksIsNamed) {
  TestWeight weight("int4:g16", 24, 48);
  fake.behaviour.isCapturing = true;
  EXPECT_THAT(refusal([&] { multiply(place(), weight, 1); }),
              HasSubstr("a weight as its kernels read it is not on device 0, and cannot be put there while "
                        "the stream is captured into a graph: call bq::prepare"));
  fake.behaviour.isCapturing = false;
  const LinearWeight onGpu = weight.onGpu(place());
  gpu::makeKernels(place(), *onGpu.prepacked(), {{Compute::BF16}}, {1, 2});
  const int loads = fake.loads;
  fake.behaviour.isCapturing = true;
  multiply(place(), weight, 1);
  multiply(place(), weight, 2);
  EXPECT_EQ(fake.loads, loads);
  EXPECT_THAT(refusal([&] { multiply(place(), weight, 3); }), HasSubstr("call bq::prepare(layer, {3})"));
}

TEST_F(GpuLinearTest, CallsThatMayRunAtOnceHaveTheirOwnCounters) {
  TestWeight weight("int4:g16", 16, 32);
  int other = 0;
  const auto packed = std::static_pointer_cast<const gpu::GpuWeight>(weight.onGpu(place()).prepacked());
  const at::Tensor first = packed->counters("test", place(), 64);
  EXPECT_TRUE(first.eq(0).all().item<bool>());
  EXPECT_GE(first.nbytes(), 64);
  EXPECT_TRUE(packed->counters("test", place(), 32).is_same(first));
  EXPECT_FALSE(packed->counters("test", place(&other), 64).is_same(first));
  EXPECT_GE(packed->counters("test", place(), 128).nbytes(), 128);
  fake.behaviour.isCapturing = true;
  EXPECT_FALSE(packed->counters("test", place(), 64).is_same(packed->counters("test", place(), 64)));
}

TEST_F(GpuLinearTest, SumsSplitOverBlocksAgree) {
  TestWeight weight("int4:g16", 16, 2048);
  int streams[2];
  for (int repetition = 0; repetition < 2; ++repetition)
    for (int &stream : streams) {
      LinearRows rows{at::randn({1, weight.k}), {}, at::empty({1, weight.n})};
      gpu::linear("test", place(&stream), rows, weight.onGpu(place()), {Compute::F32, Activation::None});
      EXPECT_TRUE(at::allclose(rows.y, at::linear(rows.x, weight.decoded(at::kFloat)), 1e-4, 1e-3));
    }
}
