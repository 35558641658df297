// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bq-golden/Tolerance.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <tuple>

using namespace bq;
using namespace bq::golden;

namespace {

using Json = nlohmann::json;

double numberOf(const std::string &where, const Json &value, const char *key, double greatest) {
  TORCH_CHECK(value.contains(key) && value[key].is_number(), where, ": the tolerance ", value.dump(),
              " needs a number '", key, "'");
  const double number = value[key].get<double>();
  TORCH_CHECK(number >= 0 && number <= greatest, where, ": '", key, "' is ", number, ": use 0 to ", greatest);
  return number;
}

std::string describe(const Tolerance &tolerance) {
  switch (tolerance.mode) {
  case Tolerance::Mode::Exact:
    return "exact";
  case Tolerance::Mode::Close:
    return fmt::format("atol {:g} rtol {:g}", tolerance.absolute, tolerance.relative);
  case Tolerance::Mode::CloseInt:
  case Tolerance::Mode::ClosePackedInt:
    break;
  }
  return fmt::format("atol {:g}, at most {:g} of all", tolerance.absolute, tolerance.maxFraction);
}

std::string indexText(int64_t flat, at::IntArrayRef sizes) {
  std::vector<int64_t> index(sizes.size());
  for (size_t i = sizes.size(); i-- > 0; flat /= sizes[i])
    index[i] = flat % sizes[i];
  return shapeText(index);
}

Mismatch plain(std::string text) { return {"", 0, 0, std::move(text)}; }

/// The fields of words, of the shape of the words with one more dimension.
at::Tensor fields(const at::Tensor &words, int64_t bits) {
  at::Tensor wide = words.to(at::kLong).unsqueeze(-1);
  at::Tensor shifts = at::arange(0, words.element_size() * 8, bits, wide.options());
  return at::bitwise_and(at::bitwise_right_shift(wide, shifts), (int64_t(1) << bits) - 1);
}

/// Where bits differ, whatever the type. The sign of 0 counts; one NaN is as another.
at::Tensor bitsDiffer(const at::Tensor &got, const at::Tensor &expected) {
  const int64_t size = expected.element_size();
  const at::ScalarType word = size == 1 ? at::kByte : size == 2 ? at::kShort : size == 4 ? at::kInt : at::kLong;
  at::Tensor differ = got.contiguous().view(word).ne(expected.contiguous().view(word));
  return differ.logical_and(got.isnan().logical_and(expected.isnan()).logical_not());
}

/// Both in one type, or undefined where that changes a value. Integers may differ in width, and words of fewer than 64
/// bits in what their upper bit means.
std::pair<at::Tensor, at::Tensor> inOneType(const at::Tensor &got, const at::Tensor &expected) {
  if (at::isIntegralType(got.scalar_type(), false) && at::isIntegralType(expected.scalar_type(), false)) {
    at::Tensor left = got.to(at::kLong), right = expected.to(at::kLong);
    const int64_t bits = 8 * std::min(got.element_size(), expected.element_size());
    if (bits == 64)
      return {left, right};
    const int64_t count = int64_t(1) << bits;
    auto fits = [&](const at::Tensor &values) { return values.ge(-count / 2).logical_and(values.lt(count)).all(); };
    if (!fits(left).item<bool>() || !fits(right).item<bool>())
      return {};
    return {left.bitwise_and(count - 1), right.bitwise_and(count - 1)};
  }
  at::Tensor converted = got.to(expected.scalar_type());
  if (bitsDiffer(converted.to(got.scalar_type()), got).any().item<bool>())
    return {};
  return {converted, expected};
}

/// Distance of each element; infinite where one is NaN or infinite and the other is not.
at::Tensor distance(const at::Tensor &got, const at::Tensor &expected) {
  at::Tensor isSame = got.eq(expected).logical_or(got.isnan().logical_and(expected.isnan()));
  at::Tensor difference = (got - expected).abs().nan_to_num(INFINITY);
  return difference.masked_fill(isSame, 0);
}

} // namespace

std::string golden::shapeText(at::IntArrayRef sizes) { return fmt::format("[{}]", fmt::join(sizes, ", ")); }

