// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weights of the format `mixed` on a GPU, beside the CPU.
#include "quantizers/cuda/GpuMixed.h"
#include "GpuFixture.h"
#include "dialect/core/CudaMixedAbi.h"
#include "quantizers/Conv2d.h"
#include "quantizers/Mixed.h"
#include "quantizers/cuda/GpuLinear.h"
#include "quantizers/cuda/GpuRows.h"
#include "runtime/Conv2dShape.h"
#include "test/unit/MessageOf.h"

#include <ATen/ops/conv2d.h>
#include <gmock/gmock.h>

using namespace bq;
using namespace bq::test;
using at::Tensor;
using ::testing::HasSubstr;

namespace {

using GpuMixedTest = GpuTest;

struct Case {
  int64_t n, k, groupSize;
  int least, most;
};
/// Groups that are whole bytes, and others, the last of which is short; one group; one width.
constexpr Case cases[] = {
    {6, 200, 8, 1, 15}, {5, 77, 7, 1, 8}, {3, 700, 0, 5, 5}, {4, 300, 32, 2, 4}, {9, 130, 1, 1, 3}};

Tensor bitsOf(const Case &c) {
  const int64_t groups = MixedStream::groupCount(c.n * c.k, c.groupSize);
  return at::randint(c.least, c.most + 1, {groups}, at::kByte);
}

WeightTensors tensorsOf(const MixedWeight &weight) { return {weight.codes, weight.scales, std::nullopt, std::nullopt}; }

/// A mixed weight as the linear operator takes it, prepacked for a place.
struct Layer {
  Layer(const gpu::Place &place, const Case &c)
      : weight(quantizeMixed(at::randn({c.n, c.k}), bitsOf(c), c.groupSize)), format(*Format::parse(weight.format())),
        n(c.n), k(c.k) {
    prepacked = gpu::prepack("test", place, {weight.codes, weight.scales, std::nullopt, std::nullopt}, format, k);
  }
  Layer(const Layer &) = delete;

  LinearWeight onGpu() {
    return {[this] { return prepacked; },
            [this] { return WeightTensors{weight.codes, weight.scales, std::nullopt, std::nullopt}; }, format, n, k};
  }

  /// y by the GPU is that of the dequantized weight with x rounded as `compute` has it, up to the rounding of sums.
  void expectAgrees(const gpu::Place &place, int64_t m, Compute compute, Activation activation = Activation::None) {
    const LinearRows rows{at::randn({m, k}), at::randn({n}), at::full({m, n}, NAN)};
    gpu::linear("test", place, rows, onGpu(), {compute, activation});
    at::Tensor x = rows.x;
    if (compute == Compute::BF16)
      x = x.to(at::kBFloat16);
    const at::Tensor unit = x.abs().amax(1, true).to(at::kDouble) / 127;
    x = x.to(at::kDouble);
    if (compute == Compute::I8)
      x = at::round(x / unit) * unit;
    const at::Tensor values = dequantizeMixed(weight).to(at::kDouble);
    const at::Tensor want = activate(at::addmm(rows.bias.to(at::kDouble), x, values.t()), activation).to(at::kDouble);
    // A weight is min + t (MixedCase.cpp): with many rows it is rounded to bf16, and all have what sums are rounded to;
    // in i8 one code of x may be at a tie.
    const double ofWeights = compute != Compute::F32 && m > cuda::maxStreamedRows ? 0x1p-8 : 0;
    const at::Tensor least = weight.scales[0].to(at::kDouble);
    const at::Tensor sizes = at::mm(x.abs(), (values - least + least.abs()).t());
    at::Tensor bound = sizes * (ofWeights + static_cast<double>(k + 42) * 0x1p-24) + 1e-6;
    if (compute == Compute::I8)
      bound += unit * values.abs().amax();
    EXPECT_TRUE((rows.y - want).abs().le(bound).all().item<bool>())
        << format.str() << " m " << m << " " << str(compute) << ": off by " << (rows.y - want).abs().max();
  }

  MixedWeight weight;
  Format format;
  int64_t n, k;
  std::shared_ptr<const PrepackedWeight> prepacked;
};

/// A convolution with a mixed weight.
struct Convolution {
  explicit Convolution(int64_t groups) {
    shape.batch = 2;
    shape.channels = 2 * groups;
    shape.height = 6, shape.width = 5;
    shape.outChannels = 5 * groups;
    shape.kernel = {3, 2};
    shape.padding = {1, 0};
    shape.groups = groups;
    weight = quantizeMixed(at::randn({shape.outChannels, 2, 3, 2}),
                           at::randint(1, 9, {(60 * groups + 7) / 8}, at::kByte), 8);
    format = *Format::parse(weight.format());
    x = at::randn({shape.batch, shape.height, shape.width, shape.channels});
  }

