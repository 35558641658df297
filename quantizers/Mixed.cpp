// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Mixed.h"

#include "quantizers/DiffqNoise.h"
#include "quantizers/Tensors.h"
#include "quantizers/cuda/GpuMixed.h"
#include "runtime/MixedRows.h"
#include "runtime/MixedStream.h"

#include <algorithm>
#include <cmath>

using namespace bq;

using at::Tensor;

namespace {

/// Throws where `bits` is not uint8 [groups]; on the CPU and contiguous.
Tensor checkedBits(const char *op, const Tensor &bits, int64_t groups) {
  TORCH_CHECK(bits.scalar_type() == at::kByte && bits.dim() == 1 && bits.size(0) == groups, op,
              ": expected 'bits' of type Byte [", groups, "], one for each group, got ", bits.scalar_type(), " ",
              shapeText(bits.sizes()));
  return bits.cpu().contiguous();
}

/// Throws where the tensors are not those of a canonical weight.
void checkTensors(const char *op, const MixedWeight &weight) {
  TORCH_CHECK(weight.codes.scalar_type() == at::kByte && weight.codes.dim() == 1 && weight.codes.is_contiguous(), op,
              ": expected contiguous 'codes' of type Byte with one dimension, got ", weight.codes.scalar_type(), " ",
              shapeText(weight.codes.sizes()));
  TORCH_CHECK(weight.scales.scalar_type() == at::kFloat && weight.scales.dim() == 1 && weight.scales.size(0) == 2, op,
              ": expected 'scales' of type Float [2], got ", weight.scales.scalar_type(), " ",
              shapeText(weight.scales.sizes()));
}

/// The stream that a weight on the CPU holds, checked.
MixedStream streamOf(const char *op, const MixedWeight &weight) {
  checkTensors(op, weight);
  return take(op, MixedStream::parse(weight.codes.const_data_ptr<uint8_t>(), weight.codes.numel(),
                                     c10::multiply_integers(weight.shape), weight.groupSize));
}

MixedWeight makeWeight(const MixedStream &stream, const Tensor &bits,
                       const std::function<void(int64_t group, uint16_t *levels)> &levelsOf, double min, double max,
                       at::IntArrayRef shape, int64_t groupSize) {
  MixedWeight weight;
  weight.codes = withSlack(at::empty({stream.bytes()}, at::kByte));
  weight.scales = at::tensor({static_cast<float>(min), static_cast<float>(max)});
  weight.shape = shape.vec();
  weight.groupSize = groupSize;
  stream.write(bits.const_data_ptr<uint8_t>(), levelsOf, weight.codes.mutable_data_ptr<uint8_t>(), parallelFor);
  return weight;
}

MixedWeight quantizeOnGpu(const char *op, const Tensor &weight, const Tensor &widths, const MixedStream &stream,
                          int64_t groupSize) {
  const gpu::Place place = gpu::currentPlace(op, weight.device());
  const WeightRange range = weightRange(weight);
  MixedWeight made;
  made.codes = gpu::quantizeMixed(op, place, weight, widths, stream, range.low, range.high);
  made.scales = at::tensor({range.low, range.high}).to(weight.device());
  made.shape = weight.sizes().vec();
  made.groupSize = groupSize;
  return made;
}

} // namespace

std::string MixedWeight::format() const { return groupSize ? "mixed:g" + std::to_string(groupSize) : "mixed"; }

int64_t MixedWeight::bytes() const { return static_cast<int64_t>(codes.nbytes() + scales.nbytes()); }

MixedWeight bq::packMixed(const Tensor &levels, const Tensor &bits, double min, double max, at::IntArrayRef shape) {
  constexpr const char *op = "bq::packMixed";
  const int64_t weights = c10::multiply_integers(shape);
  TORCH_CHECK((levels.scalar_type() == at::kShort || levels.scalar_type() == at::kByte) && levels.dim() == 2, op,
              ": expected 'levels' of type Short or Byte [groups, G], got ", levels.scalar_type(), " ",
              shapeText(levels.sizes()));
  const int64_t groupSize = levels.size(1);
  TORCH_CHECK(groupSize > 0 && MixedStream::groupCount(weights, groupSize) == levels.size(0), op, ": 'levels' ",
              shapeText(levels.sizes()), " do not fit a weight ", shapeText(shape), ", which has ",
              groupSize > 0 ? MixedStream::groupCount(weights, groupSize) : 0, " groups of ", groupSize);
  TORCH_CHECK(std::isfinite(static_cast<float>(min)) && std::isfinite(static_cast<float>(max)) && min <= max, op,
              ": expected finite 'min' <= 'max' in the range of float, got ", min, " and ", max);
  const Tensor widths = checkedBits(op, bits, levels.size(0)), held = levels.cpu().to(at::kShort).contiguous();
  const auto *data = reinterpret_cast<const uint16_t *>(held.const_data_ptr<int16_t>());
  const uint8_t *width = widths.const_data_ptr<uint8_t>();
  const MixedStream stream = take(op, MixedStream::plan(width, weights, groupSize));
  for (int64_t group = 0; group < stream.groups(); ++group)
    for (int64_t i = 0; i < stream.length(group); ++i)
      TORCH_CHECK(data[group * groupSize + i] >> width[group] == 0, op, ": level ",
                  static_cast<int16_t>(data[group * groupSize + i]), " of group ", group, " does not fit its ",
                  static_cast<int>(width[group]), " bits");
  return makeWeight(
      stream, widths,
      [&](int64_t group, uint16_t *to) { std::copy_n(data + group * groupSize, stream.length(group), to); }, min, max,
      shape, groupSize == weights ? 0 : groupSize);
}

