// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Convolutions on a GPU as LibTorch sees them.
#include "GpuFixture.h"
#include "quantizers/cuda/GpuLinear.h"
#include "runtime/Conv2dShape.h"

#include <ATen/ops/conv2d.h>
#include <gmock/gmock.h>

using namespace bq;
using namespace bq::test;

namespace {

using GpuConv2dTest = GpuTest;

constexpr int64_t groups = 2, channels = 8, outputs = 12;

/// A convolution of two groups, each a product with a weight of its own, beside LibTorch's in float.
struct Convolution {
  explicit Convolution(const std::string &format) {
    shape.batch = 2;
    shape.channels = channels;
    shape.height = 6, shape.width = 5;
    shape.outChannels = outputs;
    shape.kernel = {3, 2};
    shape.stride = {2, 1};
    shape.padding = {1, 0};
    shape.groups = groups;
    for (int64_t group = 0; group < groups; ++group)
      weights.emplace_back(format, shape.groupOutputs(), shape.k());
    x = at::randn({shape.batch, shape.height, shape.width, channels});
    bias = at::randn({outputs});
    y = at::full({shape.batch, shape.outHeight(), shape.outWidth(), outputs}, NAN);
  }

  /// [O, I / groups, kh, kw]
  at::Tensor decoded() const {
    std::vector<at::Tensor> parts;
    for (const TestWeight &weight : weights)
      parts.push_back(weight.decoded(at::kFloat));
    return at::cat(parts)
        .view({outputs, shape.kernel[0], shape.kernel[1], shape.groupChannels()})
        .permute({0, 3, 1, 2});
  }
  at::Tensor byTorch(const at::Tensor &images, const at::Tensor &weight, const std::optional<at::Tensor> &b) const {
    return at::conv2d(images.permute({0, 3, 1, 2}), weight, b, shape.stride, shape.padding, shape.dilation, groups)
        .permute({0, 2, 3, 1});
  }

  bool run(const gpu::Place &place, Compute compute) {
    GroupedWeight forms;
    for (TestWeight &weight : weights)
      forms.products.push_back(weight.onGpu(place).prepacked());
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
    products.biasStep = shape.groupOutputs();
    products.xStep = shape.groupChannels() * static_cast<int64_t>(sizeof(float));
    products.yStep = shape.groupOutputs() * static_cast<int64_t>(sizeof(float));
    return gpu::conv2d("test", place, products, forms);
  }

  Conv2dShape shape;
  std::vector<TestWeight> weights;
  at::Tensor x, bias, y;
};

} // namespace

// How far a sum may be from that in float, relative to max|x| sum|W|: by what x is rounded to, in bf16 also W, and by
// the 40 roundings of a sum of at most 24 products.
TEST_F(GpuConv2dTest, AgreesWithLibTorch) {
  for (const char *format : {"int4", "uint4:g8", "nf4"})
    for (auto [compute, tolerance] :
         {std::pair(Compute::F32, 40 * 6e-8), std::pair(Compute::BF16, 2.0 / 512 + 40 * 6e-8),
          std::pair(Compute::I8, 1.0 / 254 + 1.0 / 127 + 40 * 6e-8)}) {
      SCOPED_TRACE(std::string(format) + " " + std::string(str(compute)));
      Convolution conv(format);
      const int before = fake.launches;
      ASSERT_TRUE(conv.run(place(), compute)) << fake.fault;
      EXPECT_GE(fake.launches, before + 2 * groups);
      const at::Tensor weight = conv.decoded();
      const at::Tensor expected = at::relu(conv.byTorch(conv.x, weight, conv.bias));
      const at::Tensor bound =
          conv.byTorch(at::full_like(conv.x, conv.x.abs().max().item<double>()), weight.abs(), std::nullopt);
      EXPECT_TRUE((conv.y - expected).abs().le(bound * tolerance).all().item<bool>())
          << ((conv.y - expected).abs() / bound).max().item<double>();
    }
}

TEST_F(GpuConv2dTest, LibTorchTakesManyPixelsInFloat) {
  EXPECT_FALSE(gpu::isLeftToTorch("test", gpu::maxKernelRows, Compute::F32));
  EXPECT_TRUE(gpu::isLeftToTorch("test", gpu::maxKernelRows + 1, Compute::BF16));
  EXPECT_FALSE(gpu::isLeftToTorch("test", gpu::maxKernelRows + 1, Compute::I8));
}