  gpu::GpuMixedWeight onGpu(const gpu::Place &place) const {
    return {"test", place, tensorsOf(weight), format, shape.k(), {6, shape.groups}};
  }
  Tensor byKernels(const gpu::Place &place, Compute compute) const {
    const Tensor y = at::full({shape.batch, shape.outHeight(), shape.outWidth(), shape.outChannels}, NAN);
    const gpu::GpuMixedWeight onDevice = onGpu(place);
    GroupedWeight forms;
    forms.products.assign(onDevice.products().begin(), onDevice.products().end());
    const bq::abi::Conv2dGeometry geometry = shape.forward();
    GroupedProducts products;
    products.args.x = x.const_data_ptr();
    products.args.m = geometry.pixels();
    products.args.geometry = &geometry;
    products.args.compute = compute;
    products.args.y = y.mutable_data_ptr();
    products.args.yStride = shape.outChannels;
    products.xStep = shape.groupChannels() * static_cast<int64_t>(sizeof(float));
    products.yStep = shape.groupOutputs() * static_cast<int64_t>(sizeof(float));
    EXPECT_TRUE(gpu::conv2d("test", place, products, forms));
    return y;
  }
  Tensor byTorch(Compute compute) const {
    const Conv2dCall call("test", weight.shape, {shape.stride, shape.padding, shape.dilation, shape.groups});
    const Conv2dWeight forms{{}, {}, [&](at::ScalarType type) { return dequantizeMixed(weight).to(type); }, format};
    return conv2dByTorch(call, x.permute({0, 3, 1, 2}), {}, forms, {compute}).permute({0, 2, 3, 1});
  }

  /// Sums of 12 products, of min and t. In bf16 both operands are rounded; in i8 weights are, and activations to half a
  /// code of the greatest.
  void expectAgrees(const Tensor &y, Compute compute) const {
    const bool isI8 = compute == Compute::I8;
    const double rounding = isI8 ? 1.0 / 254 + 0x1.1p-8 : compute == Compute::BF16 ? 0x1.01p-7 : 0.0;
    const Tensor values = dequantizeMixed(weight).to(at::kDouble), images = x.permute({0, 3, 1, 2}).to(at::kDouble);
    auto convolve = [&](const Tensor &input, const Tensor &by) {
      return at::conv2d(input, by, {}, shape.stride, shape.padding, shape.dilation, shape.groups).permute({0, 2, 3, 1});
    };
    const Tensor most = isI8 ? at::full_like(images, images.abs().max().item<double>()) : images.abs();
    const Tensor sizes = convolve(most, values.abs() + 2 * weight.scales[0].abs());
    const Tensor error = (y - convolve(images, values)).abs();
    EXPECT_TRUE(error.le(sizes * (rounding + 54 * 0x1p-24)).all().item<bool>())
        << str(compute) << " " << (error / sizes).max();
  }

  Conv2dShape shape;
  MixedWeight weight;
  Format format;
  Tensor x;
};

} // namespace

// Every byte of the codes is the CPU's, and every value.
TEST_F(GpuMixedTest, QuantizesAndDequantizesAsTheCpuDoes) {
  at::manual_seed(1);
  for (const Case &c : cases)
    for (at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const Tensor weight = at::randn({c.n, c.k}).to(type), bits = bitsOf(c);
      const MixedWeight here = quantizeMixed(weight, bits, c.groupSize);
      Expected<MixedStream> stream = MixedStream::plan(bits.const_data_ptr<uint8_t>(), c.n * c.k, c.groupSize);
      ASSERT_TRUE(stream);
      const Tensor codes = gpu::quantizeMixed("test", place(), weight, bits, *stream, here.scales[0].item<float>(),
                                              here.scales[1].item<float>());
      EXPECT_TRUE(codes.equal(here.codes)) << here.format() << " " << type;
      const Tensor values = gpu::dequantize("test", place(), tensorsOf(here), *Format::parse(here.format()), c.k);
      EXPECT_TRUE(values.equal(dequantizeMixed(here))) << here.format();
    }
}

TEST_F(GpuMixedTest, QuantizesAWeightOfOneValueToZeros) {
  const Tensor weight = at::full({16}, 0.5f), bits = at::full({2}, 3, at::kByte);
  Expected<MixedStream> stream = MixedStream::plan(bits.const_data_ptr<uint8_t>(), 16, 8);
  ASSERT_TRUE(stream);
  EXPECT_TRUE(gpu::quantizeMixed("test", place(), weight, bits, *stream, 0.5f, 0.5f)
                  .equal(quantizeMixed(weight, bits, 8).codes));
}

