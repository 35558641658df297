// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The quantizer that a state was made by, from what the state says.
#include "quantizers/diffq/DiffQuantizer.h"
#include "quantizers/diffq/LSQ.h"
#include "quantizers/diffq/StateText.h"
#include "quantizers/diffq/UniformQuantizer.h"

#include <nlohmann/json.hpp>

using namespace bq;
using namespace bq::diffq;
using Json = nlohmann::json;

static constexpr const char *name = "restoreQuantizedState";

namespace {

/// Options that all quantizers have.
template <typename Options>
Options common(const Json &json) {
  Options options;
  options.min_size(json.at("min_size")).float16(json.at("float16")).detect_bound(json.at("detect_bound"));
  options.exclude(json.at("exclude").get<std::vector<std::string>>());
  options.upstream_compatible(json.at("upstream_compatible"));
  return options;
}

DiffQuantizerOptions diffOptions(const Json &json) {
  auto options = common<DiffQuantizerOptions>(json);
  options.group_size(json.at("group_size")).min_bits(json.at("min_bits")).max_bits(json.at("max_bits"));
  options.param(json.at("param").get<std::string>()).noise(json.at("noise").get<std::string>());
  options.init_bits(json.at("init_bits")).extra_bits(json.at("extra_bits"));
  return options.suffix(json.at("suffix").get<std::string>());
}

LSQOptions lsqOptions(const Json &json) {
  return common<LSQOptions>(json).bits(json.at("bits")).suffix(json.at("suffix").get<std::string>());
}

UniformQuantizerOptions uniformOptions(const Json &json) {
  return common<UniformQuantizerOptions>(json).bits(json.at("bits")).qat(json.at("qat"));
}

template <typename Model>
void restore(Model &model, const QuantizedState &state) {
  const StateText text = StateText::parse(name, state);
  const Json options = Json::parse(text.options);
  try {
    if (text.kind == "DiffQuantizer")
      DiffQuantizer(model, diffOptions(options)).restoreQuantizedState(state);
    else if (text.kind == "LSQ")
      LSQ(model, lsqOptions(options)).restoreQuantizedState(state);
    else if (text.kind == "UniformQuantizer")
      UniformQuantizer(model, uniformOptions(options)).restoreQuantizedState(state);
    else
      TORCH_CHECK(false, name, ": the state is of a quantizer '", text.kind,
                  "', expected DiffQuantizer, LSQ or UniformQuantizer");
  } catch (const Json::exception &error) {
    TORCH_CHECK(false, name, ": the state's options of ", text.kind, " are damaged: ", error.what());
  }
}

} // namespace

void bq::restoreQuantizedState(torch::nn::Module &model, const QuantizedState &state) { restore(model, state); }

void bq::restoreQuantizedState(const torch::jit::Module &model, const QuantizedState &state) { restore(model, state); }
