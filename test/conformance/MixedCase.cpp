// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// With W = min + r t, t = level / (2^bits - 1), a kernel may sum min x and r t x apart: let A = sum |x| (|min| + r t).
// A product meets at most three roundings for W or for t and r, those of its sum, four more for lanes, or nineteen for
// the threads of a block, and two for min, the units of x and the bias. Then, with e and g(c) as in Bounds.h,
//
//   f32   g(K + 40) A.
//   bf16  2^-8 sum |x W| for rounding x, unless it is bf16 already; then as f32. Levels are exact.
//   i8    (1/2 + 6 * 127 e) steps of max|x| / 127 times sum |W|, since one x meets min and t; g(K + 40) A.
//   i16   the same with 16256 for 127.
//
// GPUs round W to bf16 for many rows and for patches, in bf16 and i8: 2^-8 sum |x W| more. What the two roundings of a
// product have in common, 2^-8 of either, is in the tenth that bounds are larger by.
#include "test/conformance/MixedCase.h"

#include "dialect/core/CudaMixedAbi.h"
#include "dialect/core/Half.h"
#include "dialect/core/MixedIndex.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <memory>

using namespace bq;
using namespace bq::conformance;

namespace {

/// A stream of bits, the least first.
class BitWriter {
public:
  void write(uint64_t value, int bits) {
    for (int bit = 0; bit < bits; ++bit, ++used) {
      if (used % 8 == 0)
        bytes.push_back(0);
      bytes.back() = static_cast<uint8_t>(bytes.back() | (value >> bit & 1) << used % 8);
    }
  }
  void pad() { used = static_cast<int64_t>(bytes.size()) * 8; }

  std::vector<uint8_t> bytes;

private:
  int64_t used = 0;
};

} // namespace

std::string MixedCase::name() const {
  std::string text = format.str() + "_b" + std::to_string(least) + "to" + std::to_string(greatest) + "_" +
                     std::string(str(compute)) + "_" + std::string(str(dataType)) + "_m" + std::to_string(m) + "n" +
                     std::to_string(n) + "k" + std::to_string(k) + "_" + xKindNames[static_cast<int>(x)];
  std::replace(text.begin(), text.end(), ':', '_');
  text += taps > 1 ? "_taps" + std::to_string(taps) : "";
  text += hasBias ? "_bias" : "";
  text += isPart ? "_part" : "";
  text += isKept ? "_kept" : "";
  text += isGreatest ? "_greatest" : "";
  text += staticBits ? "_a" + std::to_string(staticBits) : "";
  return activation == Activation::None ? text : text + "_" + std::string(str(activation));
}

MixedWeightCase::MixedWeightCase(const MixedCase &c, Random &random)
    : made(c), first(c.isPart ? 2 : 0), all(c.n + 2 * first) {
  const int64_t count = all * c.k, size = c.format.group ? c.format.group : count, groups = (count + size - 1) / size;
  std::vector<int> bits, levels;
  int low = 15, high = 1;
  for (int64_t group = 0; group < groups; ++group) {
    bits.push_back(c.least + static_cast<int>(random.below(c.greatest - c.least + 1)));
    low = std::min(low, bits.back());
    high = std::max(high, bits.back());
  }
  for (int64_t i = 0; i < count; ++i) {
    const int width = bits[i / size];
    levels.push_back(c.isGreatest ? (1 << width) - 1 : static_cast<int>(random.below(int64_t{1} << width)));
    units.push_back(static_cast<double>(levels.back()) / ((1 << width) - 1));
  }
  int field = 0;
  while (1 << field < 1 + high - low)
    ++field;
  BitWriter out;
  out.write(static_cast<uint64_t>(count), 64);
  out.write(static_cast<uint64_t>(low), 8);
  out.write(static_cast<uint64_t>(field), 8);
  for (int width : bits)
    out.write(static_cast<uint64_t>(width - low), field);
  out.pad();
  for (int width = low; width <= high; ++width) {
    for (int64_t i = 0; i < count; ++i)
      if (bits[i / size] == width)
        out.write(static_cast<uint64_t>(levels[i]), width);
    out.pad();
  }
  codeBytes = static_cast<int64_t>(out.bytes.size());
  codes = GuardedBuffer(codeBytes + (c.isKept ? bq::abi::MixedIndex::slack : 0));
  std::memcpy(codes.data(), out.bytes.data(), out.bytes.size());
  scales[0] = random.below(4) ? -0.4f - random.unit() / 8 : 0.25f;
  scales[1] = scales[0] + 0.7f;
}

