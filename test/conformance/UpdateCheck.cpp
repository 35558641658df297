// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/conformance/UpdateCheck.h"

#include "dialect/core/Half.h"
#include "runtime/reference/Reference.h"
#include "runtime/reference/UpdateMeaning.h"

#include <algorithm>
#include <cmath>
#include <sstream>

using namespace bq;
using namespace bq::conformance;
using namespace bq::reference;

namespace {

constexpr double e = 0x1p-24;

/// A number that is known up to an error.
struct Bounded {
  double value = 0, error = 0;
  double low() const { return value - error; }
  double high() const { return value + error; }
};

class Check {
public:
  Check(const UpdateArgs &args, const UpdateState &before, const UpdateState &after)
      : args(args), old(before), now(after), packed(args.packed.has_value()), isAdam(args.rule == UpdateRule::Adam),
        k(packed ? args.k : abi::denseUpdateRow), blocks((k + abi::momentBlock - 1) / abi::momentBlock) {
    const abi::UpdateOptions options = args.options();
    rate = args.biasCorrection ? static_cast<double>(options.rate) * options.correction : options.rate;
    keep = options.keep, beta1 = options.beta1, fresh1 = options.fresh1, beta2 = options.beta2;
    fresh2 = options.fresh2, epsilon = options.epsilon;
  }

  std::string run() {
    const int64_t rows = packed ? args.n : (args.k + k - 1) / k;
    for (int64_t row = 0; row < rows && text.str().empty(); ++row) {
      const int64_t columns = std::min(k, args.n * args.k - row * k);
      std::vector<Bounded> directions(columns);
      if (args.moments == MomentType::Block8)
        for (int64_t column = 0; column < columns; column += abi::momentBlock)
          checkBlock(row, column, std::min(abi::momentBlock, columns - column), directions);
      else
        for (int64_t column = 0; column < columns; ++column)
          directions[column] = checkMoments(row, column);
      packed ? checkRow(row, directions) : checkDense(row, directions);
    }
    if (text.str().empty() && packed && args.packed->scaling == ScaleUpdate::Tensor)
      checkTensorScale();
    return text.str();
  }

private:
  void between(const char *what, int64_t row, int64_t column, double low, double got, double high) {
    if (!(low <= got && got <= high) && text.str().empty())
      text << what << " [" << row << ", " << column << "] is " << got << ", expected " << low << " to " << high;
  }

  double gradientAt(int64_t at) const { return loadElement(args.dataType, args.gradient, at); }
  uint32_t wordAt(int64_t row, int64_t column) const { return momentWord(args.seed, args.step, row, column); }
  double loadMoment(const GuardedBuffer &moments, int64_t at) const {
    const ElementType type = args.moments == MomentType::F32   ? ElementType::F32
                             : args.moments == MomentType::F16 ? ElementType::F16
                                                               : ElementType::BF16;
    return loadElement(type, moments.data(), at);
  }
  Bounded mean(double beta, double moment, double fresh, double x, double roundings) const {
    return {beta * moment + fresh * x, roundings * e * (std::fabs(beta * moment) + std::fabs(fresh * x)) + 0x1p-148};
  }
  Bounded meanSign(double v, double m) const { return mean(beta2, v, fresh2 * rate, m > 0 ? 1 : m < 0 ? -1 : 0, 6); }
  Bounded quotient(const Bounded &m, double v) const {
    const double below = std::max(std::sqrt(v) + epsilon, 0x1p-126), value = m.value / below;
    return {value, m.error / below + 8 * e * std::fabs(value) + 0x1p-148};
  }

  Bounded checkMoments(int64_t row, int64_t column) {
    const int64_t at = row * k + column;
    const double g = gradientAt(at);
    if (args.moments == MomentType::None)
      return {g, 0};
    auto check = [&](const char *what, const GuardedBuffer &moments, const Bounded &x, bool isSecond) {
      const uint32_t half = halfOf(wordAt(row, column), isSecond);
      const double got = loadMoment(moments, at);
      between(what, row, column, storedMoment(args.moments, x.low(), half, isSecond && isAdam), got,
              storedMoment(args.moments, x.high(), half, isSecond && isAdam));
      return got;
    };
    const double m = check("m", now.m, mean(beta1, loadMoment(old.m, at), fresh1, g, 6), false);
    const double oldV = loadMoment(old.v, at);
    const double v = check("v", now.v, isAdam ? mean(beta2, oldV, fresh2, g * g, 6) : meanSign(oldV, m), true);
    return isAdam ? quotient({m, 0}, v) : Bounded{v, 0};
  }

