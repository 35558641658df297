// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Steps of optimizers on a GPU, beside the CPU, and what becomes of gradients that are not finite there.
#include "quantizers/cuda/GpuUpdate.h"
#include "GpuFixture.h"
#include "quantizers/Quantize.h"
#include "quantizers/Update.h"

#include <gmock/gmock.h>

#include <cmath>

using namespace bq;
using namespace bq::test;
using ::testing::HasSubstr;

namespace {

using GpuUpdateTest = GpuTest;

/// A weight with its moments, and a step on it.
struct Trained {
  UpdateArgs args;
  std::vector<at::Tensor> state; ///< All that a step changes.
  at::Tensor gradient;

  void takeStep() { gradient.normal_().mul_(0.01); }
  Trained clone() const {
    Trained other = *this;
    for (size_t i = 0; i < state.size(); ++i)
      other.state[i] = state[i].clone();
    other.point();
    return other;
  }
  std::vector<at::Tensor> copyOfState() const { return clone().state; }

  /// To the memory of `state`, in the order in which make() fills it.
  void point() {
    auto next = state.begin();
    auto take = [&] { return (next++)->mutable_data_ptr(); };
    args.gradient = gradient.const_data_ptr();
    if (args.packed) {
      args.packed->codes = static_cast<uint8_t *>(take());
      if (args.packed->format.kind != Format::Kind::Sign)
        args.packed->scales = take();
      if (args.packed->format.hasZeroPoints())
        args.packed->zeros = take();
      if (args.packed->rounding == Rounding::Residual)
        args.packed->residual = static_cast<int8_t *>(take());
    } else {
      args.weight = take();
    }
    if (args.moments != MomentType::None)
      args.m = take(), args.v = take();
    if (args.moments == MomentType::Block8)
      args.mScales = static_cast<float *>(take()), args.vScales = static_cast<float *>(take());
  }
};

Trained make(const std::string &format, MomentType moments, Rounding rounding = Rounding::Nearest,
             ScaleUpdate scaling = ScaleUpdate::Group, int64_t n = 3, int64_t k = 300) {
  Trained made;
  UpdateArgs &args = made.args;
  args.moments = moments;
  args.rule = moments == MomentType::None ? UpdateRule::Direction : UpdateRule::Adam;
  args.lr = 1e-2, args.weightDecay = 0.1, args.seed = 0x123456789abcdef;
  args.biasCorrection = args.rule == UpdateRule::Adam;
  const at::Tensor weight = at::randn({n, k});
  made.gradient = at::empty({n, k});
  const bool isPacked = !format.empty();
  args.n = isPacked ? n : 1;
  args.k = isPacked ? k : n * k;
  if (isPacked) {
    PackedTarget packed;
    packed.format = *Format::parse(format);
    packed.rounding = rounding;
    packed.scaling = scaling;
    packed.zeroType = packed.format.hasZeroPoints() ? ZeroPointType::U8 : ZeroPointType::None;
    auto [codes, scales, zeros] = quantize(weight, packed.format, at::kFloat);
    made.state.push_back(codes);
    if (packed.format.kind == Format::Kind::Sign) {
      args.rule = UpdateRule::SignMomentum;
      args.biasCorrection = false;
      packed.scaling = ScaleUpdate::Keep;
    } else {
      made.state.push_back(scales);
    }
    if (packed.format.hasZeroPoints())
      made.state.push_back(zeros);
    if (rounding == Rounding::Residual)
      made.state.push_back(at::zeros({n, k}, at::kChar));
    args.packed = packed;
  } else {
    made.state.push_back(weight);
  }
  const Moments zero = Moments::zeros(moments, args.rule, {n, k}, isPacked, at::kCPU);
  for (const at::Tensor &tensor : {zero.m, zero.v, zero.mScales, zero.vScales})
    if (tensor.defined())
      made.state.push_back(tensor);
  made.point();
  return made;
}

std::string message(const std::function<void()> &call) {
  try {
    call();
  } catch (const c10::Error &error) {
    return error.what_without_backtrace();
  }
  return "";
}

} // namespace

// Both take every rounding at random with the same numbers, and every operation is rounded once: not a bit differs.
TEST_F(GpuUpdateTest, StepsAsTheCpuDoes) {
  std::vector<Trained> all;
  for (MomentType moments :
       {MomentType::None, MomentType::F32, MomentType::F16, MomentType::BF16, MomentType::Block8}) {
    all.push_back(make("", moments));
    all.push_back(make("int4:g32", moments, Rounding::Residual));
  }
  all.push_back(make("uint4:g16", MomentType::F32, Rounding::Stochastic));
  all.push_back(make("uint3:g20", MomentType::BF16, Rounding::Residual));
  all.push_back(make("int3", MomentType::F32, Rounding::Nearest));
  all.push_back(make("int8", MomentType::F32, Rounding::Residual, ScaleUpdate::Tensor));
  all.push_back(make("int5:g7", MomentType::Block8, Rounding::Stochastic, ScaleUpdate::Keep));
  all.push_back(make("sign", MomentType::Block8));
  for (Trained &onGpu : all) {
    SCOPED_TRACE(onGpu.args.spec().name());
    Trained onCpu = onGpu.clone();
    for (int64_t step = 1; step <= 3; ++step) {
      onGpu.takeStep();
      onGpu.args.step = onCpu.args.step = step;
      ASSERT_TRUE((*cpuBackend())->update(onCpu.args, serialFor));
      ASSERT_EQ(message([&] { gpu::update("test", place(), onGpu.args, "weight"); }), "") << fake.fault;
      for (size_t i = 0; i < onGpu.state.size(); ++i)
        ASSERT_TRUE(at::equal(onGpu.state[i], onCpu.state[i])) << "tensor " << i << " after step " << step;
    }
  }
}

