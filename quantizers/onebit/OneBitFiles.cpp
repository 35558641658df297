// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/OneBitFiles.h"

#include <nlohmann/json.hpp>

using namespace bq;
using namespace bq::onebit;

using at::Tensor;
using Json = nlohmann::json;

namespace {

constexpr const char *formatName = "bq.onebit";
constexpr const char *version = "1";
constexpr const char *signOrder = "each row in whole bytes, least significant bit first, 1 is +1";

/// The model itself can be a layer, which has no name.
std::string tensorName(const std::string &layer, const char *part) { return layer.empty() ? part : layer + "." + part; }

Json toJson(const std::optional<SquaredError> &error) {
  if (!error)
    return nullptr;
  return {{"sum", error->sum},
          {"mean", error->mean},
          {"relative", error->relative ? Json(*error->relative) : Json(nullptr)}};
}

std::optional<SquaredError> errorOf(const Json &json) {
  if (json.is_null())
    return std::nullopt;
  SquaredError error{json.at("sum").get<double>(), json.at("mean").get<double>(), std::nullopt};
  if (!json.at("relative").is_null())
    error.relative = json.at("relative").get<double>();
  return error;
}

Json toJson(const OneBitResult &result) {
  return {{"is_transposed", result.isTransposed},
          {"quantization_time", result.quantizationTime},
          {"output_error", toJson(result.outputError)},
          {"weight_error", toJson(result.weightError)},
          {"iters", result.iters},
          {"use_importance_scaling", result.useImportanceScaling},
          {"use_balancing", result.useBalancing},
          {"balance_iters", result.balanceIters},
          {"balance_alpha", result.balanceAlpha}};
}

/// Throws Json::exception where a field is missing or of another type.
OneBitResult resultOf(const Json &json) {
  OneBitResult result;
  result.isTransposed = json.at("is_transposed").get<bool>();
  result.quantizationTime = json.at("quantization_time").get<double>();
  result.outputError = errorOf(json.at("output_error"));
  result.weightError = errorOf(json.at("weight_error"));
  result.iters = json.at("iters").get<int64_t>();
  result.useImportanceScaling = json.at("use_importance_scaling").get<bool>();
  result.useBalancing = json.at("use_balancing").get<bool>();
  result.balanceIters = json.at("balance_iters").get<int64_t>();
  result.balanceAlpha = json.at("balance_alpha").get<double>();
  return result;
}

/// Takes tensors out of a file, checked.
class Reader {
public:
  Reader(const std::string &path, std::map<std::string, Tensor> tensors) : path(path), tensors(std::move(tensors)) {}

  Tensor take(const std::string &name, at::ScalarType type, int64_t dimensions) {
    Tensor tensor = takeIfThere(name, type, dimensions);
    TORCH_CHECK(tensor.defined(), path, ": tensor '", name, "' is missing");
    return tensor;
  }
  Tensor takeIfThere(const std::string &name, at::ScalarType type, int64_t dimensions) {
    auto found = tensors.find(name);
    if (found == tensors.end())
      return {};
    Tensor tensor = std::move(found->second);
    tensors.erase(found);
    TORCH_CHECK(tensor.scalar_type() == type && tensor.dim() == dimensions, path, ": tensor '", name, "' is ",
                tensor.scalar_type(), " ", tensor.sizes(), ", expected ", type, " with ", dimensions, " dimensions");
    return tensor;
  }
  void checkSizes(const std::string &name, const Tensor &tensor, at::IntArrayRef sizes) const {
    TORCH_CHECK(tensor.sizes() == sizes, path, ": tensor '", name, "' is ", tensor.sizes(), ", expected ", sizes);
  }
  void checkAllTaken() const {
    TORCH_CHECK(tensors.empty(), path, ": tensor '", tensors.begin()->first, "' belongs to no layer");
  }

private:
  const std::string &path;
  std::map<std::string, Tensor> tensors;
};

std::string metadataOf(const std::string &path, const SafeTensors &contents, const char *key) {
  auto found = contents.metadata.find(key);
  TORCH_CHECK(found != contents.metadata.end(), path, ": metadata '", key,
              "' is missing; it is no file of OneBit results");
  return found->second;
}

} // namespace

void bq::onebit::saveResults(const std::string &path, const OneBitResults &results) {
  SafeTensors contents;
  Json layers = Json::object();
  for (const auto &[name, result] : results) {
    contents.tensors[tensorName(name, "a")] = result.a;
    contents.tensors[tensorName(name, "b")] = result.b;
    contents.tensors[tensorName(name, "sign")] = result.sign;
    if (result.unfolded.defined())
      contents.tensors[tensorName(name, "dequantized_weight")] = result.unfolded;
    if (result.xtx.defined())
      contents.tensors[tensorName(name, "xtx")] = result.xtx;
    layers[name] = toJson(result);
  }
  contents.metadata = {
      {"format", formatName}, {"version", version}, {"sign_order", signOrder}, {"layers", layers.dump()}};
  writeSafeTensors(path, contents);
}

OneBitResults bq::onebit::loadResults(const std::string &path) {
  SafeTensors contents = readSafeTensors(path);
  for (const auto &[key, expected] :
       {std::pair("format", formatName), std::pair("version", version), std::pair("sign_order", signOrder)}) {
    const std::string value = metadataOf(path, contents, key);
    TORCH_CHECK(value == expected, path, ": metadata '", key, "' is '", value, "', this build of bq reads '", expected,
                "'");
  }
  const std::string layers = metadataOf(path, contents, "layers");
  OneBitResults results;
  try {
    const Json parsed = Json::parse(layers);
    for (const auto &[name, fields] : parsed.items())
      results[name] = resultOf(fields);
  } catch (const Json::exception &error) {
    TORCH_CHECK(false, path, ": metadata 'layers' is damaged: ", error.what());
  }
  Reader reader(path, std::move(contents.tensors));
  for (auto &[name, result] : results) {
    result.a = reader.take(tensorName(name, "a"), at::kHalf, 1);
    result.b = reader.take(tensorName(name, "b"), at::kHalf, 1);
    result.sign = reader.take(tensorName(name, "sign"), at::kByte, 2);
    const int64_t n = result.outFeatures(), k = result.inFeatures();
    reader.checkSizes(tensorName(name, "sign"), result.sign, {n, (k + 7) / 8});
    result.unfolded = reader.takeIfThere(tensorName(name, "dequantized_weight"), at::kHalf, 2);
    if (result.unfolded.defined())
      reader.checkSizes(tensorName(name, "dequantized_weight"), result.unfolded, {n, k});
    result.xtx = reader.takeIfThere(tensorName(name, "xtx"), at::kDouble, 2);
    if (result.xtx.defined())
      reader.checkSizes(tensorName(name, "xtx"), result.xtx, {k, k});
  }
  reader.checkAllTaken();
  return results;
}
