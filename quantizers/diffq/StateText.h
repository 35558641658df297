// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the metadata of a QuantizedState says.
#ifndef BQ_QUANTIZERS_DIFFQ_STATETEXT_H
#define BQ_QUANTIZERS_DIFFQ_STATETEXT_H

#include "quantizers/SafeTensors.h"

#include <map>
#include <string>
#include <vector>

namespace bq::diffq {

struct StateText {
  static constexpr const char *key = "bq.quantized_state";

  struct Weight {
    std::vector<int64_t> shape;
    int64_t groupSize = 0; ///< 0: one group.
  };

  std::string kind;    ///< Name of the quantizer's class.
  std::string options; ///< Its options as JSON.
  bool packed = true;
  std::map<std::string, Weight> weights;    ///< By full name.
  std::map<std::string, std::string> bound; ///< Names of tied weights, and of what they are tied to.

  std::string str() const;
  /// Throws, beginning with `reader`, where there is no such text in the state, or it is damaged or of another version.
  static StateText parse(const char *reader, const SafeTensors &state);
};

} // namespace bq::diffq

#endif // BQ_QUANTIZERS_DIFFQ_STATETEXT_H
