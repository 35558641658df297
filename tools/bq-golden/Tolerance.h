// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How near a result must be to the tensor of a case.
#ifndef BQ_TOOLS_BQ_GOLDEN_TOLERANCE_H
#define BQ_TOOLS_BQ_GOLDEN_TOLERANCE_H

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace bq::golden {

struct Tolerance {
  enum class Mode {
    Exact,    ///< Equal bits.
    Close,    ///< |got - expected| <= absolute + relative |expected|; NaN is near NaN, infinities only themselves.
    CloseInt, ///< |got - expected| <= absolute, and at most maxFraction of them differ.
    ClosePackedInt, ///< As CloseInt, of fields of `bits` bits in integer words, least significant first.
  };
  Mode mode = Mode::Exact;
  double absolute = 0, relative = 0, maxFraction = 0;
  int64_t bits = 0;
};

/// Sizes as [2, 3].
std::string shapeText(at::IntArrayRef sizes);

/// From a tolerance object of an index. Throws c10::Error, beginning with `where`, for an unknown mode, and where a
/// number is missing or cannot be meant.
Tolerance parseTolerance(const std::string &where, const nlohmann::json &value);

/// The tolerance of the output `name`: that of a "tolerance" object which has a mode itself; else the entry of this
/// name, else "grad" where the name begins with "grad:", else "default". Throws c10::Error where there is none of them.
Tolerance outputTolerance(const std::string &where, const nlohmann::json &tolerances, const std::string &name);

/// What is wrong with an output, as numbers and as text.
struct Mismatch {
  std::string element; ///< Index of the worst element, such as [2, 0]; empty where shapes or types differ.
  double got = 0, expected = 0;
  std::string text; ///< All of it in one line.
};

/// Nothing where `got` is near enough. Shapes must be equal, or both of one element. Types may differ: for Exact, the
/// type of `expected` must hold each value of `got`, for integers also as the unsigned number of the same bits;
/// otherwise values are compared as double. `rounding`, where defined, is of the shape of `expected` and allows so much
/// more; not of Exact.
std::optional<Mismatch> compare(const at::Tensor &got, const at::Tensor &expected, const Tolerance &tolerance,
                                const at::Tensor &rounding = {});

} // namespace bq::golden

#endif // BQ_TOOLS_BQ_GOLDEN_TOLERANCE_H
