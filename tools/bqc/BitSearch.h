// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// `bqc quantize --target-bits`: bits for each layer by measured sensitivity.
#ifndef BQ_TOOLS_BQC_BITSEARCH_H
#define BQ_TOOLS_BQC_BITSEARCH_H

#include "dialect/core/Status.h"
#include "quantizers/Convert.h"
#include "tools/bqc/Commands.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bq::cli {

/// A layer's choices, in ascending order of bits.
struct LayerChoices {
  int64_t weights = 0;
  std::vector<int> bits;
  std::vector<double> errors; ///< What the choice alone costs, in any unit that is the same for all layers.
};

/// A choice for each layer, so that errors add up to as little as greedy steps find: from the fewest bits, always the
/// step, over several bits where that is better, that saves the most error for its bits and fits. The mean of bits
/// over all weights is at most `target`, which must not be less than the fewest bits give.
std::vector<size_t> chooseBits(const std::vector<LayerChoices> &layers, double target);

struct BitPlan {
  std::vector<FormatRule> rules; ///< One for each layer of the plan.
  /// What layers whose bits were chosen are rounded to.
  std::map<std::string, c10::intrusive_ptr<PackedWeight>> weights;
  double meanBits = 0;
  double expectedError = 0; ///< The mean over the result's rows of |error|^2 / |row|^2, as far as it adds up.
};

/// Linear layers and convolutions of a format int<B> or uint<B> get 2 to 8 bits with the same groups,
/// `command.targetBits` on average over their weights; others keep their format. What a choice costs is the squared
/// error of the weights by what the result depends on them (Sensitivity.h), for the first inputs of the calibration
/// data; by the same weights are rounded (quantizers/WeightedQuantize.h). Errors name option and layer.
Expected<BitPlan> searchBits(const QuantizeOptions &command, const ConvertOptions &options);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_BITSEARCH_H