  /// Codes of 8 bits with a common scale, made from `values`; gives what they stand for.
  void checkLinear(const char *what, int64_t row, int64_t column, const std::vector<Bounded> &values,
                   const GuardedBuffer &codes, const GuardedBuffer &scales, bool high, std::vector<Bounded> &stored) {
    double least = 0, most = 0;
    for (const Bounded &x : values) {
      least = std::max(least, std::fabs(x.value) - x.error);
      most = std::max(most, std::fabs(x.value) + x.error);
    }
    const double scale = loadElement(ElementType::F32, scales.data(), row * blocks + column / abi::momentBlock);
    between(what, row, column, std::min(linearScale(least), linearScale(most)) * (1 - 4 * e), scale,
            std::max(linearScale(least), linearScale(most)) * (1 + 4 * e));
    for (size_t i = 0; i < values.size(); ++i) {
      const int64_t at = column + static_cast<int64_t>(i);
      const int code = static_cast<int8_t>(codes.data()[row * k + at]);
      const double error = values[i].error + 4 * e * std::fabs(values[i].value);
      const uint32_t half = halfOf(wordAt(row, at), high);
      between(what, row, at, encodeLinear(values[i].value - error, scale, half), code,
              encodeLinear(values[i].value + error, scale, half));
      stored[i] = {code * scale, e * std::fabs(code * scale)};
    }
  }

  void checkBlock(int64_t row, int64_t column, int64_t count, std::vector<Bounded> &directions) {
    const int64_t scaleAt = row * blocks + column / abi::momentBlock;
    auto scaleOf = [&](const GuardedBuffer &scales) -> double {
      return loadElement(ElementType::F32, scales.data(), scaleAt);
    };
    std::vector<Bounded> first(count), second(count), stored(count);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = row * k + column + i;
      double m = static_cast<int8_t>(old.m.data()[at]) * scaleOf(old.mScales);
      if (isAdam) {
        const double v = decodeSecond(old.v.data()[at]) * scaleOf(old.vScales);
        second[i] = mean(beta2, v, fresh2, gradientAt(at) * gradientAt(at), 16);
        m *= std::sqrt(v) + epsilon;
      }
      first[i] = mean(beta1, m, fresh1, gradientAt(at), 16);
    }
    if (isAdam) {
      double greatest = 0;
      for (const Bounded &v : second)
        greatest = std::max(greatest, v.value);
      const double scale = scaleOf(now.vScales);
      auto scaleFor = [&](double most) { return secondScale(most, fresh2); };
      if (scale != scaleFor(greatest * (1 - 16 * e)) && scale != scaleFor(greatest * (1 + 16 * e)))
        between("scale of v", row, column, scaleFor(greatest), scale, scaleFor(greatest));
      for (int64_t i = 0; i < count; ++i) {
        const uint32_t word = wordAt(row, column + i);
        const int code = now.v.data()[row * k + column + i];
        between("v", row, column + i, encodeSecond(second[i].low(), scale, word), code,
                encodeSecond(second[i].high(), scale, word));
        first[i] = quotient(first[i], decodeSecond(code) * scale);
      }
    }
    checkLinear("m", row, column, first, now.m, now.mScales, false, stored);
    if (!isAdam) {
      for (int64_t i = 0; i < count; ++i)
        second[i] =
            meanSign(static_cast<int8_t>(old.v.data()[row * k + column + i]) * scaleOf(old.vScales), stored[i].value);
      checkLinear("v", row, column, second, now.v, now.vScales, true, stored);
    }
    std::copy(stored.begin(), stored.end(), directions.begin() + column);
  }

  void checkDense(int64_t row, const std::vector<Bounded> &directions) {
    for (size_t column = 0; column < directions.size(); ++column) {
      const int64_t at = row * k + static_cast<int64_t>(column);
      const double w = loadElement(args.weightType, old.weight.data(), at), step = rate * directions[column].value;
      const double value = (w - step) * keep;
      const double error = rate * directions[column].error + 8 * e * (std::fabs(w) + std::fabs(step)) + 0x1p-148;
      between("weight", row, static_cast<int64_t>(column), roundTo(args.weightType, static_cast<float>(value - error)),
              loadElement(args.weightType, now.weight.data(), at),
              roundTo(args.weightType, static_cast<float>(value + error)));
    }
  }

  double zeroAt(const GuardedBuffer &zeros, int64_t group) const {
    return args.packed->zeroType == ZeroPointType::None  ? 0
           : args.packed->zeroType == ZeroPointType::F32 ? loadElement(ElementType::F32, zeros.data(), group)
                                                         : zeros.data()[group];
  }
  double scaleAt(const GuardedBuffer &scales, int64_t group) const {
    return loadElement(args.packed->scaleType, scales.data(), group);
  }

  void checkRow(int64_t row, const std::vector<Bounded> &directions) {
    const Format &format = args.packed->format;
    if (format.kind == Format::Kind::Sign) {
      for (int64_t column = 0; column < k; ++column) {
        const int bit = directions[column].value <= 0;
        between("bit", row, column, bit, codeOf(now, row, column), bit);
      }
      return;
    }
    const int64_t size = format.groupSize(k);
    for (int64_t first = 0; first < k; first += size) {
      const int64_t group = row * format.groupCount(k) + first / size, last = std::min(first + size, k);
      const double scale = scaleAt(old.scales, group), zero = zeroAt(old.zeros, group);
      std::vector<Bounded> values;
      for (int64_t column = first; column < last; ++column) {
        const double code = codeOf(old, row, column) + residualOf(old, row, column) / 256.0;
        const double step = rate * directions[column].value / scale;
        values.push_back({(code - zero - step) * keep, rate * directions[column].error / scale +
                                                           8 * e * (std::fabs(code) + zero + 1 + std::fabs(step))});
      }
      checkGroup(row, first, group, values);
    }
  }

