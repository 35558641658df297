// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Gradients of a linear layer on a GPU as LibTorch sees them: by a kernel on the layer's own weight, and what is left
// to LibTorch.
#include "GpuFixture.h"
#include "quantizers/cuda/GpuLinear.h"

#include <ATen/ops/convolution_backward.h>

using namespace bq;
using namespace bq::test;

namespace {

using GpuGradientTest = GpuTest;

struct Case {
  std::string format;
  int64_t m;
  Compute forward;
  at::ScalarType type = at::kFloat;
  bool hasGroupIndex = false;
};

/// |u| + |z| times the scale, of each weight s (u - z).
at::Tensor termsOf(const TestWeight &weight, const at::Tensor &decoded) {
  if (!weight.format.hasZeroPoints())
    return decoded.abs();
  const WeightTensors &tensors = weight.tensors;
  const at::Tensor offsets = tensors.scales.to(at::kDouble) * tensors.zeros->to(at::kDouble);
  const at::Tensor groups = tensors.groupIndex && tensors.groupIndex->defined()
                                ? tensors.groupIndex->to(at::kLong)
                                : at::arange(weight.k).floor_divide(weight.format.groupSize(weight.k));
  return decoded.abs() + 2 * offsets.abs().index_select(1, groups);
}

/// How far dx by a kernel may be from product(dy, w), of doubles: products of dy and scales, and tables, are rounded in
/// bf16; sums over up to 64 rows of the weight, in one part, are what test/conformance/Bounds.h has less its 15 of
/// parts; `meetings` more are of patches that meet; dx is rounded to its type.
template <typename Product>
at::Tensor boundOf(Product product, const at::Tensor &dy, const at::Tensor &w, const at::Tensor &terms, int meetings,
                   bool isBF16) {
  const at::Tensor size = product(dy.abs().to(at::kDouble), w.abs());
  const at::Tensor sums = 1.01 * (32 - 15 + meetings) * 0x1p-24 * product(dy.abs().to(at::kDouble), terms);
  const at::Tensor error = (isBF16 ? 0x1.01p-7 : 0) * size + sums;
  const at::ScalarType type = dy.scalar_type();
  const double ofResult = type == at::kFloat ? 0 : type == at::kHalf ? 0x1p-11 : 0x1p-8;
  return error + ofResult * (product(dy.to(at::kDouble), w).abs() + error);
}

void expectAgrees(const gpu::Place &place, const Case &test, bool isBF16) {
  const int64_t n = 40, k = 96;
  TestWeight weight(test.format, n, k);
  if (test.hasGroupIndex)
    weight.tensors.groupIndex = at::arange(k, at::kInt).remainder(weight.format.groupCount(k));
  const at::Tensor dy = at::randn({test.m, n}).to(test.type);
  const LinearRows rows{dy, {}, at::full({test.m, k}, NAN, test.type)};
  EXPECT_TRUE(gpu::linearInputGradient("test", place, rows, weight.onGpu(place), test.forward)) << test.format;

  auto product = [](const at::Tensor &gradient, const at::Tensor &w) { return at::matmul(gradient, w); };
  const at::Tensor decoded = weight.decoded(at::kFloat).to(at::kDouble);
  const at::Tensor distance = (rows.y.to(at::kDouble) - product(dy.to(at::kDouble), decoded)).abs();
  const at::Tensor ratios = distance / boundOf(product, dy, decoded, termsOf(weight, decoded), /*meetings=*/0, isBF16);
  EXPECT_TRUE(ratios.le(1).all().item<bool>())
      << test.format << " m " << test.m << ": " << ratios.max().item<double>() << " of the bound";
  if (isBF16)
    EXPECT_GT(ratios.max().item<double>(), 0.01) << test.format << ": no sum in bf16";
}

bool isDone(const gpu::Place &place, const std::string &format, int64_t m, Compute forward) {
  TestWeight weight(format, 16, 32);
  const LinearRows rows{at::randn({m, 16}), {}, at::empty({m, 32})};
  return gpu::linearInputGradient("test", place, rows, weight.onGpu(place), forward);
}

} // namespace

TEST_F(GpuGradientTest, AKernelReadsTheWeightOfTheLayer) {
  TestWeight weight("int4:g16", 40, 96);
  LinearRows forward{at::randn({2, 96}), {}, at::empty({2, 40})};
  gpu::linear("test", place(), forward, weight.onGpu(place()), {Compute::BF16, Activation::None});
  EXPECT_EQ(fake.launches, 2) << "prepack, and the product";
  const LinearRows rows{at::randn({2, 40}), {}, at::empty({2, 96})};
  EXPECT_TRUE(gpu::linearInputGradient("test", place(), rows, weight.onGpu(place()), Compute::BF16));
  EXPECT_EQ(fake.launches, 3) << "the gradient, and nothing is dequantized or prepacked";
  EXPECT_EQ(fake.fault, "");
}

TEST_F(GpuGradientTest, AgreesWithTheDecodedWeight) {
  expectAgrees(place(), {"int4:g16", 1, Compute::BF16}, true);
  expectAgrees(place(), {"uint3", 3, Compute::F32, at::kHalf}, false);
  expectAgrees(place(), {"nf4:g32", 20, Compute::BF16}, true);
  expectAgrees(place(), {"sign", 2, Compute::I8, at::kBFloat16}, true);
  expectAgrees(place(), {"int8:g32", 5, Compute::I8}, false);
  expectAgrees(place(), {"uint4:g32", 17, Compute::F32, at::kFloat, true}, false);
  EXPECT_EQ(fake.launches, 12) << "a weight is prepacked for each";
  EXPECT_EQ(fake.fault, "");
}

