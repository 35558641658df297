// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A case as an op meets it: inputs and parameters by name.
#ifndef BQ_TOOLS_BQ_GOLDEN_CASE_H
#define BQ_TOOLS_BQ_GOLDEN_CASE_H

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bq::golden {

/// What an op is given. Every function that has no default throws c10::Error where the case has no such entry, or one
/// of another kind. A parameter that is null counts as not there.
struct Case {
  std::map<std::string, at::Tensor> inputs;
  nlohmann::json params;

  /// A copy, so that nothing that an op does to it reaches the case.
  at::Tensor input(const std::string &name) const;
  /// Not defined where the case has no such input.
  at::Tensor optionalInput(const std::string &name) const;

  bool has(const std::string &param) const;
  int64_t integer(const std::string &param, std::optional<int64_t> otherwise = std::nullopt) const;
  double number(const std::string &param, std::optional<double> otherwise = std::nullopt) const;
  bool flag(const std::string &param, std::optional<bool> otherwise = std::nullopt) const;
  std::string text(const std::string &param, std::optional<std::string> otherwise = std::nullopt) const;
  std::vector<double> numbers(const std::string &param) const;
  /// "float32", "float16", "bfloat16" or "float64".
  at::ScalarType type(const std::string &param, at::ScalarType otherwise) const;
  /// The members of a parameter that is an object, as a case without inputs.
  Case group(const std::string &param) const;
};

/// What an op gives. It gives all that it can; the runner looks for what the case lists.
struct Results {
  std::map<std::string, at::Tensor> tensors;
  nlohmann::json values = nlohmann::json::object(); ///< For `expect`.
  /// How far apart rounding alone may put results of two machines. Cases that are off by no more have not passed, and
  /// are reported so.
  std::map<std::string, at::Tensor> rounding = {};
  /// What the same computation gives where rounding decides otherwise, such as when to stop.
  std::vector<Results> others = {};
};

} // namespace bq::golden

#endif // BQ_TOOLS_BQ_GOLDEN_CASE_H
