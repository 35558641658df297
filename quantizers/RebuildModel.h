// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Puts packed weights in the place of a model's float weights.
#ifndef BQ_QUANTIZERS_REBUILDMODEL_H
#define BQ_QUANTIZERS_REBUILDMODEL_H

#include "quantizers/ModelGraph.h"
#include "quantizers/PackedWeight.h"

namespace bq {

struct Replacement {
  const WeightSite *site; ///< One without obstacle.
  c10::intrusive_ptr<PackedWeight> weight;
  Compute compute = Compute::F32;
};

/// A model in which the replaced weights' modules, and all modules that hold or read them, are new, each with a type of
/// its own; everything else is shared with `root`, which stays as it is.
torch::jit::Module rebuildModel(const torch::jit::Module &root, const std::vector<Replacement> &replacements);

} // namespace bq

#endif // BQ_QUANTIZERS_REBUILDMODEL_H
