// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a GPU does row by row, beside the CPU: dequantize, embedding, quantize; and what LibTorch decodes by itself.
#include "quantizers/cuda/GpuRows.h"
#include "GpuFixture.h"
#include "quantizers/DecodeByTorch.h"
#include "quantizers/FakeQuantize.h"
#include "quantizers/Quantize.h"

#include <gmock/gmock.h>

using namespace bq;
using namespace bq::test;
using ::testing::HasSubstr;

namespace {

using GpuRowsTest = GpuTest;

const std::string formats[] = {"int4:g16", "int3", "uint1:g16", "uint5:g24", "nf4:g16", "fp4:g16", "lut3:g16", "sign"};

} // namespace

TEST_F(GpuRowsTest, LibTorchDecodesAsTheCpuDoes) {
  for (const std::string &format : formats)
    for (at::ScalarType type : {at::kFloat, at::kHalf, at::kBFloat16}) {
      const TestWeight weight(format, 5, 37, type);
      EXPECT_TRUE(at::equal(decodeByTorch(weight.tensors, weight.format, weight.k), weight.decoded()))
          << format << type;
    }
}

TEST_F(GpuRowsTest, DequantizesAsTheCpuDoes) {
  for (const std::string &format : formats) {
    const TestWeight weight(format, 5, 37);
    const int before = fake.launches;
    EXPECT_TRUE(at::equal(gpu::dequantize("test", place(), weight.tensors, weight.format, weight.k), weight.decoded()))
        << format;
    EXPECT_EQ(fake.launches, before + 1) << format;
  }
}

TEST_F(GpuRowsTest, EmbedsAsTheCpuDoes) {
  const at::Tensor indices = at::tensor({4, 0, 4, 2}, at::kLong);
  for (bool isGrouped : {false, true})
    for (const char *format : {"uint4:g16", "nf4:g16"}) {
      TestWeight weight(format, 5, 48);
      if (isGrouped)
        weight.tensors.groupIndex = at::arange(weight.k, at::kInt).remainder(3);
      const at::Tensor y = at::empty({4, weight.k}, at::kHalf);
      gpu::embedding("test", place(), indices, weight.tensors, weight.format, weight.k, y);
      EXPECT_TRUE(at::equal(y, weight.decoded().index_select(0, indices))) << format << isGrouped;
    }
}

TEST_F(GpuRowsTest, AnIndexOutOfRangeIsAnAssertion) {
  const TestWeight weight("uint4:g16", 5, 48);
  for (int64_t bad : {int64_t{-1}, int64_t{5}})
    try {
      gpu::embedding("bq::embedding", place(), at::tensor(std::vector<int64_t>{0, bad}), weight.tensors, weight.format,
                     48, at::empty({2, 48}, at::kHalf));
      ADD_FAILURE() << bad << " is accepted";
    } catch (const c10::Error &error) {
      EXPECT_THAT(error.what_without_backtrace(), HasSubstr("bq::embedding: an index is outside [0, 5)"));
    }
  EXPECT_EQ(fake.launches, 0);
}

TEST_F(GpuRowsTest, AFailedLaunchIsAnError) {
  const TestWeight weight("uint7:g16", 5, 48);
  fake.behaviour.launchResult = 719;
  testing::internal::CaptureStderr();
  try {
    gpu::dequantize("bq::dequantize", place(), weight.tensors, weight.format, weight.k);
    ADD_FAILURE() << "accepted";
  } catch (const c10::Error &error) {
    EXPECT_THAT(error.what_without_backtrace(), HasSubstr("CUDA_ERROR_LAUNCH_FAILED"));
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  fake.behaviour.launchResult = 0;
  EXPECT_TRUE(at::equal(gpu::dequantize("test", place(), weight.tensors, weight.format, weight.k), weight.decoded()));
  EXPECT_EQ(fake.launches, 2) << "the kernel is used again";
}

TEST_F(GpuRowsTest, QuantizesAsTheCpuDoes) {
  const at::Tensor weight = at::randn({6, 40}).to(at::kHalf);
  for (const char *text : {"uint4:g16", "int4:g16"}) {
    const Format format = *Format::parse(text);
    const auto [codes, scales, zeros] = quantize(weight, format);
    const at::Tensor onGpu[] = {at::zeros_like(codes), at::zeros_like(scales), at::zeros_like(zeros)};
    QuantizeArgs args;
    args.format = format;
    args.n = 6;
    args.k = args.stride = 40;
    args.weight = weight.const_data_ptr();
    args.dataType = args.scaleType = ElementType::F16;
    args.codes = onGpu[0].mutable_data_ptr<uint8_t>();
    args.scales = onGpu[1].mutable_data_ptr();
    args.zeros = zeros.numel() ? onGpu[2].mutable_data_ptr<uint8_t>() : nullptr;
    gpu::quantize("test", place(), args);
    EXPECT_TRUE(at::equal(onGpu[0], codes) && at::equal(onGpu[1], scales) && at::equal(onGpu[2], zeros)) << text;
  }
}

TEST_F(GpuRowsTest, FakeQuantizesAsTheCpuDoes) {
  for (at::ScalarType type : {at::kFloat, at::kHalf}) {
    const at::Tensor x = at::randn({3, 5000}).to(type), gradient = at::randn({3, 5000}).to(type);
    const at::Tensor scale = at::rand({3}) + 0.1, zero = at::full({3}, 2.0);
    const at::Tensor y = at::empty_like(x), xGradient = at::empty_like(x);
    FakeQuantizeGradArgs args;
    args.forward.format = *Format::parse("uint4");
    args.forward.dataType = type == at::kHalf ? ElementType::F16 : ElementType::F32;
    args.forward.rows = 3;
    args.forward.columns = 5000;
    args.forward.x = x.const_data_ptr();
    args.forward.scale = scale.const_data_ptr<float>();
    args.forward.zero = zero.const_data_ptr<float>();
    args.forward.y = y.mutable_data_ptr();
    args.gradient = gradient.const_data_ptr();
    args.xGradient = xGradient.mutable_data_ptr();
    gpu::fakeQuantize("test", place(), args.forward);
    EXPECT_TRUE(at::equal(y, fakeQuantize(x, scale, zero, 4, false))) << type;
    const at::Tensor scaleGradient = gpu::fakeQuantizeGrad("test", place(), args);
    const auto [wantedX, wantedScale] = fakeQuantizeBackward(gradient, x, scale, zero, 4, false);
    EXPECT_TRUE(at::equal(xGradient, wantedX)) << type;
    // 5000 terms below 16 * 5 in another order.
    EXPECT_TRUE(at::allclose(scaleGradient / std::sqrt(5000.0 * 15), wantedScale, 0, 5000 * 80 * 6e-8)) << type;
  }
}
