// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Runs over whole models: the order of calibration changes nothing, adjustment helps, what was stopped goes on.
#include "quantizers/onebit/OneBit.h"
#include "test/unit/MessageOf.h"
#include "test/unit/onebit/Models.h"

#include <gmock/gmock.h>

#include <fstream>
#include <limits>

using namespace bq;
using namespace bq::test;

using at::Tensor;
using testing::HasSubstr;

namespace {

struct Problem {
  FloatModel model;
  std::vector<Tensor> inputs;
  explicit Problem(int seed, int64_t count = 6) {
    at::manual_seed(seed);
    model = FloatModel();
    inputs = batches(count);
  }
  onebit::OneBitResults run(const OneBitRunOptions &options, const OneBitOptions &settings = measured()) {
    OneBit quantizer(settings);
    quantizer.setup(*model);
    quantizer.run(dataOf(model, inputs), options);
    return quantizer.results;
  }
  static OneBitOptions measured() { return OneBitOptions().calc_quant_error(true); }

  /// Squared error of the model's outputs with these weights.
  double errorWith(const onebit::OneBitResults &results) {
    at::NoGradGuard noGrad;
    double sum = 0;
    for (const Tensor &x : inputs) {
      Tensor hidden = at::relu(x.matmul(results.at("up").dequantizedWeight().to(at::kFloat).t()) + model->up->bias);
      Tensor y = model->head(hidden.matmul(results.at("down").dequantizedWeight().to(at::kFloat).t()));
      sum += (y - model->forward(x)).square().sum().item<double>();
    }
    return sum;
  }
};

void expectSame(const onebit::OneBitResults &left, const onebit::OneBitResults &right) {
  ASSERT_EQ(left.size(), right.size());
  for (const auto &[name, result] : left)
    EXPECT_TRUE(isSame(result, right.at(name))) << name;
}

/// What makes a run stop.
struct Stopped : std::exception {};

} // namespace

TEST(OneBitRun, IsTheSameInOnePassAndByLayers) {
  Problem problem(1);
  OneBitRunOptions byLayer;
  byLayer.order = CalibrationOrder::LayerByLayer;
  size_t batchesOfOnce = 0, batchesByLayer = 0;
  OneBitRunOptions once;
  once.onBatch = [&](size_t, size_t) { ++batchesOfOnce; };
  byLayer.onBatch = [&](size_t, size_t) { ++batchesByLayer; };
  expectSame(problem.run(once), problem.run(byLayer));
  EXPECT_EQ(batchesOfOnce, 6u);
  EXPECT_EQ(batchesByLayer, 12u);
}

TEST(OneBitRun, SeesWhatTheLayersGet) {
  Problem problem(2);
  const onebit::OneBitResults results = problem.run({});
  at::NoGradGuard noGrad;
  Tensor hidden = at::relu(problem.model->up(at::cat(problem.inputs)));
  OneBit single(Problem::measured());
  single.setup(*problem.model);
  const OneBitResult &down = single.quantize("down", hidden);
  // Sums of 192 rows in another order can turn a sign that makes no difference.
  EXPECT_NEAR(*down.outputError->relative, *results.at("down").outputError->relative, 1e-3);
}

TEST(OneBitRun, HessianCanBeDouble) {
  Problem problem(3);
  const onebit::OneBitResults wide = problem.run({}, Problem::measured().hessian_dtype(at::kDouble).flag_xtx(true));
  Tensor x = at::cat(problem.inputs).to(at::kDouble), exact = at::matmul(x.t(), x);
  // A sum of 192 products in double, each rounded twice, is exact to 400 parts in 2^53 of the sum of magnitudes.
  Tensor bound = at::matmul(x.t().abs(), x.abs()) * (400 * 0x1p-53);
  EXPECT_TRUE(((wide.at("up").xtx - exact).abs() <= bound).all().item<bool>());
}

TEST(OneBitRun, AdjustmentLowersTheModelsError) {
  double plain = 0, adjusted = 0;
  for (int seed = 10; seed < 14; ++seed) {
    Problem problem(seed, 12);
    OneBitRunOptions qep;
    qep.qep.emplace();
    qep.qep->correction = 1;
    Tensor before = problem.model->up->weight.detach().clone();
    const void *memory = problem.model->up->weight.const_data_ptr();
    plain += problem.errorWith(problem.run({}));
    adjusted += problem.errorWith(problem.run(qep));
    EXPECT_TRUE(at::equal(problem.model->up->weight, before));
    EXPECT_EQ(problem.model->up->weight.const_data_ptr(), memory);
  }
  EXPECT_LT(adjusted, plain);
}

