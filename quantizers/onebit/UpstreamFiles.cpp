// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/PickleFile.h"
#include "quantizers/nbit/Packing.h"
#include "quantizers/onebit/OneBitFiles.h"
#include "quantizers/onebit/SignBits.h"

#include <fstream>
#include <regex>
#include <string_view>

using namespace bq;
using namespace bq::onebit;

using at::Tensor;

namespace {

using Tensors = std::map<std::string, Tensor>;

constexpr std::string_view signKey = ".sign_packed";

bool endsWith(const std::string &text, std::string_view ending) {
  return text.size() >= ending.size() && text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

void writeDictionary(const std::string &path, const Tensors &tensors) {
  c10::Dict<std::string, Tensor> dictionary;
  for (const auto &[name, tensor] : tensors)
    dictionary.insert(name, tensor);
  writePickle(path, dictionary);
}

Tensors readDictionary(const std::string &path) {
  const c10::IValue value = readPickle(path, "a dictionary of tensors");
  TORCH_CHECK(value.isGenericDict(), path, ": holds ", value.tagKind(), ", expected a dictionary of tensors");
  Tensors tensors;
  for (const auto &entry : value.toGenericDict()) {
    TORCH_CHECK(entry.key().isString() && entry.value().isTensor(), path, ": holds an entry of ", entry.key().tagKind(),
                " and ", entry.value().tagKind(), ", expected names and tensors");
    tensors[entry.key().toStringRef()] = entry.value().toTensor().to(at::kCPU);
  }
  return tensors;
}

Tensors readTensors(const std::string &path) {
  char magic[4] = {};
  std::ifstream(path, std::ios::binary).read(magic, sizeof(magic));
  return std::string_view(magic, sizeof(magic)) == "PK\x03\x04" ? readDictionary(path) : readSafeTensors(path).tensors;
}

/// The vector of a layer, in half.
Tensor vectorOf(const std::string &path, const Tensors &tensors, const std::string &name) {
  auto found = tensors.find(name);
  TORCH_CHECK(found != tensors.end(), path, ": tensor '", name, "' is missing");
  TORCH_CHECK(found->second.dim() == 1 && found->second.is_floating_point(), path, ": tensor '", name, "' is ",
              found->second.scalar_type(), " ", found->second.sizes(), ", expected a vector of floats");
  return found->second.to(at::kHalf);
}

void checkFeatures(const std::string &path, const Tensors &tensors, const std::string &name, int64_t expected) {
  auto found = tensors.find(name);
  if (found == tensors.end())
    return;
  const Tensor &value = found->second;
  TORCH_CHECK(value.numel() == 1 && at::isIntegralType(value.scalar_type(), false) &&
                  value.to(at::kLong).item<int64_t>() == expected,
              path, ": tensor '", name, "' is not ", expected, ", the length of the layer's factors");
}

} // namespace

void bq::onebit::saveUpstream(const std::string &path, const UpstreamLayers &layers) {
  static const std::regex known("model\\.layers\\.[0-9]+\\..+");
  Tensors tensors;
  for (const auto &[name, result] : layers.results) {
    TORCH_CHECK(std::regex_match(name, known), path, ": layer '", name,
                "': OneCompression knows layers by the names model.layers.<i>.<path> only");
    TORCH_CHECK(!result.unfolded.defined(), path, ": layer '", name,
                "': a and b of upstream's balancing lack its factors; quantize without upstream_compatible");
    Tensor signs = unpackRows(result.sign, 1, result.inFeatures()).to(at::kChar) * 2 - 1;
    tensors[name + ".a"] = result.a;
    tensors[name + ".b"] = result.b;
    tensors[name + std::string(signKey)] = onebit::packSigns(signs);
    tensors[name + ".out_features"] = at::scalar_tensor(result.outFeatures(), at::kLong);
    tensors[name + ".in_features"] = at::scalar_tensor(result.inFeatures(), at::kLong);
  }
  for (const auto &[name, bias] : layers.biases) {
    auto result = layers.results.find(name);
    TORCH_CHECK(result != layers.results.end(), path, ": there is a bias for '", name, "', which is no layer");
    TORCH_CHECK(bias.sizes() == at::IntArrayRef({result->second.outFeatures()}), path, ": layer '", name,
                "': the bias is ", bias.sizes(), ", expected [", result->second.outFeatures(), "]");
    tensors[name + ".bias"] = bias.detach();
  }
  if (!endsWith(path, ".safetensors"))
    return writeDictionary(path, tensors);
  writeSafeTensors(path, {tensors,
                          {{"format", "onecompression.onebit"},
                           {"version", "1"},
                           {"sign_order", "all rows as one stream, most significant bit first, 1 is +1"}}});
}

UpstreamLayers bq::onebit::loadUpstream(const std::string &path) {
  const Tensors tensors = readTensors(path);
  UpstreamLayers layers;
  for (const auto &[key, packed] : tensors) {
    if (!endsWith(key, signKey))
      continue;
    const std::string name = key.substr(0, key.size() - signKey.size());
    OneBitResult result;
    result.a = vectorOf(path, tensors, name + ".a");
    result.b = vectorOf(path, tensors, name + ".b");
    const int64_t n = result.outFeatures(), k = result.inFeatures();
    checkFeatures(path, tensors, name + ".out_features", n);
    checkFeatures(path, tensors, name + ".in_features", k);
    TORCH_CHECK(packed.scalar_type() == at::kByte && packed.sizes() == at::IntArrayRef({(n * k + 7) / 8}), path,
                ": tensor '", key, "' is ", packed.scalar_type(), " ", packed.sizes(), ", ", n, " x ", k,
                " signs are Byte [", (n * k + 7) / 8, "]");
    result.sign = packRows(onebit::unpackSigns(packed, n, k).gt(0).to(at::kByte), 1);
    layers.results[name] = std::move(result);
    if (auto bias = tensors.find(name + ".bias"); bias != tensors.end()) {
      TORCH_CHECK(bias->second.sizes() == at::IntArrayRef({n}), path, ": tensor '", name, ".bias' is ",
                  bias->second.sizes(), ", expected [", n, "]");
      layers.biases[name] = bias->second;
    }
  }
  TORCH_CHECK(!layers.results.empty(), path, ": holds no tensor whose name ends in ", signKey,
              "; it is no dictionary of OneBit layers");
  return layers;
}
