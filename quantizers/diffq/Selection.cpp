// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/Selection.h"

#include <c10/util/Exception.h>

#include <cmath>
#include <string_view>
#include <unordered_map>

using namespace bq;
using namespace bq::diffq;

namespace {

/// The place of the bracket that closes the set at the beginning of `pattern`, or npos.
size_t closingBracket(std::string_view pattern) {
  size_t at = 1;
  if (at < pattern.size() && pattern[at] == '!')
    ++at;
  // A bracket that comes first is a member.
  return at < pattern.size() ? pattern.find(']', at + 1) : std::string_view::npos;
}

bool inSet(std::string_view set, char c) {
  const bool negated = set[0] == '!';
  if (negated)
    set.remove_prefix(1);
  bool found = false;
  for (size_t at = 0; at < set.size(); ++at)
    if (at + 2 < set.size() && set[at + 1] == '-') {
      found |= set[at] <= c && c <= set[at + 2];
      at += 2;
    } else {
      found |= set[at] == c;
    }
  return found != negated;
}

bool matches(std::string_view pattern, std::string_view name) {
  while (!pattern.empty()) {
    if (pattern[0] == '*') {
      pattern.remove_prefix(1);
      for (size_t skip = 0; skip <= name.size(); ++skip)
        if (matches(pattern, name.substr(skip)))
          return true;
      return false;
    }
    if (name.empty())
      return false;
    const size_t close = pattern[0] == '[' ? closingBracket(pattern) : std::string_view::npos;
    if (close != std::string_view::npos) {
      if (!inSet(pattern.substr(1, close - 1), name[0]))
        return false;
      pattern.remove_prefix(close);
    } else if (pattern[0] != '?' && pattern[0] != name[0]) {
      return false;
    }
    pattern.remove_prefix(1);
    name.remove_prefix(1);
  }
  return name.empty();
}

bool isExcluded(const ModelTensor &parameter, const std::vector<std::string> &patterns) {
  const std::string longName = parameter.path + "." + parameter.name;
  for (const std::string &pattern : patterns)
    if (matchesPattern(pattern, parameter.name) || matchesPattern(pattern, longName))
      return true;
  return false;
}

} // namespace

bool diffq::matchesPattern(const std::string &pattern, const std::string &name) { return matches(pattern, name); }

std::vector<Selected> diffq::selectParameters(const std::vector<ModelTensor> &parameters, const SelectionRule &rule) {
  TORCH_CHECK(rule.minSize >= 0 && std::isfinite(rule.minSize), "min_size is ", rule.minSize,
              ", expected MB, 0 or more");
  const double least = std::floor(rule.minSize * 1048576 / 4);
  std::vector<Selected> result;
  std::unordered_map<const c10::TensorImpl *, size_t> seen;
  for (const ModelTensor &parameter : parameters) {
    const c10::TensorImpl *key = parameter.tensor.unsafeGetTensorImpl();
    const bool small = static_cast<double>(parameter.tensor.numel()) <= least || !parameter.tensor.is_floating_point();
    Selected selected{parameter, Storage::Quantized, std::nullopt};
    const auto known = rule.detectBound ? seen.find(key) : seen.end();
    if (small || isExcluded(parameter, rule.exclude)) {
      if (known != seen.end())
        continue;
      selected.storage = rule.float16 && parameter.tensor.is_floating_point() ? Storage::Half : Storage::Other;
    } else if (known != seen.end() && result[known->second].storage == Storage::Quantized) {
      selected.boundTo = known->second;
    }
    if (!selected.boundTo)
      seen[key] = result.size();
    result.push_back(std::move(selected));
  }
  return result;
}
