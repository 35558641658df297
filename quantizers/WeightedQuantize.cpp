// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/WeightedQuantize.h"

#include "dialect/core/Half.h"
#include "quantizers/Quantize.h"
#include "quantizers/Tensors.h"
#include "quantizers/nbit/Packing.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace bq;

using at::Tensor;

namespace {

constexpr const char *op = "quantizeWeighted";

/// Scales that are tried at once: one for each lane, so that a compiler has vectors without changing a sum's order.
constexpr int lanes = 16;
constexpr float narrowing = 0.0375F;
constexpr int refits = 2;

/// value = scale * q with an integer q between low and high.
struct Grid {
  float scale = 1, low = 0, high = 0;
};

/// The nearest integer, ties to even, for magnitudes below 2^22: a sum of this size has no bits behind the point.
inline float nearest(float value) {
  constexpr float big = 12582912.0F; // 1.5 * 2^23
  return (value + big) - big;
}

inline float clamp(float value, float low, float high) {
  const float above = value < low ? low : value;
  return above > high ? high : above;
}

/// A group of a row, and the best grid so far.
class GroupFit {
public:
  GroupFit(const float *values, const float *importance, int64_t size, const Format &format)
      : values(values), importance(importance), size(size), levels(static_cast<float>((1 << format.bits) - 1)),
        half(static_cast<float>(1 << (format.bits - 1))) {
    for (int64_t index = 0; index < size; ++index) {
      least = std::min(least, values[index]);
      greatest = std::max(greatest, values[index]);
    }
    if (format.hasZeroPoints())
      tryRanges();
    else
      tryMagnitudes();
    for (int refit = 0; refit < refits; ++refit)
      tryLeastSquares();
  }

  const Grid &grid() const { return best; }

private:
  /// quantize()'s scale, then narrower ones whose codes are used up; and the negative of each.
  void tryMagnitudes() {
    const float greatestMagnitude = std::max(-least, greatest);
    if (!(greatestMagnitude > 0))
      return;
    best = {greatestMagnitude / (half - 1), -half, half - 1};
    for (const float sign : {1.0F, -1.0F}) {
      Grid grids[lanes];
      grids[0] = {sign * best.scale, -half, half - 1};
      for (int lane = 1; lane < lanes; ++lane)
        grids[lane] = {sign * greatestMagnitude * width(lane, 1.05F) / (half - 0.5F), -half, half - 1};
      tryAll(grids);
    }
  }

  /// Ranges around the same middle, each with three zero points.
  void tryRanges() {
    const float range = greatest - least;
    if (!(range > 0))
      return;
    for (const float shift : {0.0F, -1.0F, 1.0F}) {
      Grid grids[lanes];
      for (int lane = 0; lane < lanes; ++lane) {
        const float part = lane == 0 ? 1 : width(lane, 1.0F - narrowing);
        const float scale = range * part / levels;
        const float begin = least + 0.5F * range * (1 - part);
        const float zero = clamp(std::nearbyint(-begin / scale) + shift, 0, levels);
        grids[lane] = {scale, -zero, levels - zero};
        if (lane == 0 && shift == 0)
          best = grids[0];
      }
      tryAll(grids);
    }
  }

  /// Of the lanes from 1 on: down to about half of what is widest.
  static float width(int lane, float widest) { return widest - narrowing * static_cast<float>(lane - 1); }

  void tryAll(const Grid (&grids)[lanes]) {
    float scale[lanes], inverse[lanes], low[lanes], high[lanes], sums[lanes] = {};
    for (int lane = 0; lane < lanes; ++lane) {
      scale[lane] = grids[lane].scale;
      inverse[lane] = 1 / grids[lane].scale;
      low[lane] = grids[lane].low;
      high[lane] = grids[lane].high;
    }
    for (int64_t index = 0; index < size; ++index) {
      const float value = values[index], weight = importance[index];
      for (int lane = 0; lane < lanes; ++lane) {
        const float code = nearest(clamp(value * inverse[lane], low[lane], high[lane]));
        const float error = value - code * scale[lane];
        sums[lane] += weight * (error * error);
      }
    }
    for (int lane = 0; lane < lanes; ++lane)
      take(grids[lane], sums[lane]);
  }

  /// Also refuses what is not finite, of weights near the ends of float.
  void take(const Grid &grid, float sum) {
    if (!(sum < leastSum) || !std::isnormal(grid.scale))
      return;
    leastSum = sum;
    best = grid;
  }

