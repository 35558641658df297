// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The quantizer finds layers, decomposes them from inputs that it sees, and says what is wrong.
#include "quantizers/onebit/OneBit.h"
#include "quantizers/onebit/LinearCalls.h"
#include "test/unit/MessageOf.h"
#include "test/unit/onebit/Models.h"

#include <gmock/gmock.h>

#include <limits>

using namespace bq;
using namespace bq::test;

using at::Tensor;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

std::vector<std::string> namesOf(const OneBit &quantizer) {
  std::vector<std::string> names;
  for (const onebit::ModelLayer &layer : quantizer.layers())
    names.push_back(layer.name);
  return names;
}

/// Every setting of importance scaling and balancing.
std::vector<OneBitOptions> modes() {
  std::vector<OneBitOptions> result;
  for (bool importance : {false, true})
    for (bool balancing : {false, true})
      result.push_back(OneBitOptions().use_importance_scaling(importance).use_balancing(balancing));
  return result;
}

} // namespace

TEST(LinearCalls, AreSeenOnceInEveryForm) {
  at::manual_seed(1);
  FloatModel model;
  Tensor flat = at::randn({5, 24}), deep = at::randn({2, 3, 24});
  std::vector<std::vector<int64_t>> seen;
  onebit::watchLinearCalls(
      {model->down->weight, model->up->weight},
      [&] {
        model->forward(flat);
        model->forward(deep);
      },
      [&](size_t weight, const Tensor &x) {
        seen.push_back(x.sizes().vec());
        seen.back().push_back(static_cast<int64_t>(weight));
        if (weight == 1 && x.dim() == 2) {
          EXPECT_TRUE(at::equal(x, flat));
        }
      });
  EXPECT_THAT(seen, ElementsAre(ElementsAre(5, 24, 1), ElementsAre(5, 40, 0), ElementsAre(2, 3, 24, 1),
                                ElementsAre(2, 3, 40, 0)));
}

