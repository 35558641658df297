// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/DataSet.h"

#include "tools/bqc/ModelFile.h"
#include "tools/bqc/Output.h"
#include "tools/bqc/train/CsvTable.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>

using namespace bq;
using namespace bq::cli;

namespace {

/// "[8, 8]" of "8x8".
Expected<std::vector<int64_t>> parseImage(const std::string &text) {
  std::vector<int64_t> sizes;
  const char *next = text.data(), *end = text.data() + text.size();
  while (true) {
    int64_t size = 0;
    const auto [rest, error] = std::from_chars(next, end, size);
    if (error != std::errc() || size < 1)
      break;
    sizes.push_back(size);
    if (rest == end && (sizes.size() == 2 || sizes.size() == 3)) {
      if (sizes.size() == 2)
        sizes.insert(sizes.begin(), 1);
      return sizes;
    }
    if (*rest != 'x')
      break;
    next = rest + 1;
  }
  return invalidArgument(fmt::format("--image {}: expected HEIGHTxWIDTH or CHANNELSxHEIGHTxWIDTH, such as 8x8", text));
}

std::optional<double> numberIn(const std::string &text) {
  double value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && rest == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

/// Texts in ascending order: as numbers, where all are.
std::vector<std::string> sortedLabels(const std::map<std::string, int64_t> &found) {
  std::vector<std::string> labels;
  for (const auto &entry : found)
    labels.push_back(entry.first);
  if (std::all_of(labels.begin(), labels.end(), numberIn))
    std::stable_sort(labels.begin(), labels.end(),
                     [](const std::string &l, const std::string &r) { return *numberIn(l) < *numberIn(r); });
  return labels;
}

/// Sets y and classes from a label for each example. `column` says where they come from.
Status setClasses(DataSet &data, const std::string &column, const std::vector<std::string> &labels) {
  std::map<std::string, int64_t> indices;
  for (const std::string &label : labels)
    indices.emplace(label, 0);
  if (indices.size() < 2)
    return invalidArgument(fmt::format("{} holds one class, '{}', expected at least two", column, labels[0]));
  if (indices.size() > labels.size() / 2)
    return invalidArgument(fmt::format("{} holds {} different labels for {} examples, expected classes of at least two "
                                       "examples each; --label names another column",
                                       column, indices.size(), labels.size()));
  data.classes = sortedLabels(indices);
  for (size_t index = 0; index < data.classes.size(); ++index)
    indices[data.classes[index]] = static_cast<int64_t>(index);
  std::vector<int64_t> y;
  for (const std::string &label : labels)
    y.push_back(indices[label]);
  data.y = at::tensor(y, at::kLong);
  return {};
}

Expected<DataSet> loadCsv(const std::string &path, const std::string &label) {
  const Expected<CsvTable> table = readCsv(path, label);
  if (!table)
    return table.error();
  DataSet data;
  data.x = at::tensor(table->values, at::kFloat).view({table->rows, table->columns});
  const std::string column = fmt::format("{}: label column '{}'", path, table->labelName);
  if (Status status = setClasses(data, column, table->labels); !status)
    return status.error();
  return data;
}

Expected<DataSet> loadDigits() {
  const std::string path = digitsPath();
  if (path.empty() || !checkReadable(path))
    return notFound(fmt::format("--data digits: {} is not there; tools/setup fetches it",
                                path.empty() ? "bq-data/digits.csv in XDG_CACHE_HOME" : path));
  Expected<DataSet> data = loadCsv(path, "");
  if (data && (data->x.size(1) != 64 || data->classes.size() != 10))
    return invalidArgument(fmt::format("--data digits: {} holds {} features and {} classes, expected 64 and 10; remove "
                                       "it, and tools/setup fetches it again",
                                       path, data->x.size(1), data->classes.size()));
  return data;
}

/// x and y of a pair, or of a dictionary with these keys.
std::optional<std::pair<at::Tensor, at::Tensor>> pairOf(const c10::IValue &value) {
  c10::IValue x, y;
  if (value.isGenericDict()) {
    const auto dict = value.toGenericDict();
    if (!dict.contains("x") || !dict.contains("y"))
      return std::nullopt;
    x = dict.at("x");
    y = dict.at("y");
  } else if (value.isTuple() && value.toTupleRef().elements().size() == 2) {
    x = value.toTupleRef().elements()[0];
    y = value.toTupleRef().elements()[1];
  } else if (value.isList() && value.toListRef().size() == 2) {
    x = value.toListRef()[0];
    y = value.toListRef()[1];
  }
  if (!x.isTensor() || !y.isTensor())
    return std::nullopt;
  return std::make_pair(x.toTensor(), y.toTensor());
}

Expected<DataSet> loadTensors(const std::string &path) {
  const Expected<c10::IValue> value =
      loadPickle("--data", path, "two tensors x and y, as a pair or a dictionary, as torch.save writes them");
  if (!value)
    return value.error();
  const auto tensors = pairOf(*value);
  if (!tensors)
    return invalidArgument(fmt::format("--data {}: holds {}, expected two tensors x and y, as a pair or a dictionary",
                                       path, value->tagKind()));
  auto [x, y] = *tensors;
  if (x.dim() < 2 || x.dim() > 4 || x.numel() == 0 || x.is_complex())
    return invalidArgument(fmt::format("--data {}: x is {} {}, expected numbers [examples, features], [examples, "
                                       "height, width] or [examples, channels, height, width]",
                                       path, toString(x.scalar_type()), shapeText(x.sizes().vec())));
  if (y.dim() != 1 || y.size(0) != x.size(0) || !c10::isIntegralType(y.scalar_type(), /*includeBool=*/true))
    return invalidArgument(fmt::format("--data {}: y is {} {}, expected integers [{}], a class for each example of x",
                                       path, toString(y.scalar_type()), shapeText(y.sizes().vec()), x.size(0)));
  DataSet data;
  data.x = (x.dim() == 3 ? x.unsqueeze(1) : x).to(at::kCPU, at::kFloat).contiguous();
  const at::Tensor bad = data.x.isfinite().logical_not().flatten(1).any(1).nonzero();
  if (bad.numel())
    return invalidArgument(fmt::format("--data {}: example {} of x holds NaN or infinity, expected finite numbers",
                                       path, bad[0].item<int64_t>()));
  const at::Tensor labels = y.to(at::kCPU, at::kLong).contiguous();
  std::vector<std::string> texts;
  for (int64_t row = 0; row < labels.size(0); ++row)
    texts.push_back(std::to_string(labels.const_data_ptr<int64_t>()[row]));
  if (Status status = setClasses(data, fmt::format("--data {}: y", path), texts); !status)
    return status.error();
  return data;
}

/// Features as images, where --image says so or the data is known to be images.
Status setImage(DataSet &data, const TrainOptions &options) {
  const std::string text = options.image.empty() && options.data == "digits" ? "8x8" : options.image;
  if (text.empty())
    return {};
  const Expected<std::vector<int64_t>> sizes = parseImage(text);
  if (!sizes)
    return sizes.error();
  const int64_t pixels = (*sizes)[0] * (*sizes)[1] * (*sizes)[2];
  const int64_t features = data.x.numel() / data.x.size(0);
  if (pixels != features)
    return invalidArgument(
        fmt::format("--image {}: has {} values, an example of --data {} has {}", text, pixels, options.data, features));
  data.x = data.x.reshape({data.x.size(0), (*sizes)[0], (*sizes)[1], (*sizes)[2]});
  return {};
}

} // namespace

std::string cli::digitsPath() {
  const char *cache = std::getenv("XDG_CACHE_HOME");
  if (cache && *cache == '/')
    return std::string(cache) + "/bq-data/digits.csv";
  const char *home = std::getenv("HOME");
  return home && *home == '/' ? std::string(home) + "/.cache/bq-data/digits.csv" : "";
}

Expected<DataSet> cli::loadDataSet(const TrainOptions &options) {
  if (options.data == "digits" && !options.label.empty())
    return invalidArgument("--label: the digits have their labels; expected a CSV file in --data");
  Expected<DataSet> data = [&]() -> Expected<DataSet> {
    if (options.data == "digits")
      return loadDigits();
    if (Status status = checkReadable(options.data); !status)
      return notFound("--data " + status.error().message + "; expected digits, a CSV file or a .pt file");
    if (!isZipFile(options.data))
      return loadCsv(options.data, options.label);
    if (!options.label.empty())
      return invalidArgument(fmt::format("--label: --data {} is no CSV file; its labels are y", options.data));
    return loadTensors(options.data);
  }();
  if (!data)
    return data;
  if (Status status = setImage(*data, options); !status)
    return status.error();
  const auto hash = [](const at::Tensor &tensor, uint64_t seed) {
    return XXH3_64bits_withSeed(tensor.const_data_ptr(), tensor.nbytes(), seed);
  };
  data->hash = hash(data->y, hash(data->x, 0));
  return data;
}
