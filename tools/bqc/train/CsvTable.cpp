// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/CsvTable.h"

#include "tools/bqc/ModelFile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <optional>
#include <string_view>

using namespace bq;
using namespace bq::cli;

namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  const size_t first = text.find_first_not_of(blanks);
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::vector<std::string_view> fieldsOf(std::string_view line) {
  std::vector<std::string_view> fields;
  for (size_t begin = 0; begin <= line.size();) {
    const size_t end = std::min(line.find(',', begin), line.size());
    fields.push_back(trim(line.substr(begin, end - begin)));
    begin = end + 1;
  }
  return fields;
}

template <typename T>
std::optional<T> parse(std::string_view text) {
  T value{};
  const char *end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && rest == end ? std::optional<T>(value) : std::nullopt;
}

/// The column that `label` names among `count`, of which `names` are known or empty.
Expected<size_t> findLabel(const std::string &path, const std::string &label, const std::vector<std::string> &names,
                           size_t count) {
  if (label.empty())
    return count - 1;
  const auto found = std::find(names.begin(), names.end(), label);
  if (found != names.end())
    return static_cast<size_t>(found - names.begin());
  if (const std::optional<size_t> index = parse<size_t>(label); index && *index < count)
    return *index;
  return invalidArgument(fmt::format("--label {}: {} has no such column; its columns are {}", label, path,
                                     names.empty() ? fmt::format("0 to {}, without names", count - 1)
                                                   : fmt::format("{}", fmt::join(names, ", "))));
}

/// Where a field is, for errors.
std::string place(const std::string &path, size_t line, size_t column, const std::vector<std::string> &names) {
  return fmt::format("{}:{}: column {}{}", path, line, column, names.empty() ? "" : " '" + names[column] + "'");
}

} // namespace

Expected<CsvTable> cli::readCsv(const std::string &path, const std::string &label) {
  if (Status status = checkReadable(path); !status)
    return status.error();
  std::ifstream stream(path, std::ios::binary);
  CsvTable table;
  std::vector<std::string> names;
  size_t count = 0, labelColumn = 0, number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    if (trim(line).empty())
      continue;
    const std::vector<std::string_view> fields = fieldsOf(line);
    if (count == 0) {
      count = fields.size();
      const bool named =
          std::none_of(fields.begin(), fields.end(), [](std::string_view field) { return parse<double>(field); });
      if (named)
        names.assign(fields.begin(), fields.end());
      if (count < 2)
        return invalidArgument(fmt::format("{}:{}: one field, expected at least one number and a label, with commas "
                                           "between them",
                                           path, number));
      const Expected<size_t> column = findLabel(path, label, names, count);
      if (!column)
        return column.error();
      labelColumn = *column;
      table.labelName = named ? names[labelColumn] : std::to_string(labelColumn);
      if (named)
        continue;
    }
    if (fields.size() != count)
      return invalidArgument(
          fmt::format("{}:{}: {} fields, the first line has {}", path, number, fields.size(), count));
    for (size_t column = 0; column < count; ++column) {
      const std::string_view field = fields[column];
      if (column == labelColumn) {
        if (field.empty())
          return invalidArgument(place(path, number, column, names) + " holds no label");
        table.labels.emplace_back(field);
        continue;
      }
      const std::optional<double> value = parse<double>(field);
      if (!value || !std::isfinite(static_cast<float>(*value)))
        return invalidArgument(
            fmt::format("{} holds '{}', expected a finite number", place(path, number, column, names), field));
      table.values.push_back(static_cast<float>(*value));
    }
    ++table.rows;
  }
  if (table.rows == 0)
    return invalidArgument(path + ": holds no row of numbers");
  table.columns = static_cast<int64_t>(count) - 1;
  return table;
}
