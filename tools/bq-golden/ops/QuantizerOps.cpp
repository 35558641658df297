// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Quantizers of bitorch-engine with one scale for a tensor or a row, and the bit orders of its 4-bit and binary
/// layers.
#include "quantizers/nbit/Packing.h"
#include "quantizers/nbit/TensorQuant.h"
#include "tools/bq-golden/OpTable.h"

using namespace bq;
using namespace bq::golden;

namespace {

Results nvTensorQuant(const Case &given) {
  TensorQuantOptions options;
  options.bits = given.integer("num_bits", 8);
  options.isUnsigned = given.flag("unsigned", false);
  options.narrowRange = given.flag("narrow_range", true);
  options.upstreamCompatible = true;
  std::optional<at::Tensor> maximum;
  if (at::Tensor amax = given.optionalInput("amax"); amax.defined())
    maximum = amax;
  auto [integers, scale] = tensorQuant(given.input("x"), maximum, options);
  return {{{"q", integers}, {"scale", scale}}};
}

/// An op for `bits` bits, with a scale of its own and with a given one.
Op quantization(int64_t bits) {
  return [bits](const Case &given) {
    const double eps = given.number("eps", 1e-5);
    at::Tensor x = given.input("x");
    auto [automatic, scale] = quantizeByMean(x, bits, std::nullopt, eps);
    Results results{{{"q_auto", automatic}, {"scale_auto", scale}}};
    if (given.has("given_scale"))
      results.tensors["q_given"] =
          quantizeByMean(x, bits, at::full({}, given.number("given_scale"), x.options()), eps).first;
    return results;
  };
}

Results initWeight(const Case &given) {
  auto [integers, scale] = initBinaryWeight(given.input("weight"), /*upstreamCompatible=*/true);
  return {{{"int8", integers}, {"scale", scale}}};
}

Results nibblePacking(const Case &given) {
  at::Tensor integers = given.input("q");
  at::Tensor packed = packNibbles(integers);
  at::Tensor unpacked = unpackNibbles(packed, integers.size(-1));
  return {{{"packed", packed}, {"unpacked_times_0.25", unpacked.to(at::kFloat) * 0.25}}};
}

Results binaryPacking(const Case &given) {
  return {{{"packed", packSigns(given.input("x"), given.integer("bits_per_word", 8))}}};
}

} // namespace

void golden::addQuantizerOps(OpTable &table) {
  auto &ops = table["bitorch-engine"];
  ops["nv_tensor_quant"] = {nvTensorQuant, {}};
  ops["q8_quantization"] = {quantization(8), {}};
  ops["q4_quantization"] = {quantization(4), {}};
  ops["init_weight"] = {initWeight, {}};
  ops["q4_nibble_packing"] = {nibblePacking, {}};
  ops["binary_packing"] = {binaryPacking, {}};
}
