// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/StateText.h"

#include <nlohmann/json.hpp>

using namespace bq;
using namespace bq::diffq;
using Json = nlohmann::json;

static constexpr int64_t version = 1;

std::string StateText::str() const {
  Json object{{"version", version}, {"quantizer", kind},         {"options", Json::parse(options)},
              {"packed", packed},   {"weights", Json::object()}, {"bound", bound}};
  for (const auto &[name, weight] : weights)
    object["weights"][name] = {{"shape", weight.shape}, {"group_size", weight.groupSize}};
  return object.dump();
}

StateText StateText::parse(const char *reader, const SafeTensors &state) {
  const auto found = state.metadata.find(key);
  TORCH_CHECK(found != state.metadata.end(), reader, ": the state has no metadata '", key,
              "': it is no quantized state");
  const Json object = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  try {
    TORCH_CHECK(object.at("version") == version, reader, ": the state has version ", object.at("version").dump(),
                ", expected ", version);
    StateText text{object.at("quantizer"), object.at("options").dump(), object.at("packed"), {}, object.at("bound")};
    for (const auto &[name, weight] : object.at("weights").items())
      text.weights[name] = {weight.at("shape"), weight.at("group_size")};
    return text;
  } catch (const Json::exception &error) {
    TORCH_CHECK(false, reader, ": the state's metadata '", key, "' are damaged: ", error.what());
  }
}
