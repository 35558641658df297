// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Conversion of TorchScript models: which layers, which formats, what is fused, and what is refused before any change.
#include "quantizers/Convert.h"
#include "quantizers/PackedWeight.h"

#include <gmock/gmock.h>
#include <torch/csrc/jit/serialization/import.h>

#include <limits>
#include <set>
#include <sstream>

using namespace bq;
using testing::ElementsAre;
using testing::HasSubstr;
using torch::jit::Module;

namespace {

/// A module of its own compilation unit cannot hold another's, so that all of a model share one.
class ModelBuilder {
public:
  Module module(const std::string &name) { return Module(c10::QualifiedName("__torch__." + name), unit, true); }

  Module linear(int64_t n, int64_t k, at::Tensor weight = {}) {
    Module layer = module("Linear");
    layer.register_parameter("weight", weight.defined() ? weight : at::randn({n, k}), false);
    layer.register_parameter("bias", at::randn({n}), false);
    layer.define("def forward(self, x):\n  return torch.linear(x, self.weight, self.bias)\n");
    return layer;
  }

  Module embedding(int64_t n, int64_t k, at::Tensor weight = {}) {
    Module layer = module("Embedding");
    layer.register_parameter("weight", weight.defined() ? weight : at::randn({n, k}), false);
    layer.define("def forward(self, indices):\n  return torch.embedding(self.weight, indices)\n");
    return layer;
  }

  Module activation(const std::string &body) {
    Module layer = module("Activation");
    layer.define("def forward(self, x):\n  return " + body + "\n");
    return layer;
  }

  /// words -> up -> gelu -> down, with a head whose weight lies in the model itself.
  Module encoder() {
    Module model = module("Encoder");
    model.register_module("words", embedding(11, 24));
    model.register_module("up", linear(32, 24));
    model.register_module("act", activation("torch.gelu(x)"));
    model.register_module("down", linear(24, 32));
    model.register_parameter("head", at::randn({5, 24}), false);
    model.register_buffer("shift", at::randn({24}));
    model.define("def forward(self, indices):\n"
                 "  x = self.words.forward(indices) + self.shift\n"
                 "  x = self.down.forward(self.act.forward(self.up.forward(x)))\n"
                 "  return torch.relu(torch.linear(x, self.head))\n");
    return model;
  }

private:
  std::shared_ptr<torch::jit::CompilationUnit> unit = std::make_shared<torch::jit::CompilationUnit>();
};

ConvertOptions withRules(const std::vector<std::string> &rules) {
  ConvertOptions options;
  for (const std::string &rule : rules)
    options.rules.push_back(*FormatRule::parse(rule));
  return options;
}

std::vector<std::string> names(const ConvertReport &report) {
  std::vector<std::string> result;
  for (const LayerReport &layer : report.layers)
    result.push_back(layer.name);
  return result;
}

std::string refusal(Module &module, const ConvertOptions &options) {
  std::string before = module.dump_to_str(true, false, false);
  try {
    convert(module, options);
  } catch (const c10::Error &error) {
    EXPECT_EQ(before, module.dump_to_str(true, false, false)) << "changed although refused";
    return error.what_without_backtrace();
  }
  return "accepted";
}

at::Tensor run(Module &module, at::Tensor input) { return module.forward({input}).toTensor(); }

/// The model with every packed weight replaced by what it decodes to, run in LibTorch alone.
at::Tensor runDecoded(const Module &original, const Module &converted, at::Tensor input) {
  Module copy = original.deepcopy();
  auto decode = [](const Module &module, const std::string &attribute) {
    return module.attr(attribute).toCustomClass<PackedWeight>()->dequantize(at::kFloat);
  };
  for (const auto &child : converted.named_children())
    if (child.value.hasattr("weight") && child.value.attr("weight").isCustomClass())
      copy.attr(child.name).toModule().setattr("weight", decode(child.value, "weight"));
  if (converted.attr("head").isCustomClass())
    copy.setattr("head", decode(converted, "head"));
  return run(copy, input);
}

/// Layers of 24 and 32 terms sum in f32 with another order: 40 roundings of the magnitudes, which stay below 1e3 here.
constexpr double sumTolerance = 40 * 6e-8 * 1e3;

const at::Tensor indices = at::tensor({0, 10, 3, 3}, at::kLong);

} // namespace

