// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/LayerFilter.h"

#include <c10/util/Exception.h>

#include <algorithm>

using namespace bq::onebit;

namespace {

bool isOneOf(const std::string &name, const std::vector<std::string> &names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool containsOneOf(const std::string &name, const std::vector<std::string> &keywords) {
  return std::any_of(keywords.begin(), keywords.end(),
                     [&](const std::string &keyword) { return name.find(keyword) != std::string::npos; });
}

} // namespace

bool LayerFilter::accepts(const std::string &name) const {
  return (!includeNames || isOneOf(name, *includeNames)) &&
         (!includeKeywords || containsOneOf(name, *includeKeywords)) && !isOneOf(name, excludeNames) &&
         !containsOneOf(name, excludeKeywords);
}

std::vector<std::string> LayerFilter::select(const std::vector<std::string> &names) const {
  TORCH_CHECK(!layers || *layers > 0, "LayerFilter: layers is ", *layers, ", use a positive number");
  std::vector<std::string> chosen;
  for (const std::string &name : names) {
    if (layers && static_cast<int64_t>(chosen.size()) == *layers)
      break;
    if (accepts(name) && !isOneOf(name, chosen))
      chosen.push_back(name);
  }
  TORCH_CHECK(!layers || static_cast<int64_t>(chosen.size()) == *layers, "LayerFilter: ", *layers,
              " layers are wanted, but only ", chosen.size(), " of ", names.size(), " match");
  return chosen;
}
