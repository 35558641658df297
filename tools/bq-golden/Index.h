// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// An index of golden cases: what each case asks, and where its tensors are.
#ifndef BQ_TOOLS_BQ_GOLDEN_INDEX_H
#define BQ_TOOLS_BQ_GOLDEN_INDEX_H

#include "quantizers/SafeTensors.h"
#include "tools/bq-golden/Tolerance.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bq::golden {

/// A tensor of a case, as the index describes it.
struct TensorEntry {
  std::string key; ///< Its name in the case's file.
  std::vector<int64_t> shape;
  std::string dtype; ///< As LibTorch's Python names it: float32, int8, ...
};

struct CaseEntry {
  std::string id, system, op;
  std::string file; ///< Relative to the folder above the index.
  nlohmann::json params;
  std::map<std::string, TensorEntry> inputs, outputs;
  std::map<std::string, Tolerance> tolerances; ///< One for each output.
  nlohmann::json expect;                       ///< Plain values by name; an empty object where there are none.
};

struct FileEntry {
  int64_t bytes = 0;
  std::string sha256;
};

struct Index {
  std::string path;
  std::map<std::string, FileEntry> files; ///< By the name that cases use.
  std::vector<CaseEntry> cases;

  /// The path of a file that a case names.
  std::string pathOf(const std::string &file) const;
};

/// Reads an index of format 1. Throws c10::Error, one line that names the file, the case and the entry, where the file
/// cannot be read or something in it is missing, of a wrong type, or given twice.
Index readIndex(const std::string &path);

/// A file that cases name. Throws c10::Error where it is missing or damaged, or where its size or its SHA-256 is not
/// what the index lists for it.
SafeTensors readCaseFile(const Index &index, const std::string &file);

/// The tensor that an entry of a case describes. Throws c10::Error where the file lacks it, or has it in another shape
/// or type.
at::Tensor findTensor(const SafeTensors &contents, const CaseEntry &entry, const TensorEntry &tensor);

} // namespace bq::golden

#endif // BQ_TOOLS_BQ_GOLDEN_INDEX_H
