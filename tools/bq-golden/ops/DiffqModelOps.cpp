// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// DiffQ: quantizers of models, their sizes and states.
#include "quantizers/diffq/DiffQuantizer.h"
#include "quantizers/diffq/LSQ.h"
#include "quantizers/diffq/UniformQuantizer.h"
#include "quantizers/diffq/UpstreamState.h"
#include "tools/bq-golden/OpTable.h"
#include "tools/bq-golden/ops/DiffqModel.h"

#include <torch/utils.h>

using namespace bq;
using namespace bq::golden;

using at::Tensor;

namespace {

/// Those of the arguments of upstream's constructor that `given` has.
DiffQuantizerOptions optionsOf(const Case &given) {
  DiffQuantizerOptions options;
  options.upstream_compatible(true);
  options.group_size(given.integer("group_size", 1)).min_size(given.number("min_size", options.min_size()));
  options.min_bits(given.number("min_bits", 2)).max_bits(given.number("max_bits", 15));
  // Some cases bring logits of their own and bounds without 8 between them.
  const bool fits = options.min_bits() < 8 && 8 < options.max_bits();
  options.init_bits(given.number("init_bits", fits ? 8 : (options.min_bits() + options.max_bits()) / 2));
  options.extra_bits(given.number("extra_bits", 0)).float16(given.flag("float16", false));
  options.param(given.text("param", "bits")).noise(given.text("noise", "gaussian"));
  options.suffix(given.text("suffix", "_diffq")).detect_bound(given.flag("detect_bound", true));
  if (given.has("exclude"))
    options.exclude(given.params.at("exclude").get<std::vector<std::string>>());
  return options;
}

std::vector<std::string> quantizedNames(const ModelQuantizer &quantizer) {
  std::vector<std::string> names;
  for (const QuantizedParameter &entry : quantizer.quantizedParameters())
    names.push_back(entry.name);
  return names;
}

void checkNames(const nlohmann::json &params, const char *key, const std::vector<std::string> &names) {
  std::vector<std::string> expected;
  for (const nlohmann::json &entry : params.value(key, nlohmann::json::array()))
    expected.push_back(entry.is_object() ? entry.at("name") : entry);
  TORCH_CHECK(names == expected, "other parameters are ", key, " than the case has");
}

Results modelSize(const Case &given) {
  const auto model = modelOf(given.params.at("parameters"));
  DiffQuantizer quantizer(*model, optionsOf(given.group("config")));
  checkNames(given.params, "quantized", quantizedNames(quantizer));
  checkNames(given.params, "float16", quantizer.float16Names());
  checkNames(given.params, "others", quantizer.otherNames());
  for (const QuantizedParameter &entry : quantizer.quantizedParameters())
    if (!entry.boundTo)
      entry.learned.detach().copy_(given.input("logit:" + entry.name));
  const Tensor size = quantizer.modelSize();
  if (size.requires_grad())
    size.backward();
  Results results{
      {{"model_size", size.detach()}, {"true_model_size", at::scalar_tensor(quantizer.trueModelSize(), at::kDouble)}}};
  for (const QuantizedParameter &entry : quantizer.quantizedParameters())
    if (!entry.boundTo)
      results.tensors["grad:" + entry.name] = entry.learned.grad();
  return results;
}

Results parameterSelection(const Case &given) {
  const nlohmann::json &described =
      given.params.contains("parameters") ? given.params["parameters"] : given.params.at("model");
  const std::shared_ptr<torch::nn::Module> model =
      described.is_string() ? modelOf(described.get<std::string>()) : modelOf(described);
  const DiffQuantizer quantizer(*model, optionsOf(given.group("config")));
  Results results;
  results.values["quantized"] = quantizedNames(quantizer);
  results.values["float16"] = quantizer.float16Names();
  results.values["others"] = quantizer.otherNames();
  return results;
}

void addPlanes(Results &results, const MixedWeight &weight, int64_t minBits, diffq::PlaneOrder order,
               const std::string &suffix) {
  const diffq::UpstreamWeight planes = diffq::toUpstream(weight, minBits, order);
  const MixedWeight back = diffq::fromUpstream(planes, minBits, order, weight.shape, weight.groupSize);
  TORCH_CHECK(back.codes.equal(weight.codes), "upstream's planes give other codes back");
  results.tensors["packed_bits" + suffix] = planes.bits;
  for (size_t bits = 1; bits <= planes.levels.size(); ++bits)
    if (planes.levels[bits - 1].defined())
      results.tensors["packed_levels" + suffix + "_" + std::to_string(bits)] = planes.levels[bits - 1];
}

Results quantizedState(const Case &given) {
  ParameterTree model;
  model.add("p", given.input("p").requires_grad_());
  const DiffQuantizerOptions options = optionsOf(given).min_size(0);
  DiffQuantizer quantizer(model, options);
  quantizer.quantizedParameters()[0].learned.detach().copy_(given.input("logit"));
  const MixedWeight weight = quantizer.packed("p");
  const MixedLevels levels = unpackMixed(weight);
  Results results{{{"levels", levels.levels},
                   {"bits", levels.bits},
                   {"min_max", at::tensor({levels.min, levels.max}, at::kDouble)}}};
  const auto minBits = static_cast<int64_t>(options.min_bits());
  if (levels.bits.min().item<int64_t>() >= minBits) {
    addPlanes(results, weight, minBits, diffq::PlaneOrder::Lines, "");
    addPlanes(results, weight, minBits, diffq::PlaneOrder::Strided, "_torch");
  }
  ParameterTree restored;
  restored.add("p", at::zeros_like(given.input("p")).requires_grad_());
  restoreQuantizedState(restored, quantizer.getQuantizedState());
  results.tensors["restored"] = restored.parameters()[0].detach();
  return results;
}

/// A module with one parameter for each input that `params` lists; all inputs but for `others` where there is no list.
std::shared_ptr<ParameterTree> modelOfInputs(const Case &given, const std::vector<std::string> &otherwise) {
  auto model = std::make_shared<ParameterTree>();
  for (const std::string &name :
       given.has("params") ? given.params["params"].get<std::vector<std::string>>() : otherwise)
    model->add(name, given.input(name).requires_grad_());
  return model;
}

Results uniformQuantizer(const Case &given) {
  const auto model = modelOfInputs(given, {"weight"});
  UniformQuantizer quantizer(*model, UniformQuantizerOptions()
                                         .bits(given.number("bits", 8))
                                         .min_size(given.number("min_size", 0))
                                         .qat(true)
                                         .upstream_compatible(true));
  Results results{{{"model_size", quantizer.modelSize()},
                   {"true_model_size", at::scalar_tensor(quantizer.trueModelSize(), at::kDouble)}}};
  const WeightScope scope = quantizer.trainingWeights();
  for (const auto &parameter : model->named_parameters())
    results.tensors["qat_" + parameter.key()] = parameter.value().detach().clone();
  return results;
}

Results lsq(const Case &given) {
  const auto model = modelOfInputs(given, {"weight"});
  LSQ quantizer(*model, LSQOptions().bits(given.integer("bits", 8)).min_size(0).upstream_compatible(true));
  const QuantizedParameter &entry = quantizer.quantizedParameters()[0];
  Results results{{{"init_scale", entry.learned.detach().clone()}, {"model_size", quantizer.modelSize()}}};
  entry.learned.detach().copy_(given.input("scale"));
  WeightScope scope = quantizer.trainingWeights();
  results.tensors["qweight"] = entry.parameter.detach().clone();
  entry.parameter.backward(given.input("grad_out"));
  scope.close();
  results.tensors["grad_weight"] = entry.parameter.grad();
  results.tensors["grad_scale"] = entry.learned.grad();
  const int64_t lowest = -(int64_t(1) << (given.integer("bits", 8) - 1));
  results.tensors["index"] =
      (unpackMixed(quantizer.packed(entry.name)).levels + lowest).reshape(entry.parameter.sizes());
  return results;
}

} // namespace

void golden::addDiffqModelOps(OpTable &table) {
  auto &ops = table["diffq"];
  ops["model_size"] = {modelSize, {}};
  ops["parameter_selection"] = {parameterSelection, {}};
  ops["quantized_state"] = {quantizedState, {}};
  ops["quantized_state_15bit"] = {quantizedState, {}};
  ops["quantize_with_extra_bits"] = {quantizedState, {}};
  ops["UniformQuantizer"] = {uniformQuantizer, {}};
  ops["LSQ"] = {lsq, {}};
}
