// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/reference/ReferenceNoise.h"

#include "dialect/core/Half.h"
#include "dialect/core/NoiseAbi.h"
#include "dialect/core/Philox.h"

#include <algorithm>
#include <cmath>
#include <vector>

using namespace bq;
using namespace bq::reference;

static int64_t groupOf(const NoiseArgs &args, int64_t element) { return args.groupSize ? element / args.groupSize : 0; }

uint32_t reference::noiseWord(const NoiseArgs &args, int64_t element) {
  const int64_t index = element / abi::noiseBlock * 16 + element % 16;
  const std::vector<uint32_t> counter = args.counter();
  return philox4x32({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), counter[2], counter[3]},
                    {counter[0], counter[1]}, args.rounds)[element % abi::noiseBlock / 16];
}

double reference::noiseOf(const NoiseArgs &args, int64_t element) {
  const uint32_t word = noiseWord(args, element);
  if (args.noise == NoiseKind::Uniform)
    return (word >> 8) * 0x1p-24 - 0.5;
  // Words are in pairs, sixteen elements apart.
  const bool isSecond = element / 16 % 2;
  const uint32_t first = isSecond ? noiseWord(args, element - 16) : word;
  const uint32_t second = isSecond ? word : noiseWord(args, element + 16);
  const double radius = std::sqrt(-std::log(((first >> 8) + 1) * 0x1p-24) / 2);
  const double angle = std::acos(-1.0) * static_cast<int32_t>(second) * 0x1p-32;
  if (!isSecond)
    return radius * std::sin(angle);
  return radius * (first & 1 ? -std::cos(angle) : std::cos(angle));
}

double reference::unitOf(const NoiseArgs &args, int64_t group) {
  return 1 / std::expm1(std::log(2.0) * std::clamp<double>(args.bits[group], 0x1p-20, 126));
}

Status reference::runDiffqNoise(const DiffqNoiseArgs &args, ParallelFor parallel) {
  parallel(0, args.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double size = args.scale * unitOf(args, groupOf(args, i));
      const double noisy = loadElement(args.dataType, args.weight, i) + size * noiseOf(args, i);
      storeElement(args.dataType, args.noisy, i, static_cast<float>(noisy));
    }
  });
  return {};
}

Status reference::runDiffqNoiseGrad(const DiffqNoiseGradArgs &args, ParallelFor parallel) {
  std::vector<double> sums(args.groups());
  const int64_t size = args.groupSize ? args.groupSize : args.count;
  parallel(0, args.groups(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group)
      for (int64_t i = group * size; i < std::min((group + 1) * size, args.count); ++i)
        sums[group] += static_cast<double>(loadElement(args.dataType, args.gradient, i)) * noiseOf(args, i);
  });
  *args.scaleGradient = 0;
  for (int64_t group = 0; group < args.groups(); ++group) {
    const double unit = unitOf(args, group);
    args.bitsGradient[group] = static_cast<float>(-args.scale * std::log(2.0) * unit * (1 + unit) * sums[group]);
    *args.scaleGradient += unit * sums[group];
  }
  return {};
}

Status reference::runWeightRange(const WeightRangeArgs &args, ParallelFor parallel) {
  const int64_t chunks = (args.count + abi::noiseChunk - 1) / abi::noiseChunk;
  std::vector<float> lows(chunks), highs(chunks);
  parallel(0, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * abi::noiseChunk, last = std::min(first + abi::noiseChunk, args.count);
      float low = loadElement(args.dataType, args.weight, first), high = low;
      for (int64_t i = first; i < last; ++i) {
        const float x = loadElement(args.dataType, args.weight, i);
        low = std::isfinite(x) ? std::min(low, x) : NAN;
        high = std::isfinite(x) ? std::max(high, x) : NAN;
        if (!std::isfinite(x))
          break;
      }
      lows[chunk] = low;
      highs[chunk] = high;
    }
  });
  return args.finish(lows.data(), highs.data());
}
