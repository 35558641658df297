// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/MixedCase.h"

#include <algorithm>
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
    levels.push_back(static_cast<int>(random.below(int64_t{1} << width)));
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
  codes = GuardedBuffer(codeBytes + (c.isKept ? 64 : 0));
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
