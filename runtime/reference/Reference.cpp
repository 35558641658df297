// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/reference/Reference.h"
#include "dialect/core/Half.h"
#include "runtime/Backend.h"
#include "runtime/reference/FakeQuantize.h"
#include "runtime/reference/MagnitudeMeaning.h"
#include "runtime/reference/MixedMeaning.h"
#include "runtime/reference/ReferenceLinear.h"
#include "runtime/reference/ReferenceNoise.h"
#include "runtime/reference/ReferenceUpdate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace bq;
using namespace bq::reference;

double bq::reference::activate(Activation kind, double value) {
  switch (kind) {
  case Activation::None:
    return value;
  case Activation::Relu:
    return value < 0 ? 0 : value;
  case Activation::Gelu:
    return value * 0.5 * (1 + std::erf(value * std::sqrt(0.5)));
  case Activation::GeluTanh:
    return value * 0.5 * (1 + std::tanh(std::sqrt(2 / M_PI) * (value + 0.044715 * value * value * value)));
  case Activation::Silu:
    return value / (1 + std::exp(-value));
  }
  return value;
}

uint8_t bq::reference::codeAt(const uint8_t *row, int bits, int64_t column) {
  unsigned code = 0;
  for (int bit = 0; bit < bits; ++bit) {
    int64_t position = column * bits + bit;
    code |= (row[position / 8] >> position % 8 & 1u) << bit;
  }
  return static_cast<uint8_t>(code);
}

void bq::reference::setCode(uint8_t *row, int bits, int64_t column, uint8_t code) {
  for (int bit = 0; bit < bits; ++bit) {
    int64_t position = column * bits + bit;
    row[position / 8] |= static_cast<uint8_t>((code >> bit & 1u) << position % 8);
  }
}

const float *bq::reference::tableOf(const Format &format, const float *table) {
  return format.kind == Format::Kind::NF4 ? nf4Table : format.kind == Format::Kind::FP4 ? fp4Table : table;
}

double bq::reference::weightAt(const CanonicalWeight &w, int64_t row, int64_t column) {
  const Format &format = w.format;
  const uint8_t code = codeAt(w.codes + row * format.rowBytes(w.k), format.bits, column);
  if (format.kind == Format::Kind::Sign) {
    double scale =
        static_cast<double>(loadElement(w.scaleType, w.scales, row)) * loadElement(w.scaleType, w.scales, w.n + column);
    return code ? scale : -scale;
  }
  const int64_t group = w.groupIndex ? w.groupIndex[column] : column / format.groupSize(w.k);
  const int64_t index = row * format.groupCount(w.k) + group;
  const double scale = loadElement(w.scaleType, w.scales, index);
  if (format.isTable())
    return scale * tableOf(format, w.table)[code];
  if (format.kind == Format::Kind::Int)
    return scale * (code - (code >> (format.bits - 1) ? 1 << format.bits : 0));
  const double zero = w.zeroType == ZeroPointType::F32 ? loadElement(ElementType::F32, w.zeros, index)
                                                       : static_cast<const uint8_t *>(w.zeros)[index];
  return scale * (code - zero);
}

namespace {

/// The stored scale for the quotient `raw`, or 1 for a group of zeros.
float storedScale(ElementType type, float raw, bool zeros) {
  return zeros ? 1.0f : roundTo(type, std::min(std::max(raw, minNormal(type)), maxFinite(type)));
}

uint8_t nearestEntry(const float *table, float value) {
  uint8_t best = 0;
  for (uint8_t code = 1; code < 16; ++code)
    if (std::fabs(value - table[code]) < std::fabs(value - table[best]))
      best = code;
  return best;
}

} // namespace

GroupCode bq::reference::quantizeGroup(const Format &format, ElementType scaleType, const float *weights, int64_t count,
                                       uint8_t *codes) {
  float magnitude = 0, low = 0, high = 0;
  for (int64_t i = 0; i < count; ++i) {
    magnitude = std::max(magnitude, std::fabs(weights[i]));
    low = std::min(low, weights[i]);
    high = std::max(high, weights[i]);
  }
  const bool zeros = magnitude == 0;
  const int levels = 1 << format.bits;
  GroupCode group;

  switch (format.kind) {
  case Format::Kind::Int: {
    const float limit = static_cast<float>(levels / 2);
    group.scale = storedScale(scaleType, magnitude / (limit - 1), zeros);
    for (int64_t i = 0; i < count; ++i) {
      float code = std::min(std::max(std::nearbyint(weights[i] / group.scale), -limit), limit - 1);
      codes[i] = static_cast<uint8_t>(static_cast<int>(code) & (levels - 1));
    }
    break;
  }
  case Format::Kind::UInt: {
    const float greatest = static_cast<float>(levels - 1);
    group.scale = storedScale(scaleType, (high - low) / greatest, zeros);
    const float zero = std::min(std::nearbyint(-low / group.scale), greatest);
    group.zero = static_cast<uint8_t>(zero);
    for (int64_t i = 0; i < count; ++i)
      codes[i] =
          static_cast<uint8_t>(std::min(std::max(std::nearbyint(weights[i] / group.scale) + zero, 0.0f), greatest));
    break;
  }
  case Format::Kind::NF4:
  case Format::Kind::FP4: {
    const float *table = tableOf(format, nullptr);
    const float limit = format.kind == Format::Kind::NF4 ? 1.0f : 6.0f;
    group.scale = storedScale(scaleType, magnitude / limit, zeros);
    for (int64_t i = 0; i < count; ++i)
      codes[i] = nearestEntry(table, std::min(std::max(weights[i] / group.scale, -limit), limit));
    break;
  }
  case Format::Kind::Sign:
    for (int64_t i = 0; i < count; ++i)
      codes[i] = weights[i] >= 0;
    break;
  case Format::Kind::Lut:
  case Format::Kind::Mixed:
    break; // QuantizeArgs::verify() refuses them
  }
  return group;
}

