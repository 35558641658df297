// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bq-golden/Case.h"

#include <c10/util/Exception.h>

using namespace bq::golden;

namespace {

using Json = nlohmann::json;

template <typename T>
T value(const Case &entry, const std::string &param, const std::optional<T> &otherwise,
        bool (Json::*isKind)() const noexcept, const char *kind) {
  if (!entry.has(param)) {
    TORCH_CHECK(otherwise, "the case has no parameter '", param, "'");
    return *otherwise;
  }
  const Json &found = entry.params[param];
  TORCH_CHECK((found.*isKind)(), "parameter '", param, "' is ", found.dump(), ", which is no ", kind);
  return found.get<T>();
}

} // namespace

at::Tensor Case::input(const std::string &name) const {
  at::Tensor found = optionalInput(name);
  TORCH_CHECK(found.defined(), "the case has no input '", name, "'");
  return found;
}

at::Tensor Case::optionalInput(const std::string &name) const {
  auto found = inputs.find(name);
  return found == inputs.end() ? at::Tensor() : found->second.clone();
}

bool Case::has(const std::string &param) const { return params.contains(param) && !params[param].is_null(); }

int64_t Case::integer(const std::string &param, std::optional<int64_t> otherwise) const {
  return value(*this, param, otherwise, &Json::is_number_integer, "whole number");
}

double Case::number(const std::string &param, std::optional<double> otherwise) const {
  return value(*this, param, otherwise, &Json::is_number, "number");
}

bool Case::flag(const std::string &param, std::optional<bool> otherwise) const {
  return value(*this, param, otherwise, &Json::is_boolean, "true or false");
}

std::string Case::text(const std::string &param, std::optional<std::string> otherwise) const {
  return value(*this, param, otherwise, &Json::is_string, "string");
}

std::vector<double> Case::numbers(const std::string &param) const {
  return value(*this, param, std::optional<std::vector<double>>(), &Json::is_array, "array");
}

at::ScalarType Case::type(const std::string &param, at::ScalarType otherwise) const {
  const std::string name = text(param, "");
  if (name.empty())
    return otherwise;
  for (const auto &[known, type] : {std::pair("float32", at::kFloat), std::pair("float16", at::kHalf),
                                    std::pair("bfloat16", at::kBFloat16), std::pair("float64", at::kDouble)})
    if (name == known)
      return type;
  TORCH_CHECK(false, "parameter '", param, "' is '", name, "': use float32, float16, bfloat16 or float64");
}

Case Case::group(const std::string &param) const {
  return {{}, value(*this, param, std::optional<Json>(), &Json::is_object, "object")};
}
