// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Convolutions on a GPU as LibTorch sees them.
#include "GpuFixture.h"
#include "quantizers/Conv2d.h"
#include "quantizers/cuda/GpuLinear.h"
#include "quantizers/cuda/GpuWeight.h"
#include "runtime/Conv2dShape.h"

#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/record_function.h>
#include <gmock/gmock.h>

using namespace bq;
using namespace bq::test;

namespace {

using GpuConv2dTest = GpuTest;

constexpr int64_t groups = 2, channels = 8, outputs = 12;

/// A convolution of two groups beside LibTorch's in float.
struct Convolution {
  explicit Convolution(const std::string &format) : weight(format, outputs, 3 * 2 * channels / groups) {
    shape.batch = 2;
    shape.channels = channels;
    shape.height = 6, shape.width = 5;
    shape.outChannels = outputs;
    shape.kernel = {3, 2};
    shape.stride = {2, 1};
    shape.padding = {1, 0};
    shape.groups = groups;
    x = at::randn({shape.batch, shape.height, shape.width, channels});
    bias = at::randn({outputs});
    y = at::full({shape.batch, shape.outHeight(), shape.outWidth(), outputs}, NAN);
  }

  /// [O, I / groups, kh, kw]
  at::Tensor decoded() const {
    return weight.decoded(at::kFloat)
        .view({outputs, shape.kernel[0], shape.kernel[1], shape.groupChannels()})
        .permute({0, 3, 1, 2});
  }
  at::Tensor byTorch(const at::Tensor &images, const at::Tensor &by, const std::optional<at::Tensor> &b) const {
    return at::conv2d(images.permute({0, 3, 1, 2}), by, b, shape.stride, shape.padding, shape.dilation, groups)
        .permute({0, 2, 3, 1});
  }

  bool run(const gpu::Place &place, Compute compute) {
    forms = gpu::makeGrouped("test", place, weight.tensors, weight.format, shape.k(), {6, groups});
    const bq::abi::Conv2dGeometry geometry = shape.forward();
    GroupedProducts products;
    products.args.x = x.const_data_ptr();
    products.args.m = geometry.pixels();
    products.args.geometry = &geometry;
    products.args.bias = bias.const_data_ptr<float>();
    products.args.compute = compute;
    products.args.activation = Activation::Relu;
    products.args.y = y.mutable_data_ptr();
    products.args.yStride = outputs;
    products.biasStep = shape.groupOutputs() * forms->together;
    products.xStep = shape.groupChannels() * forms->together * static_cast<int64_t>(sizeof(float));
    products.yStep = products.biasStep * static_cast<int64_t>(sizeof(float));
    return gpu::conv2d("test", place, products, *forms);
  }

  Conv2dShape shape;
  TestWeight weight;
  std::shared_ptr<const GroupedWeight> forms;
  at::Tensor x, bias, y;
};

} // namespace

// Small groups whose rows have one scale are one product. How far a sum may be from that in float, relative to max|x|
// sum|W|: by what x is rounded to, in bf16 also W, and by the 40 roundings of a sum of at most 24 products.
TEST_F(GpuConv2dTest, AgreesWithLibTorch) {
  for (const char *format : {"int4", "uint3", "uint4:g8", "nf4"})
    for (auto [compute, tolerance] :
         {std::pair(Compute::F32, 40 * 6e-8), std::pair(Compute::BF16, 2.0 / 512 + 40 * 6e-8),
          std::pair(Compute::I8, 1.0 / 254 + 1.0 / 127 + 40 * 6e-8)}) {
      SCOPED_TRACE(std::string(format) + " " + std::string(str(compute)));
      Convolution conv(format);
      const int before = fake.launches;
      ASSERT_TRUE(conv.run(place(), compute)) << fake.fault;
      EXPECT_EQ(conv.forms->products.size(), conv.weight.format.group ? groups : 1);
      EXPECT_GE(fake.launches, before + 2 * static_cast<int>(conv.forms->products.size()));
      const at::Tensor weight = conv.decoded();
      const at::Tensor expected = at::relu(conv.byTorch(conv.x, weight, conv.bias));
      const at::Tensor bound =
          conv.byTorch(at::full_like(conv.x, conv.x.abs().max().item<double>()), weight.abs(), std::nullopt);
      EXPECT_TRUE((conv.y - expected).abs().le(bound * tolerance).all().item<bool>())
          << ((conv.y - expected).abs() / bound).max().item<double>();
    }
}

TEST_F(GpuConv2dTest, LibTorchTakesManyPixelsInFloat) {
  auto isLeft = [](int64_t m, Compute compute) {
    return gpu::isLeftToTorch("test", m, groups, *Format::parse("int4"), compute);
  };
  EXPECT_FALSE(isLeft(gpu::maxKernelRows, Compute::F32));
  EXPECT_TRUE(isLeft(gpu::maxKernelRows + 1, Compute::BF16));
  EXPECT_FALSE(isLeft(gpu::maxKernelRows + 1, Compute::I8));
}

// cuDNN would round floats to TF32 unless told otherwise.
TEST_F(GpuConv2dTest, LibTorchTakesFloatsAsTheyAre) {
  static std::vector<bool> allowed;
  const auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback([](const at::RecordFunction &call) -> std::unique_ptr<at::ObserverContext> {
        if (std::string_view(call.name()) == "aten::_convolution")
          allowed.push_back(call.inputs().back().toBool());
        return nullptr;
      }).needsInputs(true));
  const Conv2dCall call("test", {4, 2, 1, 1}, {1, 0, 1});
  const Conv2dWeight weight{{}, {}, [](at::ScalarType type) { return at::randn({4, 2, 1, 1}, type); }, {}};
  for (Compute compute : {Compute::F32, Compute::BF16}) {
    conv2dByTorch(call, at::randn({1, 2, 3, 3}), {}, weight, {compute});
    conv2dInputGradientByTorch(call, at::randn({1, 4, 3, 3}), call.shape({1, 2, 3, 3}), weight, compute);
  }
  at::removeCallback(handle);
  EXPECT_EQ(allowed, (std::vector<bool>{false, false, true, true}));
}

// Sums of at most 120 terms, which come in another order: twice what their roundings make.
TEST_F(GpuConv2dTest, LibTorchsGradientIsThatOfTheConvolution) {
  for (auto [height, stride, padding, dilation] : {std::array{7, 1, 0, 1}, {8, 2, 1, 1}, {9, 3, 2, 2}}) {
    const at::Tensor dense = at::randn({40, 3, 3, 2}), x = at::randn({2, 6, height, 6});
    const at::Tensor dy = at::randn(at::conv2d(x, dense, {}, stride, padding, dilation, 2).sizes());
    const std::array<int64_t, 2> steps{stride, stride}, border{padding, padding}, spread{dilation, dilation};
    auto gradient = [&](const at::Tensor &of, const at::Tensor &by) {
      return std::get<0>(at::convolution_backward(of, x, by, std::nullopt, steps, border, spread, /*transposed=*/false,
                                                  {0, 0}, 2, {true, false, false}));
    };
    const Conv2dCall call("test", dense.sizes(), {steps, border, spread, 2});
    const Conv2dWeight weight{{}, {}, [&](at::ScalarType type) { return dense.to(type); }, {}};
    const at::Tensor dx = conv2dInputGradientByTorch(call, dy, call.shape(x.sizes()), weight, Compute::F32);
    const at::Tensor bound = gradient(dy.abs(), dense.abs()) * (2 * 122 * 0x1p-24);
    EXPECT_TRUE((dx - gradient(dy, dense)).abs().le(bound).all().item<bool>()) << stride;
  }
}
