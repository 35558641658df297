// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which parameters of a model are quantized, and which are stored as floats.
#ifndef BQ_QUANTIZERS_DIFFQ_SELECTION_H
#define BQ_QUANTIZERS_DIFFQ_SELECTION_H

#include "quantizers/diffq/ModelView.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bq::diffq {

struct SelectionRule {
  double minSize = 0.01; ///< MB of floats, 2^20 bytes; parameters up to this size stay floats.
  bool float16 = false;  ///< Floats that stay are stored as half.
  /// Shell patterns. Each is tried on the short name (weight) and on the long one (encoder.0.weight; of a parameter
  /// of the root: .weight).
  std::vector<std::string> exclude;
  bool detectBound = true; ///< A tensor that several modules hold is quantized once.
};

enum class Storage {
  Quantized,
  Half,  ///< Stored as float16.
  Other, ///< Stored as it is.
};

struct Selected {
  ModelTensor parameter;
  Storage storage = Storage::Other;
  /// Number of the entry in the selection that quantizes this tensor; of Quantized only.
  std::optional<size_t> boundTo;
};

/// Shell-style matching of a whole name: `*` any text, dots included, `?` one character, `[a-z]` and `[!a-z]` sets.
/// Case counts.
BQ_TORCH_API bool matchesPattern(const std::string &pattern, const std::string &name);

/// Parameters in the order given. One of more than floor(minSize 2^20 / 4) elements that no pattern matches is
/// Quantized; one of an integer type never is. With detectBound, a tensor that was met before is a bound entry where it
/// is quantized, and is left out where it is not. Throws for a negative or infinite minSize.
BQ_TORCH_API std::vector<Selected> selectParameters(const std::vector<ModelTensor> &parameters,
                                                    const SelectionRule &rule);

} // namespace bq::diffq

#endif // BQ_QUANTIZERS_DIFFQ_SELECTION_H