namespace {

class ReferenceBackend final : public Backend {
public:
  std::string_view name() const override { return "reference"; }

  Expected<std::shared_ptr<const PrepackedWeight>> prepack(const CanonicalWeight &weight, ParallelFor) override {
    if (Status status = weight.verify(); !status)
      return status.error();
    return std::shared_ptr<const PrepackedWeight>(std::make_shared<ReferenceWeight>(weight));
  }

  Status linear(const PrepackedWeight &weight, const LinearArgs &args, ParallelFor parallel) override {
    const auto *w = dynamic_cast<const ReferenceWeight *>(&weight);
    if (!w)
      return invalidArgument("the weight was prepacked by another backend: prepack it with the reference backend");
    return runLinear(*w, args, parallel);
  }

  Status embedding(const CanonicalWeight &weight, const int64_t *indices, int64_t count, void *y,
                   ParallelFor parallel) override {
    if (Status status = weight.verifyRows(); !status)
      return status;
    for (int64_t i = 0; i < count; ++i)
      if (indices[i] < 0 || indices[i] >= weight.n)
        return invalidArgument("index " + std::to_string(indices[i]) + " at position " + std::to_string(i) +
                               " is outside the weight: use 0.." + std::to_string(weight.n - 1));
    const std::vector<double> mixed = weight.format.isMixed() ? mixedWeights(weight) : std::vector<double>();
    parallel(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        decodeRow(weight, mixed, indices[i], y, i);
    });
    return {};
  }

  Status dequantize(const CanonicalWeight &weight, void *y, ParallelFor parallel) override {
    if (Status status = weight.verifyRows(); !status)
      return status;
    const std::vector<double> mixed = weight.format.isMixed() ? mixedWeights(weight) : std::vector<double>();
    parallel(0, weight.n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        decodeRow(weight, mixed, row, y, row);
    });
    return {};
  }

  Status quantize(const QuantizeArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    parallel(0, args.n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        quantizeRow(args, row);
    });
    return {};
  }

  Status diffqNoise(const DiffqNoiseArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    return reference::runDiffqNoise(args, parallel);
  }
  Status diffqNoiseGrad(const DiffqNoiseGradArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    return reference::runDiffqNoiseGrad(args, parallel);
  }
  Status weightRange(const WeightRangeArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    return reference::runWeightRange(args, parallel);
  }
  Status update(const UpdateArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    return reference::runUpdate(args, parallel);
  }

  Status fakeQuantize(const FakeQuantizeArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    parallel(0, args.rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        reference::fakeQuantize(args, row);
    });
    return {};
  }

  Status fakeQuantizeGrad(const FakeQuantizeGradArgs &args, ParallelFor parallel) override {
    if (Status status = args.verify(); !status)
      return status;
    parallel(0, args.forward.rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        reference::fakeQuantizeGrad(args, row);
    });
    return {};
  }

  Status magnitudeSums(const MagnitudeSumsArgs &args, ParallelFor) override {
    if (Status status = args.verify(); !status)
      return status;
    reference::magnitudeSums(args);
    return {};
  }

private:
  /// `mixed`: the whole of a mixed weight.
  static void decodeRow(const CanonicalWeight &weight, const std::vector<double> &mixed, int64_t row, void *y,
                        int64_t outRow) {
    for (int64_t column = 0; column < weight.k; ++column) {
      const double value = mixed.empty() ? weightAt(weight, row, column) : mixed[row * weight.k + column];
      storeElement(weight.scaleType, y, outRow * weight.k + column, static_cast<float>(value));
    }
  }

  static void quantizeRow(const QuantizeArgs &args, int64_t row) {
    const Format &format = args.format;
    const int64_t k = args.k, groupSize = format.groupSize(k), groups = format.groupCount(k);
    std::vector<float> values(static_cast<size_t>(k));
    std::vector<uint8_t> codes(static_cast<size_t>(k));
    for (int64_t column = 0; column < k; ++column)
      values[column] = loadElement(args.dataType, args.weight, row * args.stride + column);
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t first = g * groupSize;
      GroupCode group =
          quantizeGroup(format, args.scaleType, &values[first], std::min(groupSize, k - first), &codes[first]);
      if (!format.hasColumnScale())
        storeElement(args.scaleType, args.scales, row * groups + g, group.scale);
      if (format.hasZeroPoints())
        args.zeros[row * groups + g] = group.zero;
    }
    uint8_t *out = args.codes + row * format.rowBytes(k);
    std::fill_n(out, format.rowBytes(k), uint8_t{0});
    for (int64_t column = 0; column < k; ++column)
      setCode(out, format.bits, column, codes[column]);
  }
};

} // namespace

Backend &bq::referenceBackend() {
  static ReferenceBackend backend;
  return backend;
}
