// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/MixedPlaces.h"

#include "dialect/core/CudaMixedAbi.h"

#include <algorithm>
#include <array>

using namespace bq;

using abi::MixedIndex;

Status bq::verifyPlaces(const MixedStream &stream) {
  auto refuse = [](int64_t count, const char *what, int64_t most) {
    return unsupported("the mixed codes have " + std::to_string(count) + what + ": kernels for GPUs count fewer than " +
                       std::to_string(most));
  };
  if (stream.weights() / 8 >= cuda::maxMixedEights)
    return refuse(stream.weights(), " weights", 8 * cuda::maxMixedEights);
  for (int bits = 1; bits <= MixedStream::maxBits; ++bits)
    if (const int64_t groups = stream.width(bits).groups; groups >= cuda::maxMixedGroups)
      return refuse(groups, " groups of one width", cuda::maxMixedGroups);
  return {};
}

std::vector<uint32_t> bq::mixedPlaces(const MixedStream &stream, const uint8_t *codes) {
  std::vector<uint32_t> places(static_cast<size_t>(stream.groups()));
  std::array<uint32_t, MixedIndex::widths> before{};
  std::array<uint8_t, 4096> bits;
  for (int64_t group = 0; group < stream.groups(); group += bits.size()) {
    const int64_t count = std::min<int64_t>(bits.size(), stream.groups() - group);
    stream.loadBits(codes, group, count, bits.data());
    for (int64_t i = 0; i < count; ++i)
      places[group + i] = cuda::mixedPlace(before[bits[i]]++, bits[i]);
  }
  return places;
}

MixedIndex bq::mixedIndex(const MixedStream &stream, int64_t firstRow) {
  MixedIndex index;
  index.begin[0] = firstRow;
  for (int bits = 1; bits < MixedIndex::widths; ++bits)
    index.begin[bits] = stream.width(bits).begin;
  return index;
}

std::vector<int32_t> bq::mixedColumns(int64_t k, int64_t taps) {
  std::vector<int32_t> columns(taps > 1 ? static_cast<size_t>(k) : 0);
  for (size_t i = 0; i < columns.size(); ++i) {
    const auto column = static_cast<int64_t>(i);
    columns[i] = static_cast<int32_t>(column % taps * (k / taps) + column / taps);
  }
  return columns;
}