TEST(LinearCalls, PassErrorsOn) {
  FloatModel model;
  auto watch = [&](const std::function<void()> &onInput) {
    onebit::watchLinearCalls(
        {model->up->weight}, [&] { model->forward(at::zeros({1, 24})); }, [&](size_t, const Tensor &) { onInput(); });
  };
  EXPECT_THAT(messageOf([&] { watch([] { TORCH_CHECK(false, "no such luck"); }); }), HasSubstr("no such luck"));
  int calls = 0;
  watch([&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(OneBit, FindsLayersOfModules) {
  FloatModel model;
  OneBit quantizer;
  quantizer.setup(*model);
  EXPECT_THAT(namesOf(quantizer), ElementsAre("up", "down"));
  const torch::nn::Module &down = *model->down;
  EXPECT_EQ(quantizer.moduleToName().at(&down), "down");
  EXPECT_THAT(messageOf([&] { quantizer.setup(*model); }), HasSubstr("call finish() first"));
  quantizer.finish();
  quantizer.setup(*torch::nn::Linear(3, 2));
  EXPECT_THAT(namesOf(quantizer), ElementsAre(""));
}

TEST(OneBit, FindsLayersOfScripts) {
  torch::jit::Module model = scriptModel();
  OneBit linear, both(OneBitOptions().target_layer_types({"Linear", "Conv1D"}));
  linear.setup(model);
  both.setup(model);
  EXPECT_THAT(namesOf(linear), ElementsAre("up"));
  EXPECT_THAT(namesOf(both), ElementsAre("up", "down"));
  EXPECT_TRUE(both.layers()[1].isTransposed);
}

TEST(OneBit, ChoosesByNames) {
  FloatModel model;
  OneBit one(OneBitOptions().include_layer_keywords(std::vector<std::string>{"do"}).num_layers(1));
  one.setup(*model);
  EXPECT_THAT(namesOf(one), ElementsAre("down"));
  OneBit none(OneBitOptions().include_layer_names(std::vector<std::string>{"elsewhere"}));
  EXPECT_THAT(messageOf([&] { none.setup(*model); }), HasSubstr("none of 3 layers is chosen by names and keywords; the "
                                                                "model has 'up', 'down', 'lm_head'"));
  OneBit many(OneBitOptions().num_layers(3));
  EXPECT_THAT(messageOf([&] { many.setup(*model); }), HasSubstr("3 layers are wanted, but only 2"));
  EXPECT_THAT(messageOf([&] { OneBit(OneBitOptions()).setup(*torch::nn::Sequential()); }),
              HasSubstr("has no layer of"));
}

TEST(OneBit, SaysEverythingThatIsWrongWithOptions) {
  const OneBitOptions options = OneBitOptions()
                                    .iters(-1)
                                    .balance_iters(0)
                                    .balance_alpha(std::numeric_limits<double>::infinity())
                                    .hessian_dtype(at::kHalf)
                                    .num_layers(0)
                                    .target_layer_types({"Conv2d"})
                                    .flag_calibration(false)
                                    .flag_hessian(true);
  const std::string message = messageOf([&] { OneBit quantizer(options); });
  for (const char *part : {"iters is -1", "balance_iters is 0", "balance_alpha is inf", "hessian_dtype is Half",
                           "num_layers is 0", "target_layer_types is 'Conv2d'", "flag_hessian is true"})
    EXPECT_THAT(message, HasSubstr(part));
}

TEST(OneBit, FactorsMakeTheWeightInEveryMode) {
  at::manual_seed(2);
  FloatModel model;
  for (const OneBitOptions &options : modes()) {
    OneBit quantizer(options);
    quantizer.setup(*model);
    const OneBitResult &result = quantizer.quantize(*model->up, batches(1)[0]);
    Tensor weight = result.pack()->dequantize(at::kFloat);
    EXPECT_EQ(result.dequantizedWeight().scalar_type(), at::kHalf);
    EXPECT_TRUE(at::equal(result.dequantizedWeight(), weight.to(at::kHalf)));
    // One bit a weight, and 16 a row and a column; rows here are whole bytes.
    EXPECT_EQ(result.pack()->bytes() * 8, 40 * 24 + 16 * (40 + 24));
    EXPECT_GT(result.quantizationTime, 0);
    EXPECT_FALSE(result.weightError || result.outputError);
  }
}

TEST(OneBit, ErrorsAreThoseOfTheLayer) {
  at::manual_seed(3);
  FloatModel model;
  OneBit quantizer(OneBitOptions().calc_quant_error(true).flag_xtx(true));
  quantizer.setup(*model);
  Tensor x = batches(1)[0], weight = model->up->weight.detach();
  const OneBitResult &result = quantizer.quantize("up", x.view({2, 16, 24}));
  Tensor difference = (weight - result.dequantizedWeight().to(at::kFloat)).to(at::kDouble);
  const double weightSum = difference.square().sum().item<double>();
  const double outputSum = at::matmul(x.to(at::kDouble), difference.t()).square().sum().item<double>();
  EXPECT_NEAR(result.weightError->sum, weightSum, 1e-6 * weightSum);
  // Outputs are made in float, of 24 products.
  EXPECT_NEAR(result.outputError->sum, outputSum, 1e-4 * outputSum);
  EXPECT_NEAR(*result.outputError->relative,
              outputSum / at::matmul(x.to(at::kDouble), weight.t().to(at::kDouble)).square().sum().item<double>(),
              1e-5);
  EXPECT_TRUE(at::allclose(result.xtx, at::matmul(x.t(), x).to(at::kDouble), 1e-4, 1e-3));
}

TEST(OneBit, TransposedLayersComeBackAsTheyAre) {
  at::manual_seed(4);
  torch::jit::Module model = scriptModel();
  OneBit quantizer(OneBitOptions().target_layer_types({"Linear", "Conv1D"}).calc_quant_error(true));
  quantizer.setup(model);
  Tensor x = batches(1, 40)[0];
  const OneBitResult &result = quantizer.quantize(model.attr("down").toModule(), x);
  EXPECT_EQ(result.outFeatures(), 16);
  EXPECT_EQ(result.dequantizedWeight().sizes(), at::IntArrayRef({40, 16}));
  EXPECT_LT(*result.outputError->relative, 0.5);
  Tensor exact = result.pack()->dequantize(at::kFloat);
  EXPECT_TRUE(at::equal(result.dequantizedWeight(), exact.t().to(at::kHalf)));
  Tensor wanted = at::matmul(x, exact.t()).to(at::kDouble);
  // Both sums of 40 products round at most 48 times each.
  Tensor bound = at::matmul(x.abs(), exact.abs().t()).to(at::kDouble) * (2 * 48 * 0x1p-24);
  EXPECT_TRUE(((result.pack()->linear(x, std::nullopt) - wanted).abs() <= bound).all().item<bool>());
}

TEST(OneBit, WeighsByNormsThatTheLayerHas) {
  at::manual_seed(5);
  torch::nn::Linear plain(24, 16), weighed(24, 16);
  at::NoGradGuard noGrad;
  weighed->weight.copy_(plain->weight);
  Tensor norms = at::ones({24});
  norms.slice(0, 0, 6) = 1e4;
  weighed->register_buffer("i_norm", norms);
  auto errorOfFirst = [&](const torch::nn::Linear &layer) {
    OneBit quantizer(OneBitOptions().flag_calibration(false).flag_hessian(false));
    quantizer.setup(*layer);
    quantizer.run({});
    Tensor difference = layer->weight - quantizer.results.at("").dequantizedWeight().to(at::kFloat);
    return difference.slice(1, 0, 6).square().sum().item<double>();
  };
  EXPECT_LT(errorOfFirst(weighed), errorOfFirst(plain));
}

TEST(OneBit, NamesTheLayerThatIsWrong) {
  FloatModel model;
  OneBit quantizer;
  quantizer.setup(*model);
  EXPECT_THAT(messageOf([&] { quantizer.quantize("up", at::zeros({3, 23})); }),
              HasSubstr("layer 'up': Hessian::add: inputs must have 24 columns"));
  EXPECT_THAT(messageOf([&] { quantizer.quantize("elsewhere", at::zeros({3, 24})); }),
              HasSubstr("there is no layer 'elsewhere'; there are 'up', 'down'"));
  at::NoGradGuard noGrad;
  model->up->weight[1][2] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(messageOf([&] { quantizer.quantize("up", at::zeros({3, 24})); }),
              HasSubstr("layer 'up': its weight [40, 24] holds NaN or infinity"));
  EXPECT_TRUE(quantizer.results.empty());
}
