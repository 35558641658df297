// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/MixedRows.h"

#include "dialect/core/MixedIndex.h"

#include <algorithm>
#include <cmath>

using namespace bq;

namespace {

/// Values, or groups, that are worth a thread.
constexpr int64_t valuesPerThread = 1 << 16;

int64_t groupsPerChunk(const MixedStream &stream) { return std::max<int64_t>(1, valuesPerThread / stream.groupSize()); }

/// Reads weights one after the other.
class Cursor {
public:
  /// At weight `position`, given how many groups of each width lie before the one that it is in.
  Cursor(const MixedStream &stream, const uint8_t *codes, int64_t position, const uint32_t *ranks)
      : stream(stream), codes(codes), position(position) {
    std::copy_n(ranks, rank.size(), rank.begin());
  }

  void skip(int64_t count) { walk(count, nullptr, nullptr); }
  void read(int64_t count, const float *scales, float *values) { walk(count, scales, values); }

private:
  void walk(int64_t count, const float *scales, float *values) {
    uint16_t levels[atOnce];
    while (count) {
      const int64_t group = position / stream.groupSize(), begin = position % stream.groupSize();
      uint8_t bits;
      stream.loadBits(codes, group, 1, &bits);
      const int64_t length = stream.length(group), end = std::min(length, begin + std::min(count, atOnce));
      if (values) {
        stream.loadLevels(codes, bits, rank[bits], begin, end, levels);
        levelsToValues(levels, end - begin, scales[0], scales[1], bits, values);
        values += end - begin;
      }
      position += end - begin;
      count -= end - begin;
      rank[bits] += end == length;
    }
  }

  static constexpr int64_t atOnce = 256;
  const MixedStream &stream;
  const uint8_t *codes;
  int64_t position;
  std::array<int64_t, MixedStream::maxBits + 1> rank;
};

/// Calls visit(group, bits, rank among its width) for all groups, on several threads.
template <typename Visit>
void forEachGroup(const MixedStream &stream, const uint8_t *codes, ParallelFor parallel, Visit visit) {
  const int64_t chunk = groupsPerChunk(stream), groups = stream.groups(), chunks = (groups + chunk - 1) / chunk;
  const std::vector<uint32_t> before = stream.ranks(codes, chunk);
  parallel(0, chunks, 1, [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> bits(static_cast<size_t>(chunk));
    for (int64_t i = begin; i < end; ++i) {
      const uint32_t *first = before.data() + i * (MixedStream::maxBits + 1);
      std::array<int64_t, MixedStream::maxBits + 1> rank;
      std::copy_n(first, rank.size(), rank.begin());
      const int64_t held = std::min(chunk, groups - i * chunk);
      stream.loadBits(codes, i * chunk, held, bits.data());
      for (int64_t group = 0; group < held; ++group)
        visit(i * chunk + group, bits[group], rank[bits[group]]++);
    }
  });
}

} // namespace

ValueRange bq::rangeOf(const float *values, int64_t count, ParallelFor parallel) {
  const int64_t chunks = (count + valuesPerThread - 1) / valuesPerThread;
  std::vector<ValueRange> parts(static_cast<size_t>(chunks));
  parallel(0, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const float *part = values + chunk * valuesPerThread;
      const int64_t held = std::min(valuesPerThread, count - chunk * valuesPerThread);
      // x - x is NaN for NaN and infinity, and else 0.
      float least = part[0], greatest = part[0], poison = 0;
      for (int64_t i = 0; i < held; ++i) {
        least = std::min(least, part[i]);
        greatest = std::max(greatest, part[i]);
        poison += part[i] - part[i];
      }
      parts[chunk] = {least, greatest, poison == 0};
    }
  });
  ValueRange range;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    range.min = chunk ? std::min(range.min, parts[chunk].min) : parts[chunk].min;
    range.max = chunk ? std::max(range.max, parts[chunk].max) : parts[chunk].max;
    range.isFinite &= parts[chunk].isFinite;
  }
  return range;
}

void bq::roundToLevels(const float *values, int64_t count, float min, float max, int bits, uint16_t *levels) {
  const auto greatest = static_cast<float>((1 << bits) - 1);
  const float range = max - min, step = 1 / greatest;
  for (int64_t i = 0; i < count; ++i) {
    const float level = std::nearbyint((values[i] - min) / range / step);
    levels[i] = range > 0 ? static_cast<uint16_t>(std::min(level, greatest)) : uint16_t{0};
  }
}

