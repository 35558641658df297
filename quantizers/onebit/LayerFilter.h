// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which layers of a model are quantized, by their names.
#ifndef BQ_QUANTIZERS_ONEBIT_LAYERFILTER_H
#define BQ_QUANTIZERS_ONEBIT_LAYERFILTER_H

#include "quantizers/Export.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bq::onebit {

/// Names are those of modules, such as encoder.layer.0.attention.query.
struct BQ_TORCH_API LayerFilter {
  std::optional<int64_t> layers;                           ///< As many as must be found; the first ones are taken.
  std::optional<std::vector<std::string>> includeNames;    ///< Only these, whole names.
  std::optional<std::vector<std::string>> includeKeywords; ///< Only names that contain one of these.
  std::vector<std::string> excludeNames = {"lm_head"};
  std::vector<std::string> excludeKeywords = {"per_layer_model_projection"};

  bool accepts(const std::string &name) const;
  /// Those of `names` that are accepted, in their order, none twice. Throws c10::Error where `layers` is given and
  /// there are fewer, or is not positive.
  std::vector<std::string> select(const std::vector<std::string> &names) const;
};

} // namespace bq::onebit

#endif // BQ_QUANTIZERS_ONEBIT_LAYERFILTER_H
