// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Half.h"
#include "runtime/reference/Reference.h"
#include "test/conformance/Cases.h"
#include "test/conformance/Conformance.h"
#include "test/conformance/Cover.h"
#include "test/conformance/UpdateCheck.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace bq;
using namespace bq::conformance;

namespace {

constexpr int64_t updateGroups[] = {0, 7, 16, 20, 32, 100, 300};
constexpr int64_t updateColumns[] = {1, 15, 16, 17, 100, 256, 257, 640, 1000, 1300, 2048};
constexpr int64_t denseCounts[] = {1, 16, 255, 1024, 1030, 3000};
constexpr MomentType momentTypes[] = {MomentType::F32, MomentType::F16, MomentType::BF16, MomentType::Block8,
                                      MomentType::None};

struct UpdateCase {
  UpdateArgs args;
  int parallel = 0;
  uint64_t seed = 0;

  std::string name() const {
    return args.spec().name().substr(3) + "_n" + std::to_string(args.n) + "k" + std::to_string(args.k);
  }
};

void setCommon(UpdateCase &c, MomentType moments, ElementType dataType, bool corrected, int parallel, uint64_t seed) {
  c.args.moments = moments;
  c.args.dataType = dataType;
  const bool isSign = c.args.packed && c.args.packed->format.kind == Format::Kind::Sign;
  c.args.rule = moments == MomentType::None ? UpdateRule::Direction
                : isSign                    ? UpdateRule::SignMomentum
                                            : UpdateRule::Adam;
  c.args.biasCorrection = corrected && c.args.rule == UpdateRule::Adam;
  c.args.lr = 1e-2, c.args.weightDecay = 0.1, c.args.beta1 = 0.9, c.args.beta2 = 0.99;
  c.args.seed = seed * 0x9E3779B97F4A7C15;
  c.parallel = parallel;
  c.seed = seed;
}

std::vector<UpdateCase> packedCases(uint64_t seed) {
  std::vector<WeightKind> kinds;
  for (const WeightKind &kind : weightKinds())
    if (!kind.format.isTable())
      kinds.push_back(kind);
  enum { Kind, N, K, Group, Data, Scale, Moment, Round, Scaling, Corrected, Par };
  std::vector<UpdateCase> cases;
  for (const std::vector<int> &row :
       coverPairs({static_cast<int>(kinds.size()), 2, std::size(updateColumns), std::size(updateGroups), 3, 3,
                   std::size(momentTypes), 3, 3, 2, parallelForCount},
                  {{Kind, Round, Scaling}}, seed)) {
    UpdateCase c;
    PackedTarget w;
    w.format = kinds[row[Kind]].grouped(updateGroups[row[Group]]);
    w.zeroType = kinds[row[Kind]].zeroType;
    w.scaleType = elementTypes[row[Scale]];
    w.rounding = static_cast<Rounding>(row[Round]);
    w.scaling = static_cast<ScaleUpdate>(row[Scaling]);
    if (w.format.kind == Format::Kind::Sign) {
      w.rounding = Rounding::Nearest;
      w.scaling = ScaleUpdate::Keep;
      w.scaleType = ElementType::F32;
    }
    if (w.scaling == ScaleUpdate::Tensor && w.format.kind != Format::Kind::Int)
      w.scaling = ScaleUpdate::Group;
    if (w.scaling == ScaleUpdate::Tensor)
      w.format.group = 0;
    c.args.packed = w;
    c.args.n = row[N] ? 5 : 1;
    c.args.k = updateColumns[row[K]];
    MomentType moments = momentTypes[row[Moment]];
    if (w.format.kind == Format::Kind::Sign && moments == MomentType::None)
      moments = MomentType::F32;
    setCommon(c, moments, elementTypes[row[Data]], row[Corrected], row[Par], caseSeed(seed, cases.size()));
    cases.push_back(c);
  }
  return cases;
}

std::vector<UpdateCase> denseCases(uint64_t seed) {
  enum { Count, Weight, Data, Moment, Corrected, Par };
  std::vector<UpdateCase> cases;
  for (const std::vector<int> &row :
       coverPairs({std::size(denseCounts), 3, 3, std::size(momentTypes), 2, parallelForCount}, {}, seed)) {
    UpdateCase c;
    c.args.n = 1;
    c.args.k = denseCounts[row[Count]];
    c.args.weightType = elementTypes[row[Weight]];
    setCommon(c, momentTypes[row[Moment]], elementTypes[row[Data]], row[Corrected], row[Par],
              caseSeed(seed, cases.size()));
    cases.push_back(c);
  }
  return cases;
}

/// Random codes, residuals, scales about 0.1 and zero points; float weights of the same size. Moments are zero.
void fill(const UpdateArgs &args, UpdateState &state, Random &random) {
  for (int64_t i = 0; !args.packed && i < args.n * args.k; ++i)
    storeElement(args.weightType, state.weight.data(), i, random.unit());
  if (!args.packed)
    return;
  const PackedTarget &w = *args.packed;
  for (int64_t row = 0; row < args.n; ++row)
    for (int64_t column = 0; column < args.k; ++column)
      reference::setCode(state.codes.data() + row * w.format.rowBytes(args.k), w.format.bits, column,
                         static_cast<uint8_t>(random.below(1 << w.format.bits)));
  for (int64_t i = 0; i < state.residual.size(); ++i)
    state.residual.data()[i] = static_cast<uint8_t>(random.below(256));
  const int64_t groups = args.n * w.format.groupCount(args.k);
  for (int64_t i = 0; i < groups && state.scales.size(); ++i)
    storeElement(w.scaleType, state.scales.data(), i, 0.1f + 0.05f * random.unit());
  for (int64_t i = 0; i < groups && w.zeroType == ZeroPointType::F32; ++i)
    storeElement(ElementType::F32, state.zeros.data(), i, 1 + random.unit());
  for (int64_t i = 0; i < groups && w.zeroType == ZeroPointType::U8; ++i)
    state.zeros.data()[i] = static_cast<uint8_t>(random.below(1 << w.format.bits));
}

/// Three steps, each checked against what the one before left.
void runUpdate(const Subject &subject, const UpdateCase &c) {
  Random random(c.seed);
  UpdateArgs args = c.args;
  UpdateState state(args), before(args);
  fill(args, state, random);
  GuardedBuffer gradient(args.n * args.k * sizeOf(args.dataType));
  args.gradient = gradient.data();
  for (args.step = 1; args.step <= 3; ++args.step) {
    // Some columns never have a gradient, and some rarely.
    for (int64_t i = 0; i < args.n * args.k; ++i)
      storeElement(args.dataType, gradient.data(), i, i % 5 == 0 ? 0 : random.unit() * (i % 7 ? 0.01f : 1e-5f));
    before.assign(state.bytes());
    state.writeTo(args);
    const Status status = subject.backend->update(args, parallelFor(c.parallel));
    if (!status && status.error().code == ErrorCode::Unsupported)
      GTEST_SKIP() << status.error().message;
    ASSERT_TRUE(status) << status.error().message;
    ASSERT_EQ(checkUpdate(args, before, state), "") << "in step " << args.step;
    EXPECT_TRUE(state.intactBefore());
  }
}

UpdateArgs packedArgs(const char *format, Rounding rounding, int64_t n, int64_t k) {
  UpdateArgs args;
  args.rule = UpdateRule::Direction;
  args.n = n;
  args.k = k;
  PackedTarget w;
  w.format = *Format::parse(format);
  w.rounding = rounding;
  w.scaling = ScaleUpdate::Group;
  if (w.format.hasZeroPoints())
    w.zeroType = ZeroPointType::F32;
  args.packed = w;
  return args;
}

/// 1000 steps of 1e-4 with a gradient that stays must move each weight by their sum within one step of its codes: a
/// residual is rounded with a variance of at most 1/4 of its unit, which is 1/256 of the step, so that 1000 roundings
/// have a deviation of 16 / 256 of it.
void runSmallSteps(const Subject &subject, const char *format, Rounding rounding) {
  constexpr int64_t n = 4, k = 256, steps = 1000;
  UpdateArgs args = packedArgs(format, rounding, n, k);
  UpdateState state(args);
  Random random(7);
  fill(args, state, random);
  std::vector<float> gradient(n * k);
  for (float &g : gradient)
    g = random.below(2) ? 1.0f : -1.0f;
  args.gradient = gradient.data();
  args.lr = 1e-4;
  state.writeTo(args);
  std::vector<double> before(n * k);
  for (int64_t i = 0; i < n * k; ++i)
    before[i] = weightOf(args, i / k, i % k);
  for (args.step = 1; args.step <= steps; ++args.step) {
    const Status status = subject.backend->update(args, &serialFor);
    if (!status && status.error().code == ErrorCode::Unsupported)
      GTEST_SKIP() << status.error().message;
    ASSERT_TRUE(status) << status.error().message;
  }
  double sum = 0, squares = 0;
  const Format &f = args.packed->format;
  for (int64_t i = 0; i < n * k; ++i) {
    const double moved = weightOf(args, i / k, i % k) - before[i] + steps * args.lr * gradient[i];
    const double scale =
        loadElement(args.packed->scaleType, args.packed->scales, i / k * f.groupCount(k) + i % k / f.groupSize(k));
    if (rounding == Rounding::Residual) {
      ASSERT_LE(std::fabs(moved), scale) << "weight " << i;
    }
    sum += moved;
    squares += moved * moved;
  }
  const double count = n * k, mean = sum / count;
  EXPECT_LE(std::fabs(mean), 3 * std::sqrt((squares / count - mean * mean) / count));
}

/// A step by up to `most` of weights whose groups all have this scale.
void stepScaled(const Subject &subject, UpdateArgs &args, UpdateState &state, float scale, float most) {
  UpdateState before(args);
  Random random(11);
  fill(args, state, random);
  for (int64_t i = 0; i < args.n * args.packed->format.groupCount(args.k); ++i)
    storeElement(args.packed->scaleType, state.scales.data(), i, scale);
  std::vector<float> gradient(args.n * args.k);
  for (float &g : gradient)
    g = most * random.unit();
  args.gradient = gradient.data();
  args.lr = 1;
  before.assign(state.bytes());
  state.writeTo(args);
  const Status status = subject.backend->update(args, parallelFor(1));
  if (!status && status.error().code == ErrorCode::Unsupported)
    GTEST_SKIP() << status.error().message;
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(checkUpdate(args, before, state), "");
}

/// Weights beyond what the greatest code of the greatest scale stands for become that.
void runSaturated(const Subject &subject, const char *format, Rounding rounding) {
  UpdateArgs args = packedArgs(format, rounding, 3, 300);
  args.packed->scaleType = ElementType::F16;
  UpdateState state(args);
  stepScaled(subject, args, state, 60000, 60000.0f * static_cast<float>(args.packed->format.greatestValue()));
  if (testing::Test::IsSkipped())
    return;
  const int64_t groups = args.n * args.packed->format.groupCount(args.k);
  int64_t saturated = 0;
  for (int64_t i = 0; i < groups; ++i)
    saturated += loadElement(ElementType::F16, args.packed->scales, i) == maxFinite(ElementType::F16);
  EXPECT_GT(saturated, groups / 2);
}

/// A scale of bf16 that is rounded down, as half are, by 1 / 700 in the mean, leaves the greatest weight 1 / 100 of a
/// step above the greatest code: of 2048 groups, half with a positive greatest, five would get one that does not exist.
void runRoundedScales(const Subject &subject, Rounding rounding) {
  UpdateArgs args = packedArgs("int4:g16", rounding, 32, 1024);
  args.packed->scaleType = ElementType::BF16;
  UpdateState state(args);
  stepScaled(subject, args, state, 1, 3);
}

/// A gradient that is not finite is named, and nothing is changed.
void runNotFinite(const Subject &subject, float bad) {
  for (const char *format : {"", "int4:g32"}) {
    UpdateArgs args = packedArgs(*format ? format : "int4", Rounding::Nearest, 3, 700);
    if (!*format) {
      args.packed.reset();
      args.n = 1, args.k = 2100;
    }
    UpdateState state(args);
    Random random(3);
    fill(args, state, random);
    std::vector<float> gradient(2100, 0.5f);
    gradient[1407] = bad;
    args.gradient = gradient.data();
    state.writeTo(args);
    const std::vector<uint8_t> before = state.bytes();
    const Status status = subject.backend->update(args, parallelFor(2));
    if (!status && status.error().code == ErrorCode::Unsupported)
      GTEST_SKIP() << status.error().message;
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, *format ? "gradient[2, 7] is NaN or infinite: nothing was changed"
                                              : "gradient[1407] is NaN or infinite: nothing was changed");
    EXPECT_EQ(state.bytes(), before);
  }
}

} // namespace