  void tryLeastSquares() {
    float product = 0, square = 0;
    for (int64_t index = 0; index < size; ++index) {
      const float code = codeOf(best, values[index]);
      product += importance[index] * code * values[index];
      square += importance[index] * code * code;
    }
    if (!(square > 0))
      return;
    const Grid grid{product / square, best.low, best.high};
    float sum = 0;
    for (int64_t index = 0; index < size; ++index) {
      const float error = values[index] - codeOf(grid, values[index]) * grid.scale;
      sum += importance[index] * (error * error);
    }
    take(grid, sum);
  }

  static float codeOf(const Grid &grid, float value) { return nearest(clamp(value / grid.scale, grid.low, grid.high)); }

  const float *values, *importance;
  int64_t size;
  float levels, half;
  float least = 0, greatest = 0; ///< A range of uint holds 0.
  float leastSum = std::numeric_limits<float>::infinity();
  Grid best;
};

Tensor matrixOf(const Tensor &tensor) {
  const Tensor matrix = tensor.dim() == 4 ? tensor.permute({0, 2, 3, 1}).flatten(1) : tensor;
  return matrix.detach().to(at::kFloat).contiguous();
}

void checkArguments(const Tensor &weight, const Tensor &importance, const Format &format) {
  TORCH_CHECK(format.kind == Format::Kind::Int || format.kind == Format::Kind::UInt, op, ": ", format.str(),
              " is not supported, expected int or uint");
  matrixShape(op, weight.sizes());
  elementType(op, "weight", weight.scalar_type());
  TORCH_CHECK(weight.device().is_cpu() && importance.device().is_cpu(), op,
              ": expected tensors on cpu, got 'weight' on ", weight.device(), " and 'importance' on ",
              importance.device());
  TORCH_CHECK(importance.scalar_type() == at::kFloat && importance.sizes() == weight.sizes(), op,
              ": expected 'importance' Float ", shapeText(weight.sizes()), ", got ", importance.scalar_type(), " ",
              shapeText(importance.sizes()));
  TORCH_CHECK(weight.isfinite().all().item<bool>(), op, ": 'weight' ", shapeText(weight.sizes()),
              " holds NaN or infinity");
  TORCH_CHECK(importance.isfinite().logical_and(importance.ge(0)).all().item<bool>(), op,
              ": 'importance' holds a value that is negative or not finite");
}

} // namespace

c10::intrusive_ptr<PackedWeight> bq::quantizeWeighted(const Tensor &weight, const Tensor &importance,
                                                      const Format &format) {
  checkArguments(weight, importance, format);
  const at::NoGradGuard noGradient;
  const Tensor values = matrixOf(weight), factors = matrixOf(importance);
  const int64_t n = values.size(0), k = values.size(1), group = format.groupSize(k), groups = format.groupCount(k);
  Tensor scales = at::empty({n, groups}, at::kFloat), zeros = at::empty({n, groups}, at::kByte);
  Tensor codes = at::empty({n, k}, at::kByte);
  const float *from = values.const_data_ptr<float>(), *factor = factors.const_data_ptr<float>();
  auto *scale = scales.mutable_data_ptr<float>();
  auto *zero = zeros.mutable_data_ptr<uint8_t>(), *code = codes.mutable_data_ptr<uint8_t>();
  const at::ScalarType type = weight.scalar_type();
  const ElementType scaleType = elementType(op, "weight", type);
  const int mask = (1 << format.bits) - 1;
  at::parallel_for(0, n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin * groups; index < end * groups; ++index) {
      const int64_t row = index / groups, first = (index % groups) * group, size = std::min(group, k - first);
      const float *mine = from + row * k + first;
      const Grid grid = GroupFit(mine, factor + row * k + first, size, format).grid();
      float stored = roundTo(scaleType, grid.scale);
      if (stored == 0)
        stored = 1;
      scale[index] = stored;
      zero[index] = static_cast<uint8_t>(-grid.low);
      for (int64_t column = 0; column < size; ++column) {
        const float nearestCode = nearest(clamp(mine[column] / stored, grid.low, grid.high));
        const int offset = format.hasZeroPoints() ? zero[index] : 0;
        code[row * k + first + column] = static_cast<uint8_t>((static_cast<int>(nearestCode) + offset) & mask);
      }
    }
  });
  return c10::make_intrusive<PackedWeight>(packRows(codes, format.bits), scales.to(type),
                                           format.hasZeroPoints() ? std::optional(zeros) : std::nullopt, format,
                                           weight.sizes().vec());
}