TEST(FormatRule, IsCutAtTheLastEqualsSign) {
  Expected<FormatRule> rule = FormatRule::parse("a=b.*=int4:g32");
  ASSERT_TRUE(rule.ok());
  EXPECT_EQ(rule->pattern, "a=b.*");
  EXPECT_EQ(rule->format.str(), "int4:g32");
  EXPECT_EQ(rule->str(), "a=b.*=int4:g32");
  EXPECT_EQ(FormatRule::parse("nf4")->pattern, "");
  EXPECT_THAT(FormatRule::parse("x=int9").error().message, HasSubstr("'int9' has 9 bits"));
  EXPECT_THAT(FormatRule::parse("=int4").error().message, HasSubstr("no pattern before '='"));
}

TEST(Convert, DefaultRuleTakesLinearLayersOnly) {
  ModelBuilder builder;
  Module model = builder.encoder();
  Module original = model;
  ConvertReport report = convert(model, withRules({"uint4:g16"}));
  EXPECT_THAT(names(report), ElementsAre("head", "up", "down"));
  EXPECT_TRUE(original.attr("up").toModule().attr("weight").isTensor()) << "the model given must stay";
  EXPECT_TRUE(at::allclose(run(model, indices), runDecoded(original, model, indices), 0, sumTolerance));
  EXPECT_GT((run(model, indices) - run(original, indices)).abs().max().item<float>(), 1e-3);
}

TEST(Convert, ReportTellsBytesAndErrors) {
  ModelBuilder builder;
  Module model = builder.encoder();
  ConvertReport plan = planConversion(model, withRules({"uint4:g16", "words=int8"}));
  ConvertReport report = convert(model, withRules({"uint4:g16", "words=int8"}));
  const LayerReport &words = report.layers[1];
  EXPECT_EQ(words.name, "words");
  EXPECT_EQ(words.op, "embedding");
  EXPECT_THAT(words.shape, ElementsAre(11, 24));
  EXPECT_EQ(words.floatBytes, 11 * 24 * 4);
  EXPECT_EQ(words.bytes, 11 * 24 + 11 * 4);
  // 8 bits: half a step of max|w| / 127 at most, so below 1/127 of the norm for values that are not all tiny.
  EXPECT_GT(*words.relativeError, 1e-4);
  EXPECT_LT(*words.relativeError, 1.0 / 127);
  EXPECT_NEAR(*words.sqnrDb, -20 * std::log10(*words.relativeError), 1e-9);
  const LayerReport &up = report.layers[2];
  EXPECT_EQ(up.name, "up");
  EXPECT_EQ(up.bytes, 32 * 12 + 32 * 2 * 4 + 32 * 2);
  EXPECT_EQ(up.activation, Activation::Gelu);

  EXPECT_EQ(plan.bytes(), report.bytes());
  EXPECT_EQ(plan.layers.size(), report.layers.size());
  EXPECT_FALSE(plan.layers[0].relativeError);
  std::vector<std::string> kept;
  for (const KeptTensor &tensor : report.kept)
    kept.push_back(tensor.name);
  EXPECT_THAT(kept, testing::UnorderedElementsAre("shift", "up.bias", "down.bias"));
  EXPECT_EQ(report.floatBytes(), 4 * (11 * 24 + 32 * 24 + 32 + 24 * 32 + 24 + 5 * 24 + 24));
}

TEST(Convert, LastMatchingRuleWins) {
  ModelBuilder builder;
  Module model = builder.encoder();
  ConvertReport report = convert(model, withRules({"int8", "^(up|down)$=int4:g8", "down=nf4"}));
  std::vector<std::string> formats;
  for (const LayerReport &layer : report.layers)
    formats.push_back(layer.name + "=" + layer.format.str());
  EXPECT_THAT(formats, ElementsAre("head=int8", "up=int4:g8", "down=nf4"));
}

TEST(Convert, ActivationOfAModuleIsTakenIn) {
  ModelBuilder builder;
  Module model = builder.encoder();
  convert(model, withRules({"int8"}));
  EXPECT_THAT(model.attr("up").toModule().dump_to_str(true, false, false), HasSubstr("\"gelu\""));
  std::string graph = model.get_method("forward").graph()->toString();
  EXPECT_EQ(graph.find("relu("), std::string::npos) << "the head's relu is in the same graph: " << graph;
  EXPECT_THAT(graph, HasSubstr("\"relu\""));
}

