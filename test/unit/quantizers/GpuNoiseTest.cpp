// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// DiffQ's noise, its gradient and the range of a weight on a GPU, beside the CPU.
#include "quantizers/cuda/GpuNoise.h"
#include "GpuFixture.h"
#include "test/unit/MessageOf.h"

#include <gmock/gmock.h>

#include <limits>

using namespace bq;
using namespace bq::test;
using at::Tensor;
using ::testing::HasSubstr;

namespace {

using GpuNoiseTest = GpuTest;

/// A weight, or a gradient, and what its noise is made from; groups of `groupSize`, 0 for one.
struct Noisy {
  Tensor elements, bits;
  NoiseArgs args;

  Noisy(int64_t count, int64_t groupSize, NoiseKind kind, at::ScalarType type = at::kFloat)
      : elements(at::randn({count}).to(type)) {
    args.dataType = type == at::kFloat ? ElementType::F32 : ElementType::BF16;
    args.count = count;
    args.groupSize = groupSize;
    args.noise = kind;
    args.scale = 1.75f;
    args.seed = 0x123456789ABCDEF;
    args.offset = uint64_t{3} << 33 | 7;
    bits = at::rand({args.groups()}) * 6 + 2;
    args.bits = bits.const_data_ptr<float>();
  }

  DiffqNoiseArgs forward(const Tensor &noisy) const {
    DiffqNoiseArgs all;
    static_cast<NoiseArgs &>(all) = args;
    all.weight = elements.const_data_ptr();
    all.noisy = noisy.mutable_data_ptr();
    return all;
  }
  DiffqNoiseGradArgs backward() const {
    DiffqNoiseGradArgs all;
    static_cast<NoiseArgs &>(all) = args;
    all.gradient = elements.const_data_ptr();
    return all;
  }
};

} // namespace

// Uniform noise is a number from an integer, without rounding; every other number of both takes the same roundings.
TEST_F(GpuNoiseTest, IsThatOfTheCpu) {
  at::manual_seed(1);
  for (NoiseKind kind : {NoiseKind::Uniform, NoiseKind::Gaussian})
    for (int64_t groupSize : {0, 8, 20})
      for (at::ScalarType type : {at::kFloat, at::kBFloat16}) {
        const Noisy noisy(2500, groupSize, kind, type);
        const Tensor here = at::empty_like(noisy.elements), there = at::empty_like(noisy.elements);
        ASSERT_TRUE((*cpuBackend())->diffqNoise(noisy.forward(here), serialFor));
        gpu::diffqNoise("test", place(), noisy.forward(there));
        EXPECT_TRUE(here.equal(there)) << str(kind) << ", groups of " << groupSize << ", " << type;
      }
}

// Sums are taken in another order: of 2500 products at most, in parts of 1024.
TEST_F(GpuNoiseTest, HasTheGradientsOfTheCpu) {
  at::manual_seed(2);
  for (int64_t groupSize : {0, 1, 8, 20, 100, 1024, 1100}) {
    const Noisy noisy(2500, groupSize, NoiseKind::Gaussian);
    const Tensor here = at::empty_like(noisy.bits), there = at::empty_like(noisy.bits);
    double scaleHere = 0;
    DiffqNoiseGradArgs args = noisy.backward();
    args.bitsGradient = here.mutable_data_ptr<float>();
    args.scaleGradient = &scaleHere;
    ASSERT_TRUE((*cpuBackend())->diffqNoiseGrad(args, serialFor));
    const Tensor scaleThere = gpu::diffqNoiseGrad("test", place(), noisy.backward(), there);
    EXPECT_EQ(scaleThere.scalar_type(), at::kDouble);
    // Products are below 4 in magnitude, and a step is at most scale * ln(2) * 1/3 * 4/3.
    const double bound = 1100 * 0x1p-24 * 4 * 100;
    EXPECT_LE((here - there).abs().max().item<double>(), bound) << "groups of " << groupSize;
    EXPECT_NEAR(scaleHere, scaleThere.item<double>(), bound) << "groups of " << groupSize;
  }
}

TEST_F(GpuNoiseTest, FindsTheRangeAndWhereItIs) {
  at::manual_seed(3);
  for (int64_t count : {1, 1000, 1024, 3000})
    for (at::ScalarType type : {at::kFloat, at::kHalf}) {
      // Few values, so that extremes occur more than once.
      const Tensor weight = at::randint(-50, 50, {count}).to(type);
      const WeightRange here = weightRange(weight), there = gpu::weightRange("test", place(), weight);
      EXPECT_EQ(here.low, there.low);
      EXPECT_EQ(here.high, there.high);
      EXPECT_EQ(here.lowAt, there.lowAt);
      EXPECT_EQ(here.highAt, there.highAt);
    }
}

TEST_F(GpuNoiseTest, NamesTheFirstElementThatIsNotFinite) {
  for (float fault : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Tensor weight = at::randn({3000});
    weight[2100] = weight[2101] = fault;
    EXPECT_THAT(messageOf([&] { gpu::weightRange("test", place(), weight); }),
                HasSubstr("test: element 2100 is NaN or infinite: the range must be finite"));
  }
}

TEST_F(GpuNoiseTest, TakesNoElements) {
  const Noisy noisy(0, 8, NoiseKind::Gaussian);
  gpu::diffqNoise("test", place(), noisy.forward(noisy.elements));
  EXPECT_EQ(gpu::diffqNoiseGrad("test", place(), noisy.backward(), noisy.bits).item<double>(), 0);
}