void bq::conformance::addUpdateTests(const Subject &subject, uint64_t seed) {
  std::vector<UpdateCase> cases = packedCases(seed);
  for (const UpdateCase &c : denseCases(seed))
    cases.push_back(c);
  for (size_t index = 0; index < cases.size(); ++index)
    if (const UpdateCase &c = cases[index]; subject.runs(index, cases.size()))
      addTest(subject, "Update", numbered(index) + "_" + c.name(), [=] { runUpdate(subject, c); });
  for (const char *format : {"int2:g32", "int4:g32", "int8", "uint4:g16"})
    for (Rounding rounding : {Rounding::Residual, Rounding::Stochastic})
      addTest(subject, "UpdateSmallSteps",
              weightName(*Format::parse(format), ZeroPointType::None, ElementType::F32) + "_" +
                  std::string(str(rounding)),
              [=] { runSmallSteps(subject, format, rounding); });
  for (const char *format : {"int3:g32", "int4:g20", "int8"})
    for (Rounding rounding : {Rounding::Nearest, Rounding::Stochastic, Rounding::Residual})
      addTest(subject, "UpdateSaturates",
              weightName(*Format::parse(format), ZeroPointType::None, ElementType::F16) + "_" +
                  std::string(str(rounding)),
              [=] { runSaturated(subject, format, rounding); });
  for (Rounding rounding : {Rounding::Nearest, Rounding::Stochastic, Rounding::Residual})
    addTest(subject, "UpdateRoundedScales", std::string(str(rounding)), [=] { runRoundedScales(subject, rounding); });
  addTest(subject, "UpdateNotFinite", "Nan", [=] { runNotFinite(subject, NAN); });
  addTest(subject, "UpdateNotFinite", "Infinity", [=] { runNotFinite(subject, -INFINITY); });
}