Tolerance golden::parseTolerance(const std::string &where, const Json &value) {
  TORCH_CHECK(value.is_object() && value.contains("mode") && value["mode"].is_string(), where, ": ", value.dump(),
              " is no tolerance: it has no 'mode'");
  const std::string mode = value["mode"];
  Tolerance tolerance;
  if (mode == "exact")
    return tolerance;
  TORCH_CHECK(mode == "close" || mode == "close_int" || mode == "close_packed_int", where, ": unknown tolerance mode '",
              mode, "': use exact, close, close_int or close_packed_int");
  tolerance.absolute = numberOf(where, value, "atol", INFINITY);
  if (mode == "close") {
    tolerance.mode = Tolerance::Mode::Close;
    tolerance.relative = numberOf(where, value, "rtol", INFINITY);
    return tolerance;
  }
  tolerance.mode = Tolerance::Mode::CloseInt;
  tolerance.maxFraction = numberOf(where, value, "max_fraction_different", 1);
  if (mode == "close_packed_int") {
    tolerance.mode = Tolerance::Mode::ClosePackedInt;
    tolerance.bits = static_cast<int64_t>(numberOf(where, value, "bits", 32));
    TORCH_CHECK(tolerance.bits >= 1 && 32 % tolerance.bits == 0, where, ": fields of ", tolerance.bits,
                " bits do not fill words: use 1, 2, 4, 8, 16 or 32");
  }
  return tolerance;
}

Tolerance golden::outputTolerance(const std::string &where, const Json &tolerances, const std::string &name) {
  TORCH_CHECK(tolerances.is_object(), where, ": 'tolerance' is no object");
  if (tolerances.contains("mode"))
    return parseTolerance(where, tolerances);
  for (const std::string &key :
       {name, std::string(name.rfind("grad:", 0) == 0 ? "grad" : "default"), std::string("default")})
    if (tolerances.contains(key))
      return parseTolerance(where + " tolerance '" + key + "'", tolerances[key]);
  TORCH_CHECK(false, where, ": there is no tolerance for the output '", name, "'");
}

std::optional<Mismatch> golden::compare(const at::Tensor &got, const at::Tensor &expected, const Tolerance &tolerance,
                                        const at::Tensor &rounding) {
  if (!got.defined())
    return plain("nothing was computed");
  if (got.sizes() != expected.sizes() && (got.numel() != 1 || expected.numel() != 1))
    return plain(fmt::format("shape {}, expected {}", shapeText(got.sizes()), shapeText(expected.sizes())));
  const at::ScalarType type = expected.scalar_type();
  at::Tensor left = got.detach().to(at::kCPU).reshape(expected.sizes()), right = expected;
  if (tolerance.mode == Tolerance::Mode::Exact && left.scalar_type() != type) {
    std::tie(left, right) = inOneType(left, right);
    if (!left.defined())
      return plain(
          fmt::format("type {}, whose values {} does not hold", c10::toString(got.scalar_type()), c10::toString(type)));
  }
  if (tolerance.mode == Tolerance::Mode::ClosePackedInt) {
    if (!at::isIntegralType(left.scalar_type(), false) || !at::isIntegralType(type, false) ||
        left.element_size() != right.element_size())
      return plain(
          fmt::format("type {}, expected words of type {}", c10::toString(left.scalar_type()), c10::toString(type)));
    left = fields(left, tolerance.bits), right = fields(right, tolerance.bits);
  }
  at::Tensor leftValues = left.to(at::kDouble), rightValues = right.to(at::kDouble);
  at::Tensor apart = distance(leftValues, rightValues);
  at::Tensor isDifferent = tolerance.mode == Tolerance::Mode::Exact ? bitsDiffer(left, right) : apart.gt(0);
  at::Tensor isWrong = isDifferent;
  at::Tensor excess = apart;
  if (tolerance.mode != Tolerance::Mode::Exact) {
    at::Tensor allowed = rightValues.abs().mul(tolerance.relative).nan_to_num(0).add(tolerance.absolute);
    if (rounding.defined())
      allowed = allowed + rounding.to(at::kDouble);
    isWrong = apart.gt(allowed);
    excess = apart - allowed;
  }
  const int64_t count = left.numel(), different = isDifferent.sum().item<int64_t>();
  const bool isTooMany = tolerance.mode != Tolerance::Mode::Exact && tolerance.mode != Tolerance::Mode::Close &&
                         static_cast<double>(different) > tolerance.maxFraction * static_cast<double>(count);
  const int64_t wrong = isWrong.sum().item<int64_t>();
  if (!wrong && !isTooMany)
    return std::nullopt;
  const at::Tensor &chosen = wrong ? isWrong : isDifferent;
  const int64_t worst = excess.masked_fill(chosen.logical_not(), -INFINITY).reshape({-1}).argmax().item<int64_t>();
  Mismatch mismatch{indexText(worst, left.sizes()), leftValues.reshape({-1})[worst].item<double>(),
                    rightValues.reshape({-1})[worst].item<double>(), ""};
  mismatch.text = fmt::format("{}: got {:.9g}, expected {:.9g}; {} of {} differ{} ({})", mismatch.element, mismatch.got,
                              mismatch.expected, different, count,
                              wrong && wrong != different ? fmt::format(", {} by more than allowed", wrong) : "",
                              describe(tolerance));
  return mismatch;
}