TEST(Convert, ActivationStaysWhereTheSumIsUsedTwice) {
  ModelBuilder builder;
  Module model = builder.module("Twice");
  model.register_module("up", builder.linear(8, 24));
  model.register_module("act", builder.activation("torch.silu(x)"));
  model.define("def forward(self, x):\n  y = self.up.forward(x)\n  return self.act.forward(y) + y\n");
  Module original = model;
  ConvertReport report = convert(model, withRules({"int8"}));
  EXPECT_EQ(report.layers[0].activation, Activation::None);
  at::Tensor x = at::randn({3, 24}),
             y = at::linear(x, model.attr("up").toModule().attr("weight").toCustomClass<PackedWeight>()->dequantize(),
                            original.attr("up").toModule().attr("bias").toTensor());
  EXPECT_TRUE(at::allclose(run(model, x), at::silu(y) + y, 0, sumTolerance));
}

TEST(Convert, ActivationStaysWhereTheModuleIsCalledTwice) {
  ModelBuilder builder;
  Module model = builder.module("Calls");
  model.register_module("square", builder.linear(24, 24));
  model.define("def forward(self, x):\n  return self.square.forward(torch.relu(self.square.forward(x)))\n");
  EXPECT_EQ(convert(model, withRules({"int8"})).layers[0].activation, Activation::None);
  EXPECT_THAT(model.get_method("forward").graph()->toString(), HasSubstr("aten::relu"));
}

TEST(Convert, OtherFunctionsOfTheSumAreNotTakenIn) {
  ModelBuilder builder;
  for (const char *body : {"torch.tanh(x)", "torch.relu(x) + 1", "torch.relu(-x)"}) {
    Module model = builder.module("Other");
    model.register_module("up", builder.linear(8, 24));
    model.register_module("act", builder.activation(body));
    model.define("def forward(self, x):\n  return self.act.forward(self.up.forward(x))\n");
    EXPECT_EQ(convert(model, withRules({"int8"})).layers[0].activation, Activation::None) << body;
  }
}

TEST(Convert, LayersOfOneTypeCanDiffer) {
  ModelBuilder builder;
  Module first = builder.linear(24, 24);
  Module second(first._ivalue()->compilation_unit(), first.type());
  second.setattr("weight", at::randn({24, 24}));
  second.setattr("bias", at::randn({24}));
  Module model = builder.module("Pair");
  model.register_module("first", first);
  model.register_module("second", second);
  model.define("def forward(self, x):\n  return self.second.forward(self.first.forward(x))\n");
  at::Tensor x = at::randn({3, 24});
  ConvertOptions options = withRules({"int4:g8"});
  options.exclude = {"second"};
  ConvertReport report = convert(model, options);
  EXPECT_THAT(names(report), ElementsAre("first"));
  EXPECT_TRUE(model.attr("second").toModule().attr("weight").isTensor());
  at::Tensor inner = model.attr("first").toModule().forward({x}).toTensor();
  EXPECT_TRUE(at::equal(run(model, x), second.forward({inner}).toTensor()));
}

TEST(Convert, SharedWeightStaysShared) {
  ModelBuilder builder;
  at::Tensor weight = at::randn({24, 24});
  Module model = builder.module("Tied");
  model.register_module("a", builder.linear(24, 24, weight));
  model.register_module("b", builder.linear(24, 24, weight));
  model.define("def forward(self, x):\n  return self.b.forward(self.a.forward(x))\n");
  Module other = model.copy();
  ConvertReport report = convert(model, withRules({"int8"}));
  EXPECT_THAT(names(report), ElementsAre("a, b"));
  EXPECT_EQ(model.attr("a").toModule().attr("weight").toCustomClass<PackedWeight>(),
            model.attr("b").toModule().attr("weight").toCustomClass<PackedWeight>());

  ConvertOptions options = withRules({"int8"});
  options.exclude = {"^b$"};
  EXPECT_THAT(refusal(other, options),
              HasSubstr("'a' and 'b' share one weight, but the rules give int8 to the first and "
                        "no format to the second"));
}

TEST(Convert, WeightOfBothKindsIsKept) {
  ModelBuilder builder;
  at::Tensor weight = at::randn({24, 24});
  Module model = builder.module("Tied");
  model.register_module("words", builder.embedding(24, 24, weight));
  model.register_module("mid", builder.linear(24, 24));
  model.register_module("head", builder.linear(24, 24, weight));
  model.define("def forward(self, x):\n  return self.head.forward(self.mid.forward(self.words.forward(x)))\n");
  ConvertReport report = convert(model, withRules({"int8"}));
  EXPECT_THAT(names(report), ElementsAre("mid"));
  EXPECT_THAT(report.kept[0].reason, HasSubstr("shared between an embedding and a linear layer, 'words' and 'head'"));
  EXPECT_THAT(refusal(model, withRules({"words=int8"})),
              HasSubstr("rule 'words=int8' has no effect: its weight is shared"));
}

