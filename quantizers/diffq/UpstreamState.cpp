// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/UpstreamState.h"

#include "quantizers/diffq/BitPlanes.h"
#include "quantizers/diffq/UpstreamNoise.h"

using namespace bq;
using namespace bq::diffq;

using at::Tensor;

static constexpr int64_t maxBits = 15;

namespace {

Tensor packPlanes(const Tensor &values, int64_t bits, PlaneOrder order, at::ScalarType words) {
  return order == PlaneOrder::Lines ? packLines(values, bits) : packStrided(values, bits, words);
}

Tensor unpackPlanes(const Tensor &packed, int64_t count, PlaneOrder order) {
  return order == PlaneOrder::Lines ? unpackLines(packed, count) : unpackStrided(packed, count);
}

} // namespace

UpstreamWeight diffq::toUpstream(const MixedWeight &weight, int64_t minBits, PlaneOrder order, at::ScalarType words) {
  const MixedLevels levels = unpackMixed(weight);
  const int64_t least = levels.bits.min().item<int64_t>();
  TORCH_CHECK(least >= minBits, "toUpstream: a group has ", least, " bits, expected ", minBits,
              " or more: upstream stores bits less min_bits");
  UpstreamWeight result{std::vector<Tensor>(maxBits), packPlanes(levels.bits - minBits, 0, order, words), levels.min,
                        levels.max};
  for (int64_t bits = 1; bits <= maxBits; ++bits) {
    const Tensor mine = levels.bits.eq(bits);
    if (mine.any().item<bool>())
      result.levels[bits - 1] = packPlanes(levels.levels.index({mine}), bits, order, words);
  }
  return result;
}

MixedWeight diffq::fromUpstream(const UpstreamWeight &weight, int64_t minBits, PlaneOrder order, at::IntArrayRef shape,
                                int64_t groupSize) {
  const int64_t count = c10::multiply_integers(shape), groups = groupCount(count, groupSize);
  const int64_t length = groupSize == 0 ? count : groupSize;
  const Tensor bits = unpackPlanes(weight.bits, groups, order) + minBits;
  Tensor levels = at::zeros({groups, length}, at::kShort);
  for (int64_t width = 1; width <= maxBits; ++width) {
    const Tensor mine = bits.eq(width);
    const auto number = mine.sum().item<int64_t>();
    if (number == 0)
      continue;
    const bool there = width <= static_cast<int64_t>(weight.levels.size()) && weight.levels[width - 1].defined();
    TORCH_CHECK(there, "fromUpstream: ", number, " groups have ", width, " bits, whose levels are missing",
                width == maxBits ? ": DiffQ does not save those of 15 bits" : "");
    levels.index_put_({mine}, unpackPlanes(weight.levels[width - 1], number * length, order).view({number, length}));
  }
  return packMixed(levels, bits.to(at::kByte), weight.min, weight.max, shape);
}
