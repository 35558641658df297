// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// DiffQ: bits and logits, rounding, noise, packings.
#include "quantizers/Mixed.h"
#include "quantizers/diffq/BitLogits.h"
#include "quantizers/diffq/BitPlanes.h"
#include "quantizers/diffq/UpstreamNoise.h"
#include "tools/bq-golden/OpTable.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/utils.h>

using namespace bq;
using namespace bq::golden;

using at::Tensor;

namespace {

/// d sum(value) / d leaf.
Tensor gradientOf(const Tensor &value, const Tensor &leaf) {
  return torch::autograd::grad({value.sum()}, {leaf}, {}, /*retain_graph=*/true)[0];
}

diffq::BitLogits bitLogits(const Case &given) {
  const std::string param = given.text("param", "bits");
  TORCH_CHECK(param == "bits" || param == "noise", "param is '", param, "', use bits or noise");
  return {given.number("min_bits", 2), given.number("max_bits", 15), param == "noise"};
}

Results uniformQuantize(const Case &given) {
  const Tensor weight = given.input("p");
  const int64_t groupSize = given.integer("group_size", 0);
  Tensor bits = given.optionalInput("bits");
  if (!bits.defined())
    bits = at::full({diffq::groupCount(weight.numel(), groupSize)}, given.integer("bits"), at::kByte);
  const MixedWeight packed = quantizeMixed(weight, bits, groupSize);
  const MixedLevels levels = unpackMixed(packed);
  return {{{"levels", given.has("group_size") ? levels.levels : levels.levels.view(weight.sizes())},
           {"min_max", at::tensor({levels.min, levels.max}, at::kDouble)},
           {"dequantized", dequantizeMixed(packed)}}};
}

Results bitsFromLogit(const Case &given) {
  const diffq::BitLogits rule = bitLogits(given);
  const Tensor logit = given.input("logit").requires_grad_();
  const Tensor bits = rule.bits(logit), scale = rule.noiseScale(logit);
  return {{{"init_logit", at::scalar_tensor(rule.logitOf(given.number("init_bits", 8)), at::kFloat)},
           {"bits", bits.detach()},
           {"noise_scale", scale.detach()},
           {"dbits_dlogit", gradientOf(bits, logit)},
           {"dscale_dlogit", gradientOf(scale, logit)}}};
}

Results trainingNoise(const Case &given) {
  const std::string noise = given.text("noise", "gaussian");
  TORCH_CHECK(noise == "gaussian" || noise == "uniform", "noise is '", noise, "', use gaussian or uniform");
  const Tensor weight = given.input("p").requires_grad_(), logit = given.input("logit").requires_grad_();
  const Tensor noisy =
      diffq::addNoise(weight, bitLogits(given).bits(logit), given.integer("group_size", 1),
                      noise == "uniform" ? NoiseKind::Uniform : NoiseKind::Gaussian, given.input("raw_noise"));
  const auto gradients = torch::autograd::grad({noisy}, {weight, logit}, {given.input("grad_out")});
  return {{{"noisy", noisy.detach()}, {"grad_p", gradients[0]}, {"grad_logit", gradients[1]}}};
}

/// Throws where unpacking does not give the values back.
Tensor checkedPlanes(const Tensor &values, const Tensor &packed, const Tensor &unpacked) {
  TORCH_CHECK(unpacked.equal(values.to(at::kShort).reshape({-1})), "unpacking gives other values");
  return packed;
}

Results bitPacking(const Case &given) {
  const Tensor values = given.input("values");
  const int64_t bits = given.integer("nbits", 0), count = values.numel();
  const Tensor lines = diffq::packLines(values, bits), words = diffq::packStrided(values, bits);
  return {{{"bitpack_int64", checkedPlanes(values, lines, diffq::unpackLines(lines, count))},
           {"torch_pack_int16", checkedPlanes(values, words, diffq::unpackStrided(words, count))}}};
}

Results bitPackingTorch(const Case &given) {
  const std::map<std::string, at::ScalarType> types{
      {"uint8", at::kByte}, {"int16", at::kShort}, {"int32", at::kInt}, {"int64", at::kLong}};
  const std::string name = given.text("storage", "int16");
  const auto type = types.find(name);
  TORCH_CHECK(type != types.end(), "storage is '", name, "', use uint8, int16, int32 or int64");
  const Tensor values = given.input("values");
  const Tensor packed = diffq::packStrided(values, given.integer("nbits", 0), type->second);
  return {{{"packed", checkedPlanes(values, packed, diffq::unpackStrided(packed, values.numel()))}}};
}

} // namespace

void golden::addDiffqOps(OpTable &table) {
  auto &ops = table["diffq"];
  ops["uniform_quantize"] = {uniformQuantize, {}};
  ops["bits_from_logit"] = {bitsFromLogit, {}};
  ops["training_noise"] = {trainingNoise, {}};
  ops["bit_packing"] = {bitPacking, {}};
  ops["bit_packing_torch"] = {bitPackingTorch, {}};
}
