// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/reference/MixedMeaning.h"

#include <array>

using namespace bq;

/// The `count` bits from bit `first` on, the first being the least.
static int64_t bitsAt(const uint8_t *memory, int64_t first, int count) {
  int64_t value = 0;
  for (int bit = 0; bit < count; ++bit)
    value |= static_cast<int64_t>(memory[(first + bit) / 8] >> (first + bit) % 8 & 1) << bit;
  return value;
}

std::vector<double> reference::mixedWeights(const CanonicalWeight &weight) {
  const MixedPart &part = weight.mixed;
  const int64_t count = part.streamRows * weight.k, size = weight.format.group ? weight.format.group : count;
  const int64_t groups = count ? (count + size - 1) / size : 0;
  const int least = weight.codes[8], field = weight.codes[9];
  std::vector<int> bits(static_cast<size_t>(groups));
  std::array<int64_t, 16> ofWidth{};
  for (int64_t group = 0; group < groups; ++group) {
    bits[group] = least + static_cast<int>(bitsAt(weight.codes, 80 + group * field, field));
    ofWidth[bits[group]] += std::min(size, count - group * size);
  }
  // Streams of widths follow each other, each padded to a byte.
  std::array<int64_t, 16> next{};
  int64_t byte = 10 + (groups * field + 7) / 8;
  for (int width = 1; width < 16; ++width) {
    next[width] = 8 * byte;
    byte += (ofWidth[width] * width + 7) / 8;
  }
  const auto *scales = static_cast<const float *>(weight.scales);
  const double min = scales[0], range = static_cast<double>(scales[1]) - min;
  std::vector<double> values(static_cast<size_t>(weight.n * weight.k));
  const int64_t channels = weight.k / part.taps;
  for (int64_t i = 0; i < count; ++i) {
    const int width = bits[i / size];
    const double level = static_cast<double>(bitsAt(weight.codes, next[width], width));
    next[width] += width;
    const int64_t row = i / weight.k - part.firstRow, column = i % weight.k;
    if (row >= 0 && row < weight.n)
      values[row * weight.k + column % part.taps * channels + column / part.taps] =
          min + range * (level / ((1 << width) - 1));
  }
  return values;
}