// Kernels read the codes, in f32 and bf16 up to the number of rows from which products are LibTorch's.
TEST_F(GpuMixedTest, MultipliesTheCodesOrTheDequantizedWeight) {
  at::manual_seed(2);
  for (const Case &c : cases) {
    Layer layer(place(), c);
    EXPECT_EQ(layer.prepacked->n(), c.n);
    EXPECT_EQ(layer.prepacked->k(), c.k);
    const int before = fake.launches;
    layer.expectAgrees(place(), 3, Compute::F32, Activation::Relu);
    layer.expectAgrees(place(), 20, Compute::F32);
    EXPECT_EQ(fake.launches - before, 2) << layer.format.str();
  }
  Layer layer(place(), cases[0]);
  for (Compute compute : {Compute::F32, Compute::BF16, Compute::I8})
    for (int64_t m : {3, 16, 64}) {
      const int before = fake.launches;
      layer.expectAgrees(place(), m, compute);
      const bool isPrepared = compute == Compute::I8 || (compute == Compute::BF16 && m > cuda::maxStreamedRows);
      EXPECT_EQ(fake.launches - before, isPrepared ? 2 : 1) << str(compute) << " " << m;
    }
  layer.expectAgrees(place(), gpu::maxKernelRows + 1, Compute::F32);
  EXPECT_EQ(fake.fault, "");
}

// Groups of a convolution are products with rows of one stream, whose codes and places they share.
TEST_F(GpuMixedTest, ConvolvesTheCodes) {
  at::manual_seed(3);
  constexpr int64_t groups = 2;
  Convolution conv(groups);
  const gpu::GpuMixedWeight onGpu = conv.onGpu(place());
  EXPECT_EQ(onGpu.products().back()->bytes(), 0) << "groups share the memory of the first";
  for (Compute compute : {Compute::F32, Compute::BF16, Compute::I8}) {
    const int before = fake.launches;
    conv.expectAgrees(conv.byKernels(place(), compute), compute);
    EXPECT_EQ(fake.launches - before, compute == Compute::F32 ? groups : 2 * groups);
  }
  EXPECT_EQ(fake.fault, "");
}

// A launch for each of many groups would take longer than LibTorch, which has no sums in i8.
TEST_F(GpuMixedTest, ManyGroupsAreConvolvedByLibTorch) {
  at::manual_seed(4);
  constexpr int64_t groups = gpu::maxMixedGroups + 1;
  Convolution conv(groups);
  auto isLeft = [&](int64_t count, Compute compute) {
    return gpu::isLeftToTorch("test", 1, count, conv.format, compute);
  };
  for (Compute compute : {Compute::F32, Compute::BF16}) {
    EXPECT_FALSE(isLeft(groups - 1, compute));
    EXPECT_TRUE(isLeft(groups, compute));
    EXPECT_FALSE(gpu::isLeftToTorch("test", 1, groups, *Format::parse("int4"), compute));
    conv.expectAgrees(conv.byTorch(compute), compute);
  }
  EXPECT_FALSE(isLeft(groups, Compute::I8));
  conv.expectAgrees(conv.byKernels(place(), Compute::I8), Compute::I8);
  EXPECT_EQ(fake.fault, "");
}

TEST_F(GpuMixedTest, AKernelThatCannotBeLoadedIsReplaced) {
  Layer layer(place(), {7, 72, 24, 2, 5});
  fake.behaviour.loadResult = 200;
  testing::internal::CaptureStderr();
  layer.expectAgrees(place(), 2, Compute::F32);
  layer.expectAgrees(place(), 2, Compute::F32);
  const std::string output = testing::internal::GetCapturedStderr();
  // The kernel of the sum and the one that dequantizes.
  EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 2) << output;
}

// Codes at any byte, with nothing behind them, are copied to where kernels can read words.
TEST_F(GpuMixedTest, TakesCodesAtAnyByte) {
  Layer layer(place(), {6, 200, 8, 1, 15});
  const Tensor codes = layer.weight.codes, shifted = at::empty({codes.numel() + 1}, at::kByte).slice(0, 1);
  shifted.copy_(codes);
  layer.prepacked =
      gpu::prepack("test", place(), {shifted, layer.weight.scales, std::nullopt, std::nullopt}, layer.format, layer.k);
  layer.expectAgrees(place(), 2, Compute::F32);
  EXPECT_EQ(fake.fault, "");
}

TEST_F(GpuMixedTest, WhatIsPreparedRunsDuringCapture) {
  Layer layer(place(), {6, 96, 32, 3, 6});
  gpu::makeKernels(place(), *layer.prepacked, {{Compute::BF16}, ElementType::F32, true}, {1, 4});
  const int loads = fake.loads;
  fake.behaviour.isCapturing = true;
  layer.expectAgrees(place(), 1, Compute::BF16);
  layer.expectAgrees(place(), 4, Compute::BF16);
  fake.behaviour.isCapturing = false;
  EXPECT_EQ(fake.loads, loads);
}

TEST_F(GpuMixedTest, RefusesDamagedCodes) {
  const Case c = cases[0];
  MixedWeight weight = quantizeMixed(at::randn({c.n, c.k}), bitsOf(c), c.groupSize);
  weight.codes = weight.codes.slice(0, 0, weight.codes.numel() - 1).clone();
  EXPECT_THAT(
      messageOf([&] { gpu::dequantize("test", place(), tensorsOf(weight), *Format::parse(weight.format()), c.k); }),
      HasSubstr("the widths of their groups make"));
}