  float storedScale(double wanted) const {
    const ElementType type = args.packed->scaleType;
    return roundTo(type, std::min(std::max(static_cast<float>(wanted), minNormal(type)), maxFinite(type)));
  }

  void checkGroup(int64_t row, int64_t first, int64_t group, const std::vector<Bounded> &values) {
    const PackedTarget &w = *args.packed;
    Bounded low, high;
    for (const Bounded &x : values) {
      if (x.value < low.value)
        low.value = x.value;
      if (x.value > high.value)
        high.value = x.value;
      low.error = high.error = std::max(low.error, x.error);
    }
    const double before = scaleAt(old.scales, group), after = scaleAt(now.scales, group), factor = before / after;
    const double size = w.format.kind == Format::Kind::UInt ? high.value - low.value : std::max(high.value, -low.value);
    const double unit = before / w.format.greatestValue(), greatest = w.format.greatestValue();
    if (w.scaling == ScaleUpdate::Keep)
      between("scale", row, first, before, after, before);
    wanted.value = std::max(wanted.value, size * unit);
    wanted.error = std::max(wanted.error, 2 * low.error * unit + 8 * e * size * unit);
    if (w.scaling == ScaleUpdate::Group && size > 2 * low.error) {
      between("scale", row, first, storedScale((size - 2 * low.error) * unit * (1 - 8 * e)), after,
              storedScale((size + 2 * low.error) * unit * (1 + 8 * e)));
      const double zero = -low.value * factor, error = (low.error - 8 * e * low.value) * factor;
      if (w.zeroType == ZeroPointType::F32)
        between("zero", row, first, zero - error, zeroAt(now.zeros, group), zero + error);
      if (w.zeroType == ZeroPointType::U8)
        between("zero", row, first, std::nearbyint(std::clamp(zero - error, 0.0, greatest)), zeroAt(now.zeros, group),
                std::nearbyint(std::min(zero + error, greatest)));
    } else if (w.scaling == ScaleUpdate::Keep && w.zeroType != ZeroPointType::None) {
      between("zero", row, first, zeroAt(old.zeros, group), zeroAt(now.zeros, group), zeroAt(old.zeros, group));
    }

    const double zero = zeroAt(now.zeros, group);
    const int integerZero = w.zeroType == ZeroPointType::U8 ? static_cast<int>(zero) : 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const int64_t column = first + static_cast<int64_t>(i);
      const double scaled = values[i].value * factor;
      // Kernels may round to as many bits behind the point as are random.
      const double fixed = w.rounding == Rounding::Nearest ? 0 : 0x1p-17;
      const double error = values[i].error * factor + 8 * e * (std::fabs(scaled) + zero) + fixed;
      const double random = weightUnit(args.seed, args.step, row, column);
      auto decide = [&](double value) {
        const StoredCode stored = storedCode(w.format, w.rounding, value, integerZero, random);
        return stored.code * 256.0 + stored.residual;
      };
      between("code", row, column, decide(scaled + zero - error),
              codeOf(now, row, column) * 256.0 + residualOf(now, row, column), decide(scaled + zero + error));
    }
  }

  void checkTensorScale() {
    if (wanted.value > wanted.error)
      between("scale of the tensor", 0, 0, storedScale(wanted.low()), scaleAt(now.scales, 0),
              storedScale(wanted.high()));
    for (int64_t row = 1; row < args.n; ++row)
      between("scale", row, 0, scaleAt(now.scales, 0), scaleAt(now.scales, row), scaleAt(now.scales, 0));
  }

  int codeOf(const UpdateState &state, int64_t row, int64_t column) const {
    const Format &format = args.packed->format;
    const int code = codeAt(state.codes.data() + row * format.rowBytes(k), format.bits, column);
    return format.kind == Format::Kind::Int && code > format.greatestValue() ? code - (1 << format.bits) : code;
  }
  int residualOf(const UpdateState &state, int64_t row, int64_t column) const {
    return state.residual.size() ? static_cast<int8_t>(state.residual.data()[row * k + column]) : 0;
  }

  const UpdateArgs &args;
  const UpdateState &old, &now;
  const bool packed, isAdam;
  const int64_t k, blocks;
  double rate, keep, beta1, fresh1, beta2, fresh2, epsilon;
  Bounded wanted; ///< The greatest scale that a row wants.
  std::ostringstream text;
};

} // namespace

std::string bq::conformance::checkUpdate(const UpdateArgs &args, const UpdateState &before, const UpdateState &after) {
  return Check(args, before, after).run();
}
