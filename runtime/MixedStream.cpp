// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/MixedStream.h"

#include <algorithm>
#include <cstring>
#include <limits>

using namespace bq;

namespace {

/// Groups for which a thread is worth waking.
constexpr int64_t groupsPerThread = 1 << 10;

/// The `bits` bits (up to 15) at bit `position`, of memory that ends at byte `end`.
unsigned loadField(const uint8_t *memory, int64_t position, int bits, int64_t end) {
  const int64_t byte = position / 8;
  uint32_t word = 0;
  std::memcpy(&word, memory + byte, static_cast<size_t>(std::min<int64_t>(sizeof(word), end - byte)));
  return word >> position % 8 & ((1u << bits) - 1);
}

/// Sets those bits, which are zero.
void storeField(uint8_t *memory, int64_t position, int bits, unsigned value) {
  for (value <<= position % 8, bits += static_cast<int>(position % 8); bits > 0; bits -= 8, value >>= 8, position += 8)
    memory[position / 8] |= static_cast<uint8_t>(value);
}

/// Bits that a number up to `value` takes.
int bitsOf(int value) {
  int bits = 0;
  while (value >> bits)
    ++bits;
  return bits;
}

Error damaged(const std::string &what) { return invalidArgument("the mixed codes " + what); }

Status verifySizes(int64_t weights, int64_t groupSize) {
  constexpr int64_t most = std::numeric_limits<int64_t>::max() / 64;
  if (groupSize < 0)
    return invalidArgument("the group size is " + std::to_string(groupSize) + ": use 0 (one group) or more");
  if (weights < 0 || weights > most)
    return damaged("are of " + std::to_string(static_cast<uint64_t>(weights)) + " weights: at most " +
                   std::to_string(most) + " are supported");
  if (MixedStream::groupCount(weights, groupSize) > std::numeric_limits<int32_t>::max())
    return damaged("have " + std::to_string(MixedStream::groupCount(weights, groupSize)) + " groups: at most " +
                   std::to_string(std::numeric_limits<int32_t>::max()) + " are supported");
  return {};
}

} // namespace

uint64_t MixedStream::weightsOf(const uint8_t *stream) {
  uint64_t count = 0;
  for (int byte = 0; byte < 8; ++byte)
    count |= static_cast<uint64_t>(stream[byte]) << (8 * byte);
  return count;
}

MixedStream::MixedStream(int64_t weights, int64_t groupSize)
    : weightCount(weights), size(groupSize ? groupSize : std::max<int64_t>(weights, 1)) {}

int64_t MixedStream::groupCount(int64_t weights, int64_t groupSize) {
  return !weights ? 0 : !groupSize ? 1 : (weights - 1) / groupSize + 1;
}

int64_t MixedStream::codesOf(int bits) const {
  const int64_t missing = groups() * size - weightCount;
  return widths[bits].groups * size - (bits == lastBits ? missing : 0);
}

void MixedStream::place() {
  int64_t next = levelsBegin();
  for (int bits = 1; bits <= maxBits; ++bits) {
    widths[bits].begin = next;
    next += (codesOf(bits) * bits + 7) / 8;
  }
  streamBytes = next;
}

Expected<MixedStream> MixedStream::parse(const CanonicalWeight &weight) {
  const MixedPart &part = weight.mixed;
  return parse(weight.codes, part.codeBytes, part.streamRows * weight.k, weight.format.group);
}

Expected<MixedStream> MixedStream::parse(const uint8_t *stream, int64_t bytes, int64_t groupSize) {
  if (bytes < headerBytes)
    return damaged("are " + std::to_string(bytes) + " bytes: their header alone has " + std::to_string(headerBytes));
  return parse(stream, bytes, static_cast<int64_t>(weightsOf(stream)), groupSize);
}

Expected<MixedStream> MixedStream::parse(const uint8_t *stream, int64_t bytes, int64_t weights, int64_t groupSize) {
  if (bytes < headerBytes)
    return damaged("are " + std::to_string(bytes) + " bytes: their header alone has " + std::to_string(headerBytes));
  if (weightsOf(stream) != static_cast<uint64_t>(weights))
    return damaged("are of " + std::to_string(weightsOf(stream)) + " weights, expected " + std::to_string(weights));
  if (Status status = verifySizes(weights, groupSize); !status)
    return status.error();
  MixedStream result(weights, groupSize);
  result.least = stream[8];
  result.field = stream[9];
  if (result.least < 1 || result.least > maxBits || result.field > bitsOf(maxBits - result.least))
    return damaged("have a least width of " + std::to_string(result.least) + " and fields of " +
                   std::to_string(result.field) + " bits for the others: widths are 1 to " + std::to_string(maxBits));
  const int64_t groups = result.groups(), widthsEnd = headerBytes + (groups * result.field + 7) / 8;
  if (bytes < widthsEnd)
    return damaged("are " + std::to_string(bytes) + " bytes: the widths of their " + std::to_string(groups) +
                   " groups end at byte " + std::to_string(widthsEnd));
  for (int64_t group = 0; group < groups; ++group) {
    const int bits = result.least + static_cast<int>(loadField(stream + headerBytes, group * result.field, result.field,
                                                               widthsEnd - headerBytes));
    if (bits > maxBits)
      return damaged("have a width of " + std::to_string(bits) + " at group " + std::to_string(group) +
                     ": widths are 1 to " + std::to_string(maxBits));
    ++result.widths[bits].groups;
    result.lastBits = bits;
  }
  result.place();
  if (bytes != result.streamBytes)
    return damaged("are " + std::to_string(bytes) + " bytes, but the widths of their groups make " +
                   std::to_string(result.streamBytes));
  return result;
}