TEST(Convert, WeightWithAnotherUseIsKept) {
  ModelBuilder builder;
  Module model = builder.module("Norm");
  model.register_module("mid", builder.linear(24, 24));
  model.register_parameter("w", at::randn({24, 24}), false);
  model.define("def forward(self, x):\n  return torch.linear(self.mid.forward(x), self.w) + self.w.sum()\n");
  ConvertReport report = convert(model, withRules({"int8"}));
  EXPECT_THAT(names(report), ElementsAre("mid"));
  EXPECT_EQ(report.kept[0].name, "w");
  EXPECT_THAT(report.kept[0].reason, HasSubstr("also used by aten::sum"));
}

/// Bytes of the tensors that the model's modules hold, each memory counted once, packed weights as canonical tensors.
static int64_t bytesHeld(const Module &model) {
  std::set<const void *> seen;
  int64_t sum = 0;
  for (const Module &module : model.modules())
    for (const c10::IValue &value : module._ivalue()->slots())
      if (value.isTensor() && seen.insert(value.toTensor().const_data_ptr()).second)
        sum += static_cast<int64_t>(value.toTensor().nbytes());
      else if (value.isCustomClass() && seen.insert(value.toCustomClass<PackedWeight>().get()).second)
        sum += value.toCustomClass<PackedWeight>()->bytes();
  return sum;
}

TEST(Convert, WeightTiedToAPlaceThatIsNoLayerIsKept) {
  for (bool headFirst : {false, true}) {
    for (const char *use : {"torch.matmul(x, self.weight.t())", "x + 1"}) {
      ModelBuilder builder;
      at::Tensor weight = at::randn({24, 24});
      Module head = builder.module("Head");
      // As a model that was loaded ties its tensors: by their memory.
      head.register_parameter("weight", weight.view({24, 24}), false);
      head.define("def forward(self, x):\n  return " + std::string(use) + "\n");
      Module model = builder.module("Tied");
      if (headFirst)
        model.register_module("head", head);
      model.register_module("words", builder.embedding(24, 24, weight));
      model.register_module("mid", builder.linear(24, 24));
      if (!headFirst)
        model.register_module("head", head);
      model.define("def forward(self, x):\n  return self.head.forward(self.mid.forward(self.words.forward(x)))\n");
      int64_t floatBytes = bytesHeld(model);
      EXPECT_THAT(refusal(model, withRules({"words=int8"})),
                  HasSubstr(*use == 't' ? "its weight is also 'head.weight', used by aten::t"
                                        : "its weight is also 'head.weight', which no layer uses"));
      ConvertReport report = convert(model, withRules({"int8"}));
      EXPECT_THAT(names(report), ElementsAre("mid"));
      EXPECT_EQ(report.kept.size(), 2u);
      for (const KeptTensor &tensor : report.kept)
        EXPECT_EQ(tensor.reason.empty(), tensor.name == "mid.bias") << tensor.name;
      EXPECT_EQ(report.floatBytes(), floatBytes);
      EXPECT_EQ(report.bytes(), bytesHeld(model));
    }
  }
}

TEST(Convert, SubmoduleWhoseActivationIsTakenInReturnsItWhenCalledAlone) {
  ModelBuilder builder;
  Module inner = builder.module("Inner");
  inner.register_module("fc", builder.linear(8, 24));
  inner.define("def forward(self, x):\n  return self.fc.forward(x)\n");
  Module model = builder.module("Outer");
  model.register_module("inner", inner);
  model.register_module("act", builder.activation("torch.relu(x)"));
  model.define("def forward(self, x):\n  return self.act.forward(self.inner.forward(x))\n");
  convert(model, withRules({"int8"}));
  at::Tensor x = at::randn({3, 24});
  EXPECT_TRUE(at::equal(model.attr("inner").toModule().forward({x}).toTensor(), run(model, x)));
}

