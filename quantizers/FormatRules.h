// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which of a model's layers get which format.
#ifndef BQ_QUANTIZERS_FORMATRULES_H
#define BQ_QUANTIZERS_FORMATRULES_H

#include "quantizers/Convert.h"

namespace bq {

/// A layer that rules are asked about.
struct RuleSubject {
  std::string name;
  bool embedding = false;
  std::string obstacle; ///< Why it cannot be quantized; empty where it can.
};

/// The outcome for each subject.
struct RuleChoice {
  std::optional<Format> format; ///< None: it stays as it is.
  std::string reason;           ///< Why it stays.
};

/// Applies rules, include and exclude patterns. Throws c10::Error as planConversion() says, naming the pattern.
std::vector<RuleChoice> applyRules(const std::vector<RuleSubject> &subjects, const ConvertOptions &options);

} // namespace bq

#endif // BQ_QUANTIZERS_FORMATRULES_H
