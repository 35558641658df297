// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weights of the format `mixed` on a GPU, beside the CPU.
#include "quantizers/cuda/GpuMixed.h"
#include "GpuFixture.h"
#include "quantizers/Mixed.h"
#include "quantizers/cuda/GpuLinear.h"
#include "quantizers/cuda/GpuRows.h"
#include "test/unit/MessageOf.h"

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

// The order of groups is made once, and kept with the prepacked form.
TEST_F(GpuMixedTest, MultipliesTheDequantizedWeight) {
  at::manual_seed(2);
  const Case c = cases[0];
  const MixedWeight weight = quantizeMixed(at::randn({c.n, c.k}), bitsOf(c), c.groupSize);
  const Format format = *Format::parse(weight.format());
  const auto prepacked = gpu::prepack("test", place(), tensorsOf(weight), format, c.k);
  EXPECT_EQ(prepacked->n(), c.n);
  EXPECT_EQ(prepacked->k(), c.k);
  const LinearWeight onGpu{[&] { return prepacked; }, [&] { return tensorsOf(weight); }, format, c.n, c.k};
  const LinearRows rows{at::randn({3, c.k}), at::randn({c.n}), at::empty({3, c.n})};
  gpu::makeKernels(place(), *prepacked, {Compute::F32, Activation::None}, ElementType::F32, true, {3});
  gpu::linear("test", place(), rows, onGpu, {Compute::F32, Activation::None});
  const Tensor want =
      at::addmm(rows.bias.to(at::kDouble), rows.x.to(at::kDouble), dequantizeMixed(weight).to(at::kDouble).t());
  // 200 products of at most 4 * 4, and rounding of each sum.
  EXPECT_LE((rows.y - want).abs().max().item<double>(), 200 * 0x1p-24 * 16 * 200);
}

TEST_F(GpuMixedTest, RefusesDamagedCodes) {
  const Case c = cases[0];
  MixedWeight weight = quantizeMixed(at::randn({c.n, c.k}), bitsOf(c), c.groupSize);
  weight.codes = weight.codes.slice(0, 0, weight.codes.numel() - 1).clone();
  EXPECT_THAT(
      messageOf([&] { gpu::dequantize("test", place(), tensorsOf(weight), *Format::parse(weight.format()), c.k); }),
      HasSubstr("the widths of their groups make"));
}