CanonicalWeight MixedWeightCase::canonical() const {
  CanonicalWeight weight;
  weight.format = made.format;
  weight.n = made.n;
  weight.k = made.k;
  weight.codes = codes.data();
  weight.scales = scales;
  weight.mixed.codeBytes = codeBytes;
  weight.mixed.streamRows = all;
  weight.mixed.firstRow = first;
  weight.mixed.taps = made.taps;
  if (made.isKept)
    weight.mixed.owner = std::shared_ptr<const void>(this, [](const void *) {});
  return weight;
}

static double roundings(double count) { return count * 0x1p-24 / (1 - count * 0x1p-24); }

static double activate(Activation kind, double s) {
  return kind == Activation::Relu ? std::max(s, 0.0) : kind == Activation::Silu ? s / (1 + std::exp(-s)) : s;
}

std::vector<Expectation> bq::conformance::expectMixed(const MixedCase &c, const MixedWeightCase &weight,
                                                      const std::vector<float> &x, double unit, const float *bias,
                                                      Summation summation) {
  std::vector<Expectation> expected;
  const bool isFixed = c.compute == Compute::I8 || c.compute == Compute::I16;
  const double levels = c.compute == Compute::I8 ? 127 : 16256;
  for (int64_t i = 0; i < c.m; ++i) {
    double greatest = 0;
    bool isFinite = true;
    for (int64_t column = 0; column < c.k; ++column) {
      greatest = std::max(greatest, std::fabs(static_cast<double>(x[i * c.k + column])));
      isFinite &= std::isfinite(x[i * c.k + column]);
    }
    for (int64_t row = 0; row < c.n; ++row) {
      double value = 0, terms = 0, size = 0, weights = 0;
      for (int64_t column = 0; column < c.k; ++column) {
        const double v = unit * x[i * c.k + column], t = weight.range() * weight.unit(row, column);
        const double w = weight.min() + t;
        value += v * w;
        size += std::fabs(v * w);
        weights += std::fabs(w);
        terms += std::fabs(v) * (std::fabs(weight.min()) + t);
      }
      double error = roundings(static_cast<double>(c.k + 40)) * terms;
      if (summation == Summation::Exact)
        error = terms * 0x1p-52 * static_cast<double>(c.k + 8);
      else if (isFixed && !c.staticBits)
        error += (0.5 + 6 * levels * 0x1p-24) * greatest / levels * weights;
      else if (c.compute == Compute::BF16 && c.dataType != ElementType::BF16)
        error += 0x1p-8 * size;
      if (summation == Summation::Gpu && c.compute != Compute::F32 && (c.m > cuda::maxStreamedRows || c.hasPatches))
        error += 0x1p-8 * size;
      Expectation e;
      const double sum = value + (bias ? static_cast<double>(bias[row]) : 0);
      e.value = activate(c.activation, sum);
      error = 1.1 * error + (c.activation == Activation::None ? 2 : 10) * 0x1p-24 * (std::fabs(sum) + error);
      const double rounding = c.dataType == ElementType::F32   ? 0x1p-24
                              : c.dataType == ElementType::F16 ? 0x1p-11
                                                               : 0x1p-8;
      e.tolerance = error + (rounding + 0x1p-24) * (std::fabs(e.value) + error) +
                    (c.dataType == ElementType::F16 ? 0x1p-24 : FLT_MIN);
      e.mayOverflow = std::fabs(e.value) + e.tolerance >= maxFinite(c.dataType);
      e.rowIsFinite = isFinite;
      expected.push_back(e);
    }
  }
  return expected;
}