Expected<MixedStream> MixedStream::plan(const uint8_t *bits, int64_t weights, int64_t groupSize) {
  if (Status status = verifySizes(weights, groupSize); !status)
    return status.error();
  MixedStream result(weights, groupSize);
  const int64_t groups = result.groups();
  for (int64_t group = 0; group < groups; ++group) {
    if (bits[group] < 1 || bits[group] > maxBits)
      return invalidArgument("group " + std::to_string(group) + " has " + std::to_string(bits[group]) +
                             " bits: use 1 to " + std::to_string(maxBits));
    ++result.widths[bits[group]].groups;
    result.lastBits = bits[group];
  }
  int greatest = 1;
  result.least = groups ? maxBits : 1;
  for (int width = 1; width <= maxBits; ++width)
    if (result.widths[width].groups) {
      result.least = std::min(result.least, width);
      greatest = width;
    }
  result.field = bitsOf(greatest - result.least);
  result.place();
  return result;
}

void MixedStream::loadBits(const uint8_t *stream, int64_t first, int64_t count, uint8_t *bits) const {
  const int64_t end = (groups() * field + 7) / 8;
  for (int64_t i = 0; i < count; ++i)
    bits[i] =
        static_cast<uint8_t>(least + (field ? loadField(stream + headerBytes, (first + i) * field, field, end) : 0));
}

std::vector<uint32_t> MixedStream::ranks(const uint8_t *stream, int64_t chunk) const {
  const int64_t chunks = (groups() + chunk - 1) / chunk;
  std::vector<uint32_t> table(static_cast<size_t>(chunks * (maxBits + 1)));
  std::array<uint32_t, maxBits + 1> count{};
  std::vector<uint8_t> bits(static_cast<size_t>(std::min(chunk, groups())));
  for (int64_t i = 0; i < chunks; ++i) {
    std::copy(count.begin(), count.end(), table.begin() + i * (maxBits + 1));
    const int64_t held = std::min(chunk, groups() - i * chunk);
    loadBits(stream, i * chunk, held, bits.data());
    for (int64_t group = 0; group < held; ++group)
      ++count[bits[group]];
  }
  return table;
}

void MixedStream::loadLevels(const uint8_t *stream, int bits, int64_t rank, int64_t begin, int64_t end,
                             uint16_t *levels) const {
  int64_t position = widths[bits].begin * 8 + (rank * size + begin) * bits;
  for (int64_t i = begin; i < end; ++i, position += bits)
    *levels++ = static_cast<uint16_t>(loadField(stream, position, bits, streamBytes));
}

void MixedStream::storeLevels(uint8_t *stream, int bits, int64_t rank, const uint16_t *levels, int64_t count) const {
  int64_t position = widths[bits].begin * 8 + rank * size * bits;
  for (int64_t i = 0; i < count; ++i, position += bits)
    storeField(stream, position, bits, levels[i]);
}

void MixedStream::writeWidths(const uint8_t *bits, uint8_t *stream) const {
  std::fill_n(stream, levelsBegin(), uint8_t{0});
  for (int byte = 0; byte < 8; ++byte)
    stream[byte] = static_cast<uint8_t>(static_cast<uint64_t>(weightCount) >> (8 * byte));
  stream[8] = static_cast<uint8_t>(least);
  stream[9] = static_cast<uint8_t>(field);
  for (int64_t group = 0; group < groups(); ++group)
    storeField(stream + headerBytes, group * field, field, static_cast<unsigned>(bits[group] - least));
}

std::vector<int32_t> MixedStream::order(const uint8_t *stream) const {
  std::array<int64_t, maxBits + 1> next{};
  for (int width = 1; width < maxBits; ++width)
    next[width + 1] = next[width] + widths[width].groups;
  std::vector<int32_t> numbers(static_cast<size_t>(groups()));
  std::array<uint8_t, 4096> bits;
  for (int64_t first = 0; first < groups(); first += bits.size()) {
    const int64_t held = std::min<int64_t>(bits.size(), groups() - first);
    loadBits(stream, first, held, bits.data());
    for (int64_t group = 0; group < held; ++group)
      numbers[next[bits[group]]++] = static_cast<int32_t>(first + group);
  }
  return numbers;
}

void MixedStream::write(const uint8_t *bits, const std::function<void(int64_t group, uint16_t *levels)> &levelsOf,
                        uint8_t *stream, ParallelFor parallel) const {
  std::fill_n(stream + levelsBegin(), streamBytes - levelsBegin(), uint8_t{0});
  writeWidths(bits, stream);

  // Threads never write the same byte: groups of whole bytes, or all on one thread.
  const int64_t grain = size % 8 ? std::max<int64_t>(groups(), 1) : groupsPerThread;
  const std::vector<uint32_t> before = ranks(stream, grain);
  const int64_t chunks = (groups() + grain - 1) / grain;
  parallel(0, chunks, 1, [&](int64_t begin, int64_t end) {
    std::vector<uint16_t> levels(static_cast<size_t>(size));
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      std::array<int64_t, maxBits + 1> rank;
      std::copy_n(before.begin() + chunk * (maxBits + 1), maxBits + 1, rank.begin());
      for (int64_t group = chunk * grain; group < std::min((chunk + 1) * grain, groups()); ++group) {
        levelsOf(group, levels.data());
        storeLevels(stream, bits[group], rank[bits[group]]++, levels.data(), length(group));
      }
    }
  });
}