TEST_F(GpuGradientTest, AConvolutionIsThatOfItsPatches) {
  Conv2dShape shape;
  shape.batch = 2;
  shape.channels = 12, shape.outChannels = 20;
  shape.height = 7, shape.width = 6;
  for (auto [kernel, forward] : {std::pair(1, Compute::F32), {1, Compute::BF16}, {3, Compute::F32}, {3, Compute::BF16}})
    for (at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(std::to_string(kernel) + " " + std::string(str(forward)));
      shape.kernel = {kernel, kernel == 1 ? 1 : 2};
      shape.stride = {2, 1};
      shape.padding = {kernel / 2, 0};
      shape.dilation = {1, 2};
      TestWeight weight("int4:g9", shape.outChannels, shape.k());
      const at::Tensor dy = at::randn({shape.batch, shape.outChannels, shape.outHeight(), shape.outWidth()}).to(type);
      const at::Tensor dx =
          gpu::conv2dInputGradient("test", place(), dy, shape, weight.onGpu(place()), forward).to(at::kDouble);

      const at::Tensor decoded = weight.decoded(at::kFloat)
                                     .to(at::kDouble)
                                     .view({shape.outChannels, shape.kernel[0], shape.kernel[1], shape.channels})
                                     .permute({0, 3, 1, 2});
      auto product = [&](const at::Tensor &gradient, const at::Tensor &w) {
        const at::Tensor like = at::empty({shape.batch, shape.channels, shape.height, shape.width}, at::kDouble);
        return std::get<0>(at::convolution_backward(gradient, like, w, std::nullopt, shape.stride, shape.padding,
                                                    shape.dilation, false, {0, 0}, 1, {true, false, false}));
      };
      const at::Tensor distance = (dx - product(dy.to(at::kDouble), decoded)).abs();
      const at::Tensor bound = boundOf(product, dy, decoded, decoded.abs(), /*meetings=*/6, forward == Compute::BF16);
      EXPECT_TRUE(distance.le(bound).all().item<bool>()) << (distance / bound).max().item<double>() << " of the bound";
    }
  EXPECT_EQ(fake.launches, 16) << "weights are prepacked, and each gradient is one kernel";
  EXPECT_EQ(fake.fault, "");
}

TEST_F(GpuGradientTest, SomeAreLeftToLibTorch) {
  EXPECT_TRUE(isDone(place(), "int4:g16", gpu::maxGradientRows, Compute::BF16));
  EXPECT_FALSE(isDone(place(), "int4:g16", gpu::maxGradientRows + 1, Compute::BF16));
  EXPECT_TRUE(isDone(place(), "int4:g16", gpu::maxGradientRows + 1, Compute::F32));
  EXPECT_FALSE(isDone(place(), "int4:g16", gpu::maxKernelRows + 1, Compute::F32));
  EXPECT_FALSE(isDone(place(), "nf4", 1, Compute::F32)) << "a table that is not exact in bf16";
  EXPECT_TRUE(isDone(place(), "fp4", 1, Compute::F32));
}

TEST_F(GpuGradientTest, WhatIsMadeAheadIsThatOfATrainingStep) {
  TestWeight weight("int4:g20", 56, 80); // Whose kernels no other test has loaded.
  const LinearWeight onGpu = weight.onGpu(place());
  const auto packed = onGpu.prepacked();
  const int prepacked = fake.loads;
  const LinearChoice choice{Compute::BF16, Activation::Gelu};
  gpu::makeKernels(place(), *packed, {choice}, {2});
  EXPECT_EQ(fake.loads, prepacked + 1) << "the product alone";
  gpu::makeKernels(place(), *packed, {choice, ElementType::F32, false, true}, {2, gpu::maxGradientRows + 1});
  const int loads = fake.loads;
  EXPECT_EQ(loads, prepacked + 5) << "two kinds of rows, with the activation and without, and one gradient";
  const LinearRows forward{at::randn({2, 80}), {}, at::empty({2, 56})},
      back{at::randn({2, 56}), {}, at::empty({2, 80})};
  for (Activation activation : {Activation::Gelu, Activation::None})
    gpu::linear("test", place(), forward, onGpu, {Compute::BF16, activation});
  EXPECT_TRUE(gpu::linearInputGradient("test", place(), back, onGpu, Compute::BF16));
  EXPECT_EQ(fake.loads, loads);
}

TEST_F(GpuGradientTest, AKernelThatCannotBeLoadedIsLeftToLibTorchWithOneWarning) {
  TestWeight weight("int5:g24", 24, 72);
  weight.onGpu(place()).prepacked();
  fake.behaviour.loadResult = 200;
  testing::internal::CaptureStderr();
  const LinearRows rows{at::randn({2, 24}), {}, at::empty({2, 72})};
  for (int repetition = 0; repetition < 2; ++repetition)
    EXPECT_FALSE(gpu::linearInputGradient("test", place(), rows, weight.onGpu(place()), Compute::BF16));
  const std::string output = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 1) << output;
}