TEST(Convert, RefusesRulesWithoutEffect) {
  ModelBuilder builder;
  Module model = builder.encoder();
  EXPECT_THAT(refusal(model, withRules({"int8", "encoder=int4"})),
              HasSubstr("rule 'encoder=int4' matches no layer; the model has head, words, up, ... (4 layers)"));
  EXPECT_THAT(refusal(model, withRules({"up=int4", "int8"})),
              HasSubstr("rule 'up=int4' has no effect: every layer it matches is matched by a later rule"));
  EXPECT_THAT(refusal(model, withRules({"[=int4"})), HasSubstr("pattern '[' is no regular expression"));
  EXPECT_THAT(refusal(model, withRules({"lut4"})), HasSubstr("lut4 cannot be quantized to"));
  EXPECT_THAT(refusal(model, withRules({})), HasSubstr("no format is given"));
  ConvertOptions options = withRules({"int8", "up=int4"});
  options.exclude = {"up"};
  EXPECT_THAT(refusal(model, options), HasSubstr("'up=int4' has no effect: every layer it matches is excluded"));
  options = withRules({"int8"});
  options.exclude = {"LayerNorm"};
  EXPECT_THAT(refusal(model, options), HasSubstr("exclude pattern 'LayerNorm' matches no layer"));
  options = withRules({"int8"});
  options.include = {"nothing"};
  EXPECT_THAT(refusal(model, options), HasSubstr("include pattern 'nothing' matches no layer"));
}

TEST(Convert, RefusesWeightsThatCannotBeQuantized) {
  ModelBuilder builder;
  Module model = builder.encoder();
  at::Tensor weight = model.attr("down").toModule().attr("weight").toTensor();
  at::Tensor saved = weight.clone();
  weight[3][4] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(refusal(model, withRules({"int8"})),
              HasSubstr("layer 'down': its weight [24, 32] holds NaN or infinity"));
  weight.copy_(saved);
  weight[0][0] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(refusal(model, withRules({"int8"})), HasSubstr("layer 'down'"));
  weight.copy_(saved);
  model.to(at::kDouble);
  EXPECT_THAT(refusal(model, withRules({"int8"})), HasSubstr("is Double: use Float, Half or BFloat16"));
}

TEST(Convert, RefusesAModelWithoutNamedWeights) {
  ModelBuilder builder;
  Module model = builder.module("Empty");
  model.define("def forward(self, x):\n  return x + 1\n");
  EXPECT_THAT(refusal(model, withRules({"int8"})),
              HasSubstr("no linear, convolution or embedding layer whose weight is a named tensor"));
}

TEST(Convert, RefusesAModelThatIsQuantized) {
  ModelBuilder builder;
  Module model = builder.encoder();
  convert(model, withRules({"int8", "words=int8"}));
  EXPECT_THAT(refusal(model, withRules({"int8"})), HasSubstr("every layer of the model is quantized already"));
}

TEST(Convert, RefusesWeightsOnOtherDevices) {
  ModelBuilder builder;
  Module model = builder.module("Meta");
  model.register_module("up", builder.linear(8, 24, at::empty({8, 24}, at::kMeta)));
  model.define("def forward(self, x):\n  return self.up.forward(x)\n");
  EXPECT_THAT(refusal(model, withRules({"int8"})), HasSubstr("layer 'up': expected its weight on cpu, got meta"));
}

TEST(Convert, ProgressIsToldAndCanStopIt) {
  ModelBuilder builder;
  Module model = builder.encoder();
  std::vector<std::string> seen;
  ConvertOptions options = withRules({"int8"});
  options.progress = [&](const LayerReport &layer, size_t done, size_t total) {
    seen.push_back(layer.name + " " + std::to_string(done) + "/" + std::to_string(total));
    TORCH_CHECK(done < 2, "stopped");
  };
  EXPECT_THAT(refusal(model, options), HasSubstr("stopped"));
  EXPECT_THAT(seen, ElementsAre("head 1/3", "up 2/3"));
}

TEST(Convert, HalfModelsKeepTheirType) {
  ModelBuilder builder;
  Module model = builder.encoder();
  model.to(at::kBFloat16);
  ConvertReport report = convert(model, withRules({"int8", "words=int8"}));
  EXPECT_EQ(run(model, indices).scalar_type(), at::kBFloat16);
  EXPECT_EQ(report.layers[1].bytes, 11 * 24 + 11 * 2);
}

TEST(Convert, SavedBytesDoNotDependOnRuns) {
  ModelBuilder builder;
  Module model = builder.encoder();
  convert(model, withRules({"uint4:g16", "words=int8"}));
  std::stringstream before, after;
  model.save(before);
  at::Tensor result = run(model, indices);
  model.save(after);
  EXPECT_TRUE(before.str() == after.str());
  Module loaded = torch::jit::load(before);
  EXPECT_TRUE(at::equal(run(loaded, indices), result));
}
