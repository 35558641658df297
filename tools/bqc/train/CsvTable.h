// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Tables of numbers with a label column, as CSV files.
#ifndef BQ_TOOLS_BQC_TRAIN_CSVTABLE_H
#define BQ_TOOLS_BQC_TRAIN_CSVTABLE_H

#include "dialect/core/Status.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bq::cli {

struct CsvTable {
  int64_t rows = 0;
  int64_t columns = 0;             ///< Without that of the labels.
  std::vector<float> values;       ///< [rows, columns], row-major; all finite.
  std::vector<std::string> labels; ///< A text for each row, none empty.
  std::string labelName;           ///< Of the column; its number, from 0, where the file has no names.
};

/// Reads a file of comma-separated fields without quotes; blank lines count for nothing. The first line holds names
/// where none of its fields is a number. `label` is the name or the number, from 0, of the label column; empty stands
/// for the last. Errors name file, line and column.
Expected<CsvTable> readCsv(const std::string &path, const std::string &label);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_CSVTABLE_H
