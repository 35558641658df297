// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/reference/ReferenceUpdate.h"

#include "dialect/core/Half.h"
#include "runtime/NotFinite.h"
#include "runtime/reference/Reference.h"
#include "runtime/reference/UpdateMeaning.h"

#include <algorithm>
#include <cmath>
#include <vector>

using namespace bq;
using namespace bq::reference;

namespace {

double signOf(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

class Step {
public:
  explicit Step(const UpdateArgs &args)
      : args(args), isPacked(args.packed.has_value()), k(isPacked ? args.k : abi::denseUpdateRow),
        blocks((k + abi::momentBlock - 1) / abi::momentBlock) {
    const double t = static_cast<double>(args.step);
    rate = args.lr;
    if (args.biasCorrection)
      rate *= std::sqrt(1 - std::pow(args.beta2, t)) / (1 - std::pow(args.beta1, t));
    keep = 1 - args.lr * args.weightDecay;
  }

  int64_t rows() const { return isPacked ? args.n : (args.k + k - 1) / k; }

  /// The directions of a row, whose moments are stepped.
  std::vector<double> directions(int64_t row) {
    const int64_t first = row * k, columns = std::min(k, args.n * args.k - first);
    std::vector<double> result(columns);
    if (args.moments == MomentType::Block8) {
      for (int64_t column = 0; column < columns; column += abi::momentBlock)
        stepBlock(row, column, std::min(abi::momentBlock, columns - column), &result[column]);
      return result;
    }
    for (int64_t column = 0; column < columns; ++column)
      result[column] = stepMoments(row, column);
    return result;
  }

  void moveDense(int64_t row, const std::vector<double> &directions) {
    for (size_t column = 0; column < directions.size(); ++column) {
      const int64_t at = row * k + static_cast<int64_t>(column);
      const double w = loadElement(args.weightType, args.weight, at);
      storeElement(args.weightType, args.weight, at, static_cast<float>((w - rate * directions[column]) * keep));
    }
  }

  /// New values of a row, in units of the old scales; of sign, 1 where the bit is to be set.
  std::vector<double> values(int64_t row, const std::vector<double> &directions) const {
    const PackedTarget &w = *args.packed;
    std::vector<double> result(directions);
    for (int64_t column = 0; column < k; ++column) {
      if (w.format.kind == Format::Kind::Sign) {
        result[column] = directions[column] <= 0;
        continue;
      }
      const int64_t group = groupOf(row, column);
      double value = codeAt(w.codes + row * w.format.rowBytes(k), w.format.bits, column);
      if (w.format.kind == Format::Kind::Int && value > w.format.greatestValue())
        value -= 1 << w.format.bits;
      if (w.residual)
        value += w.residual[row * k + column] / 256.0;
      value -= zeroAt(group) + rate * directions[column] / loadElement(w.scaleType, w.scales, group);
      result[column] = value * keep;
    }
    return result;
  }

  /// The scale that a row without groups wants.
  float wantedScale(int64_t row, const std::vector<double> &values) const {
    double greatest = 0;
    for (double value : values)
      greatest = std::max(greatest, std::fabs(value));
    return static_cast<float>(greatest / args.packed->format.greatestValue() *
                              loadElement(args.packed->scaleType, args.packed->scales, row));
  }

  void encode(int64_t row, std::vector<double> values, float tensorScale) {
    const PackedTarget &w = *args.packed;
    if (w.format.kind != Format::Kind::Sign)
      for (int64_t first = 0; first < k; first += w.format.groupSize(k))
        regroup(groupOf(row, first), &values[first], std::min(w.format.groupSize(k), k - first), tensorScale);
    uint8_t *codes = w.codes + row * w.format.rowBytes(k);
    std::fill_n(codes, w.format.rowBytes(k), uint8_t{0});
    for (int64_t column = 0; column < k; ++column) {
      const double unit = weightUnit(args.seed, args.step, row, column);
      StoredCode stored;
      if (w.format.kind == Format::Kind::Sign)
        stored.code = static_cast<int>(values[column]);
      else
        stored = storedCode(w.format, w.rounding, values[column] + zeroAt(groupOf(row, column)),
                            w.zeroType == ZeroPointType::U8 ? static_cast<int>(zeroAt(groupOf(row, column))) : 0, unit);
      setCode(codes, w.format.bits, column, static_cast<uint8_t>(stored.code & ((1 << w.format.bits) - 1)));
      if (w.residual)
        w.residual[row * k + column] = static_cast<int8_t>(stored.residual);
    }
  }

  float storedScale(float wanted, bool isZero) const {
    const ElementType type = args.packed->scaleType;
    return isZero ? 1.0f : roundTo(type, std::min(std::max(wanted, minNormal(type)), maxFinite(type)));
  }

private:
  int64_t groupOf(int64_t row, int64_t column) const {
    const Format &format = args.packed->format;
    return row * format.groupCount(k) + column / format.groupSize(k);
  }
  double zeroAt(int64_t group) const {
    const PackedTarget &w = *args.packed;
    if (w.zeroType == ZeroPointType::None)
      return 0;
    return w.zeroType == ZeroPointType::F32 ? static_cast<const float *>(w.zeros)[group]
                                            : static_cast<const uint8_t *>(w.zeros)[group];
  }

  /// New scale and zero point of a group; its values go to the new units.
  void regroup(int64_t group, double *values, int64_t count, float tensorScale) {
    const PackedTarget &w = *args.packed;
    if (w.scaling == ScaleUpdate::Keep)
      return;
    const double old = loadElement(w.scaleType, w.scales, group);
    double low = 0, high = 0;
    for (int64_t i = 0; i < count; ++i) {
      low = std::min(low, values[i]);
      high = std::max(high, values[i]);
    }
    const double size = w.format.kind == Format::Kind::UInt ? high - low : std::max(high, -low);
    float scale = tensorScale;
    if (w.scaling == ScaleUpdate::Group)
      scale = storedScale(static_cast<float>(size / w.format.greatestValue() * old), low == 0 && high == 0);
    storeElement(w.scaleType, w.scales, group, scale);
    const double factor = old / loadElement(w.scaleType, w.scales, group);
    for (int64_t i = 0; i < count; ++i)
      values[i] *= factor;
    if (w.zeroType == ZeroPointType::F32)
      static_cast<float *>(w.zeros)[group] = static_cast<float>(-low * factor);
    if (w.zeroType == ZeroPointType::U8)
      static_cast<uint8_t *>(w.zeros)[group] =
          static_cast<uint8_t>(std::nearbyint(std::min<double>(-low * factor, w.format.greatestValue())));
  }

  double gradientAt(int64_t at) const { return loadElement(args.dataType, args.gradient, at); }
  double nextFirst(double m, double g) const { return args.beta1 * m + (1 - args.beta1) * g; }
  double nextSecond(double v, double g) const { return args.beta2 * v + (1 - args.beta2) * g * g; }
  double meanSign(double v, double m) const { return args.beta2 * v + (1 - args.beta2) * rate * signOf(m); }
  double quotient(double m, double root) const { return m / std::max(root + args.epsilon, 0x1p-126); }
  uint32_t wordOf(int64_t row, int64_t column) const { return momentWord(args.seed, args.step, row, column); }

  static float loadMoment(MomentType type, const void *moments, int64_t at) {
    return loadElement(elementOf(type), moments, at);
  }
  static ElementType elementOf(MomentType type) {
    return type == MomentType::F32 ? ElementType::F32 : type == MomentType::F16 ? ElementType::F16 : ElementType::BF16;
  }

  double stepMoments(int64_t row, int64_t column) {
    const int64_t at = row * k + column;
    const double g = gradientAt(at);
    if (args.moments == MomentType::None)
      return g;
    const bool isAdam = args.rule == UpdateRule::Adam;
    const uint32_t word = wordOf(row, column);
    auto store = [&](void *moments, double x, bool isSecond) {
      const float stored = storedMoment(args.moments, x, halfOf(word, isSecond), isSecond && isAdam);
      storeElement(elementOf(args.moments), moments, at, stored);
      return stored;
    };
    const double oldV = loadMoment(args.moments, args.v, at);
    const double m = store(args.m, nextFirst(loadMoment(args.moments, args.m, at), g), false);
    const double v = store(args.v, isAdam ? nextSecond(oldV, g) : meanSign(oldV, m), true);
    return isAdam ? quotient(m, std::sqrt(v)) : v;
  }

  void stepBlock(int64_t row, int64_t column, int64_t count, double *directions) {
    const int64_t at = row * k + column, scaleAt = row * blocks + column / abi::momentBlock;
    auto *m = static_cast<int8_t *>(args.m) + at;
    auto *v = static_cast<uint8_t *>(args.v) + at;
    const bool isAdam = args.rule == UpdateRule::Adam;
    std::vector<double> first(count), second(count);
    for (int64_t i = 0; i < count; ++i) {
      const double g = gradientAt(at + i);
      double oldM = m[i] * static_cast<double>(args.mScales[scaleAt]);
      double oldV = static_cast<int8_t>(v[i]) * static_cast<double>(args.vScales[scaleAt]);
      if (isAdam) {
        oldV = decodeSecond(v[i]) * args.vScales[scaleAt];
        oldM *= std::sqrt(oldV) + args.epsilon;
      }
      first[i] = nextFirst(oldM, g);
      second[i] = isAdam ? nextSecond(oldV, g) : oldV;
    }
    auto storeLinear = [&](std::vector<double> &values, float &scale, int8_t *codes, bool high) {
      double greatest = 0;
      for (double value : values)
        greatest = std::max(greatest, std::fabs(value));
      scale = static_cast<float>(linearScale(greatest));
      for (int64_t i = 0; i < count; ++i) {
        codes[i] = static_cast<int8_t>(encodeLinear(values[i], scale, halfOf(wordOf(row, column + i), high)));
        values[i] = codes[i] * static_cast<double>(scale);
      }
    };
    if (!isAdam) {
      storeLinear(first, args.mScales[scaleAt], m, false);
      for (int64_t i = 0; i < count; ++i)
        second[i] = meanSign(second[i], first[i]);
      storeLinear(second, args.vScales[scaleAt], reinterpret_cast<int8_t *>(v), true);
      std::copy(second.begin(), second.end(), directions);
      return;
    }
    const double scale = secondScale(*std::max_element(second.begin(), second.end()), 1 - args.beta2);
    args.vScales[scaleAt] = static_cast<float>(scale);
    for (int64_t i = 0; i < count; ++i) {
      v[i] = static_cast<uint8_t>(encodeSecond(second[i], scale, wordOf(row, column + i)));
      first[i] = quotient(first[i], std::sqrt(decodeSecond(v[i]) * scale));
    }
    storeLinear(first, args.mScales[scaleAt], m, false);
    std::copy(first.begin(), first.end(), directions);
  }

  const UpdateArgs &args;
  const bool isPacked;
  const int64_t k; ///< Elements of a row.
  const int64_t blocks;
  double rate, keep;
};

} // namespace

Status reference::runUpdate(const UpdateArgs &args, ParallelFor parallel) {
  if (!args.n)
    return {};
  if (int64_t at = firstNonFinite(args.dataType, args.gradient, 0, args.n * args.k); at >= 0)
    return notFinite(at, args.packed ? args.k : 0);
  Step step(args);
  const bool spansTensor = args.packed && args.packed->scaling == ScaleUpdate::Tensor;
  std::vector<std::vector<double>> values(spansTensor ? args.n : 0);
  std::vector<float> wanted(values.size());
  parallel(0, step.rows(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::vector<double> directions = step.directions(row);
      if (!args.packed) {
        step.moveDense(row, directions);
      } else if (spansTensor) {
        values[row] = step.values(row, directions);
        wanted[row] = step.wantedScale(row, values[row]);
      } else {
        step.encode(row, step.values(row, directions), 0);
      }
    }
  });
  if (!spansTensor)
    return {};
  const float greatest = *std::max_element(wanted.begin(), wanted.end());
  const float scale = step.storedScale(greatest, greatest == 0);
  parallel(0, args.n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      step.encode(row, std::move(values[row]), scale);
  });
  return {};
}