MixedLevels bq::unpackMixed(const MixedWeight &given) {
  const MixedWeight weight{given.codes.cpu(), given.scales.cpu(), given.shape, given.groupSize};
  const MixedStream stream = streamOf("bq::unpackMixed", weight);
  MixedLevels result;
  result.min = static_cast<double>(weight.scales[0].item<float>());
  result.max = static_cast<double>(weight.scales[1].item<float>());
  result.bits = at::empty({stream.groups()}, at::kByte);
  result.levels = at::zeros({stream.groups(), stream.groupSize()}, at::kShort);
  unpackMixedLevels(stream, weight.codes.const_data_ptr<uint8_t>(), result.bits.mutable_data_ptr<uint8_t>(),
                    reinterpret_cast<uint16_t *>(result.levels.mutable_data_ptr<int16_t>()), parallelFor);
  return result;
}

MixedWeight bq::quantizeMixed(const Tensor &weight, const Tensor &bits, int64_t groupSize) {
  constexpr const char *op = "bq::quantizeMixed";
  TORCH_CHECK(groupSize >= 0, op, ": 'groupSize' is ", groupSize, ": use 0 (one group) or more");
  elementType(op, "weight", weight.scalar_type());
  at::NoGradGuard noGrad;
  const int64_t weights = weight.numel();
  const Tensor widths = checkedBits(op, bits, MixedStream::groupCount(weights, groupSize));
  const uint8_t *width = widths.const_data_ptr<uint8_t>();
  const MixedStream stream = take(op, MixedStream::plan(width, weights, groupSize));
  if (weight.is_cuda() && weights)
    return quantizeOnGpu(op, weight.detach().contiguous(), widths, stream, groupSize);
  const Tensor flat = weight.detach().to(at::kCPU, at::kFloat).reshape({-1}).contiguous();
  const float *data = flat.const_data_ptr<float>();
  const ValueRange range = rangeOf(data, weights, parallelFor);
  TORCH_CHECK(range.isFinite, op, ": 'weight' ", shapeText(weight.sizes()), " holds NaN or infinity");
  return makeWeight(
      stream, widths,
      [&](int64_t group, uint16_t *to) {
        roundToLevels(data + group * stream.groupSize(), stream.length(group), range.min, range.max, width[group], to);
      },
      static_cast<double>(range.min), static_cast<double>(range.max), weight.sizes(), groupSize);
}

c10::intrusive_ptr<PackedWeight> bq::packedWeight(const MixedWeight &weight) {
  return c10::make_intrusive<PackedWeight>(weight.codes, weight.scales, std::nullopt,
                                           take("bq::packedWeight", Format::parse(weight.format())), weight.shape);
}

/// A pattern that finds this name only.
static std::string exactly(const std::string &name) {
  std::string pattern = "^";
  for (char c : name)
    pattern += std::string(c == '.' || c == '[' || c == ']' ? "\\" : "") + c;
  return pattern + "$";
}

ConvertOptions bq::mixedConversion(const std::map<std::string, MixedWeight> &weights, Compute compute) {
  ConvertOptions options;
  options.compute = compute;
  for (const auto &[name, weight] : weights) {
    options.ready[name] = packedWeight(weight);
    options.rules.push_back({exactly(name), options.ready[name]->format()});
  }
  return options;
}

Tensor bq::dequantizeMixed(const MixedWeight &weight) {
  constexpr const char *op = "bq::dequantizeMixed";
  if (weight.codes.is_cuda() && c10::multiply_integers(weight.shape)) {
    checkTensors(op, weight);
    const gpu::GpuMixedWeight onDevice(op, gpu::currentPlace(op, weight.codes.device()),
                                       {weight.codes, weight.scales, std::nullopt, std::nullopt},
                                       take(op, Format::parse(weight.format())), c10::multiply_integers(weight.shape));
    return onDevice.values(op, gpu::currentPlace(op, weight.codes.device())).view(weight.shape);
  }
  const MixedStream stream = streamOf(op, weight);
  const Tensor scales = weight.scales.cpu().contiguous(), result = at::empty(weight.shape, at::kFloat);
  dequantizeMixedRange(stream, weight.codes.const_data_ptr<uint8_t>(), scales.const_data_ptr<float>(),
                       result.mutable_data_ptr<float>(), parallelFor);
  return result;
}