void bq::unpackMixedLevels(const MixedStream &stream, const uint8_t *codes, uint8_t *bits, uint16_t *levels,
                           ParallelFor parallel) {
  forEachGroup(stream, codes, parallel, [&](int64_t group, int width, int64_t rank) {
    bits[group] = static_cast<uint8_t>(width);
    stream.loadLevels(codes, width, rank, 0, stream.length(group), levels + group * stream.groupSize());
  });
}

void bq::levelsToValues(const uint16_t *levels, int64_t count, float min, float max, int bits, float *values) {
  const float step = 1 / static_cast<float>((1 << bits) - 1), range = max - min;
  for (int64_t i = 0; i < count; ++i) {
    const float scaled = static_cast<float>(levels[i]) * step * range;
    values[i] = scaled + min;
  }
}

void bq::dequantizeMixedRange(const MixedStream &stream, const uint8_t *codes, const float *scales, float *values,
                              ParallelFor parallel) {
  constexpr int64_t atOnce = 256;
  forEachGroup(stream, codes, parallel, [&](int64_t group, int width, int64_t rank) {
    uint16_t levels[atOnce];
    const int64_t length = stream.length(group);
    for (int64_t begin = 0; begin < length; begin += atOnce) {
      const int64_t end = std::min(begin + atOnce, length);
      stream.loadLevels(codes, width, rank, begin, end, levels);
      levelsToValues(levels, end - begin, scales[0], scales[1], width, values + group * stream.groupSize() + begin);
    }
  });
}

std::vector<uint32_t> bq::mixedTaskRanks(const MixedStream &stream, const uint8_t *codes, int64_t firstRow, int64_t n,
                                         int64_t k) {
  using Index = abi::MixedIndex;
  const int64_t tasks = Index::tasks(n, k), rows = Index::taskRows(k);
  std::vector<uint32_t> table(static_cast<size_t>(tasks * Index::widths));
  std::array<uint32_t, Index::widths> count{};
  std::array<uint8_t, 4096> bits;
  for (int64_t task = 0, group = 0; task < tasks; ++task) {
    for (const int64_t end = (firstRow + task * rows) * k / stream.groupSize(); group < end;) {
      const int64_t some = std::min<int64_t>(end - group, bits.size());
      stream.loadBits(codes, group, some, bits.data());
      for (int64_t i = 0; i < some; ++i)
        ++count[bits[i]];
      group += some;
    }
    std::copy(count.begin(), count.end(), table.begin() + task * Index::widths);
  }
  return table;
}

void bq::decodeMixedRows(const CanonicalWeight &weight, const int64_t *indices, int64_t count, float *y,
                         ParallelFor parallel) {
  using Index = abi::MixedIndex;
  const MixedPart &part = weight.mixed;
  const int64_t k = weight.k, taps = part.taps, channels = k / taps, rows = Index::taskRows(k);
  const MixedStream stream = *MixedStream::parse(weight);
  const std::vector<uint32_t> ranks = mixedTaskRanks(stream, weight.codes, part.firstRow, weight.n, k);
  const auto *scales = static_cast<const float *>(weight.scales);
  auto cursorAt = [&](int64_t task) {
    return Cursor(stream, weight.codes, (part.firstRow + task * rows) * k, ranks.data() + task * Index::widths);
  };
  auto readRow = [&](Cursor &cursor, float *to, std::vector<float> &row) {
    if (taps == 1)
      return cursor.read(k, scales, to);
    row.resize(k);
    cursor.read(k, scales, row.data());
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t channel = 0; channel < channels; ++channel)
        to[tap * channels + channel] = row[channel * taps + tap];
  };
  // Rows in order are read task by task; others from the beginning of their task.
  parallel(0, indices ? count : Index::tasks(weight.n, k), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> row;
    for (int64_t i = begin; i < end; ++i) {
      Cursor cursor = cursorAt(indices ? indices[i] / rows : i);
      if (indices) {
        cursor.skip(indices[i] % rows * k);
        readRow(cursor, y + i * k, row);
      } else {
        for (int64_t r = i * rows; r < std::min((i + 1) * rows, weight.n); ++r)
          readRow(cursor, y + r * k, row);
      }
    }
  });
}
