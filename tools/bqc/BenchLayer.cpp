// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/BenchLayer.h"

#include "dialect/core/Half.h"
#include "runtime/MixedStream.h"

#include <algorithm>
#include <cmath>
#include <random>

using namespace bq;
using namespace bq::cli;

BenchLayer::BenchLayer(const KernelSpec &spec, int64_t m) : description(spec), m(m) {
  const Format &format = spec.format;
  const int64_t n = spec.n, k = spec.k, groups = format.groupCount(k);
  std::mt19937_64 random(1);

  if (format.isMixed())
    makeMixed();
  else
    codes.resize(n * format.rowBytes(k));
  for (size_t i = 0; !format.isMixed() && i < codes.size(); i += sizeof(uint64_t)) {
    const uint64_t bits = random();
    std::memcpy(&codes[i], &bits, std::min(sizeof(bits), codes.size() - i));
  }
  // Padding of a canonical row is zero.
  if (const int used = format.isMixed() ? 0 : static_cast<int>(k * format.bits % 8))
    for (int64_t row = 1; row <= n; ++row)
      codes[row * format.rowBytes(k) - 1] &= (1 << used) - 1;

  std::uniform_real_distribution<float> scale(0.5f, 1.5f);
  scales.resize(format.isMixed() ? 0 : format.hasColumnScale() ? n + k : n * groups);
  for (uint16_t &value : scales)
    value = floatToF16(scale(random) / 64);
  if (format.hasZeroPoints()) {
    std::uniform_int_distribution<int> zero(0, (1 << format.bits) - 1);
    zeros.resize(n * groups);
    for (uint8_t &value : zeros)
      value = static_cast<uint8_t>(zero(random));
  }
  std::normal_distribution<float> normal;
  if (format.kind == Format::Kind::Lut) {
    table.resize(size_t{1} << format.bits);
    for (float &value : table)
      value = normal(random);
  }
  input.resize(m * k);
  for (float &value : input)
    value = normal(random);
  if (spec.hasBias) {
    biasValues.resize(n);
    for (float &value : biasValues)
      value = normal(random);
  }
  output.resize(m * n);
}

void BenchLayer::makeMixed() {
  // Hundredths of the groups that have 2, 3, ... bits.
  static constexpr int share[] = {20, 23, 24, 14, 10, 6, 3};
  std::mt19937_64 random(3);
  const int64_t weights = description.n * description.k;
  std::vector<uint8_t> bits(MixedStream::groupCount(weights, description.format.group));
  for (uint8_t &width : bits) {
    auto left = static_cast<int>(random() % 100);
    for (width = 2; left >= share[width - 2]; ++width)
      left -= share[width - 2];
  }
  const Expected<MixedStream> stream = MixedStream::plan(bits.data(), weights, description.format.group);
  codes.resize(stream->bytes());
  auto levelsOf = [&](int64_t group, uint16_t *levels) {
    for (int64_t i = 0; i < stream->length(group); ++i)
      levels[i] = static_cast<uint16_t>(random() >> (64 - bits[group]));
  };
  stream->write(bits.data(), levelsOf, codes.data(), serialFor);
  range = {-0.06f, 0.07f};
}

CanonicalWeight BenchLayer::weight() const {
  CanonicalWeight weight;
  weight.format = description.format;
  weight.n = description.n;
  weight.k = description.k;
  weight.codes = codes.data();
  weight.scales = range.empty() ? static_cast<const void *>(scales.data()) : range.data();
  weight.scaleType = range.empty() ? ElementType::F16 : ElementType::F32;
  weight.mixed.codeBytes = range.empty() ? 0 : static_cast<int64_t>(codes.size());
  weight.mixed.streamRows = range.empty() ? 0 : description.n;
  weight.zeros = zeros.empty() ? nullptr : zeros.data();
  weight.zeroType = description.zeroType;
  weight.table = table.empty() ? nullptr : table.data();
  return weight;
}

LinearArgs BenchLayer::args() {
  LinearArgs args;
  args.dataType = ElementType::F32;
  args.x = input.data();
  args.m = m;
  args.xStride = description.k;
  args.bias = biasValues.empty() ? nullptr : biasValues.data();
  args.compute = description.compute;
  args.activation = description.activation;
  args.y = output.data();
  args.yStride = description.n;
  return args;
}

int64_t BenchLayer::weightBytes() const {
  return static_cast<int64_t>(codes.size() + zeros.size() + sizeof(uint16_t) * scales.size() +
                              sizeof(float) * (table.size() + range.size()));
}

Expected<std::vector<float>> BenchLayer::dequantized() const {
  std::vector<float> wide(scales.size()), result(description.n * description.k);
  std::transform(scales.begin(), scales.end(), wide.begin(), f16ToFloat);
  CanonicalWeight source = weight();
  if (range.empty())
    source.scales = wide.data();
  source.scaleType = ElementType::F32;
  if (Status status = referenceBackend().dequantize(source, result.data(), serialFor); !status)
    return status.error();
  return result;
}

Expected<double> BenchLayer::maxRelativeError(const std::vector<float> &dequantized) const {
  const int64_t n = description.n, k = description.k;
  const Expected<std::shared_ptr<const PrepackedWeight>> reference = referenceBackend().prepack(weight(), serialFor);
  if (!reference)
    return reference.error();
  std::vector<double> sums(n);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t column = 0; column < k; ++column)
      sums[row] += std::fabs(dequantized[row * k + column]);

  double worst = 0;
  std::vector<float> expected(n);
  // The first and the last row: of a kernel that works in blocks of rows, a full one and what is left.
  for (int64_t row = 0; row < m; row += std::max<int64_t>(1, m - 1)) {
    LinearArgs args;
    args.x = input.data() + row * k;
    args.m = 1;
    args.xStride = k;
    args.bias = biasValues.empty() ? nullptr : biasValues.data();
    args.activation = description.activation;
    args.y = expected.data();
    args.yStride = n;
    if (Status status = referenceBackend().linear(**reference, args, serialFor); !status)
      return status.error();
    double greatest = 0;
    for (int64_t column = 0; column < k; ++column)
      greatest = std::max(greatest, std::fabs(static_cast<double>(input[row * k + column])));
    for (int64_t i = 0; i < n; ++i) {
      const double error = std::fabs(static_cast<double>(output[row * n + i]) - expected[i]);
      const double size = greatest * sums[i] + (biasValues.empty() ? 0 : std::fabs(static_cast<double>(biasValues[i])));
      if (!(error <= worst * size)) // also where it is not a number
        worst = error / size;
    }
  }
  return worst;
}