// New values that do not fit the memory of a block wait in that of the device.
TEST_F(GpuUpdateTest, TakesRowsOfAnyLength) {
  Trained onGpu = make("int4", MomentType::F32, Rounding::Residual, ScaleUpdate::Group, 2, 16500),
          onCpu = onGpu.clone();
  onGpu.takeStep();
  ASSERT_TRUE((*cpuBackend())->update(onCpu.args, serialFor));
  gpu::update("test", place(), onGpu.args, "weight");
  for (size_t i = 0; i < onGpu.state.size(); ++i)
    EXPECT_TRUE(at::equal(onGpu.state[i], onCpu.state[i])) << i;
}

TEST_F(GpuUpdateTest, AGradientThatIsNotFiniteChangesNothingUntilItIsReported) {
  for (const char *format : {"", "int4:g32", "int8"}) {
    const bool isTensor = std::string_view(format) == "int8";
    Trained weight =
        make(format, MomentType::F32, Rounding::Nearest, isTensor ? ScaleUpdate::Tensor : ScaleUpdate::Group);
    weight.takeStep();
    const std::vector<at::Tensor> before = weight.copyOfState();
    weight.gradient[2][7] = NAN;
    gpu::update("bq::update", place(), weight.args, "layer.weight");
    const std::string expected = *format ? "'layer.weight': gradient[2, 7] is NaN or infinite: nothing was changed"
                                         : "'layer.weight': gradient[607] is NaN or infinite: nothing was changed";
    // Here the look is done when it is put on the stream, so that the next call sees what it has found.
    weight.takeStep();
    EXPECT_THAT(message([&] { gpu::update("bq::update", place(), weight.args, "layer.weight"); }), HasSubstr(expected));
    for (size_t i = 0; i < before.size(); ++i)
      EXPECT_TRUE(at::equal(weight.state[i], before[i])) << format << i;

    gpu::update("bq::update", place(), weight.args, "layer.weight");
    bool isChanged = false;
    for (size_t i = 0; i < before.size(); ++i)
      isChanged |= !at::equal(weight.state[i], before[i]);
    EXPECT_TRUE(isChanged) << format << ": a step after the report is taken again";
    weight.gradient[2][7] = -INFINITY;
    gpu::update("bq::update", place(), weight.args, "layer.weight");
    EXPECT_THAT(message([&] { gpu::report("bq::checkSteps", place(), /*waits=*/true); }), HasSubstr(expected));
    EXPECT_EQ(message([&] { gpu::report("bq::checkSteps", place(), /*waits=*/true); }), "") << "reported once";
  }
}

TEST_F(GpuUpdateTest, WeightsThatAreWatchedTogetherAreSteppedTogetherOrNotAtAll) {
  Trained first = make("", MomentType::F32), second = make("int4:g32", MomentType::F32);
  for (Trained *weight : {&first, &second}) {
    weight->takeStep();
    weight->args.gradientIsFinite = true;
  }
  const std::vector<at::Tensor> before = first.copyOfState();
  second.gradient[0][0] = INFINITY;
  gpu::watch("test", place(), first.args, "first");
  gpu::watch("test", place(), second.args, "second");
  // Where the look is not done yet, the steps are put behind it all the same; here the host knows already.
  EXPECT_THAT(message([&] { gpu::update("test", place(), first.args, "first"); }),
              HasSubstr("'second': gradient[0, 0]"));
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(at::equal(first.state[i], before[i])) << i;
}

TEST_F(GpuUpdateTest, AStepThatDependsOnItsNumberIsNotCaptured) {
  Trained plain = make("int4:g32", MomentType::None), random = make("int4:g32", MomentType::None, Rounding::Stochastic);
  for (Trained *weight : {&plain, &random}) {
    weight->takeStep();
    gpu::update("test", place(), weight->args, "weight");
  }
  fake.behaviour.isCapturing = true;
  EXPECT_EQ(message([&] { gpu::update("test", place(), plain.args, "weight"); }), "");
  EXPECT_THAT(message([&] { gpu::update("test", place(), random.args, "weight"); }),
              HasSubstr("the step on 'weight' depends on its number"));
}

TEST_F(GpuUpdateTest, ArgumentsThatDoNotFitAreRefused) {
  Trained weight = make("int4:g32", MomentType::F32);
  weight.args.lr = -1;
  EXPECT_THAT(message([&] { gpu::update("test", place(), weight.args, "weight"); }), HasSubstr("'weight': lr is -1"));
  EXPECT_EQ(fake.launches, 0);
}