TEST(OneBitRun, WorksOnScripts) {
  at::manual_seed(4);
  torch::jit::Module model = scriptModel();
  std::vector<Tensor> inputs = batches(4);
  OneBit quantizer(OneBitOptions().target_layer_types({"Linear", "Conv1D"}).calc_quant_error(true));
  quantizer.setup(model);
  OneBitRunOptions options;
  options.qep.emplace();
  quantizer.run({inputs.size(), [&](size_t i) { model.forward({inputs[i]}); }}, options);
  EXPECT_LT(*quantizer.results.at("up").outputError->relative, 0.5);
  EXPECT_TRUE(quantizer.results.at("down").isTransposed);
}

TEST(OneBitRun, GoesOnWhereItStopped) {
  for (bool hasQep : {false, true}) {
    Problem problem(5);
    Folder folder;
    OneBitRunOptions options;
    if (hasQep)
      options.qep.emplace();
    const onebit::OneBitResults whole = problem.run(options);
    const onebit::Journal::Run run{{"seed", "5"}};
    onebit::Journal first = onebit::Journal::begin(folder.file("journal"), run);
    options.journal = &first;
    options.onLayer = [](const std::string &, const OneBitResult &, size_t, size_t) { throw Stopped(); };
    EXPECT_THROW(problem.run(options), Stopped);
    onebit::Journal second = onebit::Journal::resume(folder.file("journal"), run);
    EXPECT_EQ(second.finished().size(), 1u);
    options.journal = &second;
    std::vector<std::string> done;
    options.onLayer = [&](const std::string &layer, const OneBitResult &, size_t count, size_t total) {
      done.push_back(layer);
      EXPECT_EQ(count, total);
    };
    expectSame(problem.run(options), whole);
    EXPECT_EQ(done.size(), 1u);
    second.remove();
    EXPECT_FALSE(std::filesystem::exists(folder.file("journal")));
  }
}

TEST(OneBitRun, JournalsAreOfOneRun) {
  Folder folder;
  const std::string path = folder.file("journal");
  const onebit::Journal::Run run{{"model", "1"}, {"rounds", "10"}};
  onebit::Journal::begin(path, run);
  EXPECT_THAT(messageOf([&] { onebit::Journal::begin(path, run); }), HasSubstr("is there already"));
  EXPECT_THAT(messageOf([&] { onebit::Journal::resume(path, {{"model", "1"}, {"rounds", "9"}}); }),
              HasSubstr("is the journal of a run with rounds 10, this one has 9"));
  std::ofstream(path + "/run.json") << "{";
  EXPECT_THAT(messageOf([&] { onebit::Journal::resume(path, run); }), HasSubstr("is damaged"));
  std::filesystem::remove(path + "/run.json");
  // The process ended before the first file was there.
  EXPECT_EQ(onebit::Journal::resume(path, run).finished().size(), 0u);
}

TEST(OneBitRun, SaysWhatIsWrong) {
  Problem problem(6);
  EXPECT_THAT(messageOf([&] { OneBit().run({}); }), HasSubstr("call setup() before run()"));
  OneBit quantizer;
  quantizer.setup(*problem.model);
  EXPECT_THAT(messageOf([&] { quantizer.run({}); }), HasSubstr("needs calibration data"));
  EXPECT_THAT(messageOf([&] { quantizer.run({1, [&](size_t) { problem.model->up(problem.inputs[0]); }}); }),
              HasSubstr("layer 'down': the calibration data do not reach it"));
  EXPECT_THAT(messageOf([&] { quantizer.run({1, [&](size_t) { problem.model->forward(at::zeros({2, 7})); }}); }),
              HasSubstr("layer 'up': Hessian::add: inputs must have 24 columns, got [2, 7]"));
  problem.inputs[3][0][0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(messageOf([&] { quantizer.run(dataOf(problem.model, problem.inputs)); }),
              HasSubstr("layer 'up': Hessian::add: inputs hold values that are not finite"));
  EXPECT_TRUE(quantizer.results.empty());
}

TEST(OneBitRun, HoldsOneHessianByLayers) {
  FloatModel model;
  OneBit quantizer(OneBitOptions().hessian_dtype(at::kDouble));
  quantizer.setup(*model);
  OneBitRunOptions byLayer;
  byLayer.order = CalibrationOrder::LayerByLayer;
  EXPECT_EQ(quantizer.memory().statistics, 8 * (24 * 24 + 40 * 40));
  EXPECT_EQ(quantizer.memory(byLayer).statistics, 8 * 40 * 40);
}
