// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/DiffqNoiseArgs.h"

#include "dialect/core/Half.h"
#include "dialect/core/NoiseAbi.h"

#include <algorithm>
#include <cmath>
#include <string>

using namespace bq;

namespace {

Error refuse(const std::string &field, const std::string &value, const std::string &rule) {
  return invalidArgument(field + " is " + value + ": " + rule);
}

int64_t countChunks(int64_t count) { return (count + abi::noiseChunk - 1) / abi::noiseChunk; }

/// Where the first element is that is like this.
template <typename Predicate>
int64_t findElement(const WeightRangeArgs &args, int64_t begin, Predicate isWanted) {
  while (begin < args.count && !isWanted(loadElement(args.dataType, args.weight, begin)))
    ++begin;
  return begin;
}

} // namespace

int64_t NoiseArgs::groups() const { return !count ? 0 : groupSize ? (count + groupSize - 1) / groupSize : 1; }
int64_t NoiseArgs::chunks() const { return countChunks(count); }

KernelSpec NoiseArgs::spec(KernelSpec::Op op) const {
  KernelSpec spec;
  spec.op = op;
  spec.dataType = dataType;
  spec.noise = noise;
  spec.groupSize = groupSize;
  spec.rounds = rounds;
  return spec;
}

std::vector<uint32_t> NoiseArgs::counter() const {
  return {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32), static_cast<uint32_t>(offset),
          static_cast<uint32_t>(offset >> 32)};
}

Status NoiseArgs::verify() const {
  if (count < 0)
    return refuse("count", std::to_string(count), "a weight has 0 elements or more");
  if (groupSize < 0)
    return refuse("group size", std::to_string(groupSize), "use 1 or more, or 0 for one group");
  if (rounds != 7 && rounds != 10)
    return refuse("rounds", std::to_string(rounds), "use 7 or 10");
  if (!std::isfinite(scale) || scale < 0)
    return refuse("scale", std::to_string(scale), "the range of a weight is finite and not negative");
  if (count && !bits)
    return invalidArgument("bits are null: each of the " + std::to_string(groups()) + " groups has a number");
  return {};
}

Status DiffqNoiseArgs::verify() const {
  if (Status status = NoiseArgs::verify(); !status)
    return status;
  if (count && (!weight || !noisy))
    return invalidArgument("weight and noisy weight of " + std::to_string(count) +
                           " elements must be given, one is null");
  return {};
}

Status DiffqNoiseGradArgs::verify() const {
  if (Status status = NoiseArgs::verify(); !status)
    return status;
  if (!scaleGradient || (count && (!gradient || !bitsGradient)))
    return invalidArgument("gradients of " + std::to_string(count) + " elements must all be given, one is null");
  return {};
}

void DiffqNoiseGradArgs::finish(const float *heads, const float *scaleParts) const {
  *scaleGradient = 0;
  // A group of many chunks is summed in double precision.
  int64_t open = 0;
  double sum = count ? bitsGradient[0] : 0;
  for (int64_t chunk = 0; chunk < chunks(); ++chunk) {
    const int64_t group = groupSize ? chunk * abi::noiseChunk / groupSize : 0;
    if (group != open) {
      bitsGradient[open] = static_cast<float>(sum);
      open = group;
      sum = bitsGradient[open];
    }
    sum += heads[chunk];
    *scaleGradient += scaleParts[chunk];
  }
  if (count)
    bitsGradient[open] = static_cast<float>(sum);
}

int64_t WeightRangeArgs::chunks() const { return countChunks(count); }

KernelSpec WeightRangeArgs::spec() const {
  KernelSpec spec;
  spec.op = KernelSpec::Op::WeightRange;
  spec.dataType = dataType;
  return spec;
}

Error WeightRangeArgs::notFinite(int64_t element) {
  return invalidArgument("element " + std::to_string(element) + " is NaN or infinite: the range must be finite");
}

Status WeightRangeArgs::verify() const {
  if (count < 1)
    return refuse("count", std::to_string(count), "only a weight of 1 element or more has a range");
  if (!weight || !low || !high || !lowAt || !highAt)
    return invalidArgument("weight and results must all be given, one is null");
  return {};
}

Status WeightRangeArgs::finish(const float *lows, const float *highs) const {
  int64_t least = 0, greatest = 0;
  for (int64_t chunk = 0; chunk < chunks(); ++chunk) {
    if (std::isnan(lows[chunk])) {
      const int64_t at = findElement(*this, chunk * abi::noiseChunk, [](float x) { return !std::isfinite(x); });
      return notFinite(at);
    }
    if (lows[chunk] < lows[least])
      least = chunk;
    if (highs[chunk] > highs[greatest])
      greatest = chunk;
  }
  *low = lows[least];
  *high = highs[greatest];
  *lowAt = findElement(*this, least * abi::noiseChunk, [&](float x) { return x == *low; });
  *highAt = findElement(*this, greatest * abi::noiseChunk, [&](float x) { return x == *high; });
  return {};
}
