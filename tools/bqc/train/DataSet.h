// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Data to train on: examples of classes, and their division into a share that trains and one that tests.
#ifndef BQ_TOOLS_BQC_TRAIN_DATASET_H
#define BQ_TOOLS_BQC_TRAIN_DATASET_H

#include "dialect/core/Status.h"
#include "tools/bqc/Commands.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace bq::cli {

struct DataSet {
  at::Tensor x;                     ///< f32, finite: [examples, features], or [examples, channels, height, width].
  at::Tensor y;                     ///< int64 [examples], indices into `classes`.
  std::vector<std::string> classes; ///< Labels in ascending order, at least two.
  uint64_t hash = 0;                ///< Of x and y, to know the data again.
};

/// Reads what `options.data` names: `digits`, a CSV file, or what torch.save wrote of two tensors x and y, as a pair or
/// as a dictionary. Errors name the file and the rule.
Expected<DataSet> loadDataSet(const TrainOptions &options);

/// Where tools/setup puts the handwritten digits: bq-data/digits.csv in XDG_CACHE_HOME, else in ~/.cache. Empty where
/// the environment names no home folder.
std::string digitsPath();

struct Split {
  DataSet train, test; ///< Both hold every class.
};

/// A random division that keeps the share of each class, the same for equal seeds. Errors name a class that has too few
/// examples.
Expected<Split> splitData(const DataSet &data, double testShare, uint64_t seed);

/// What inputs are shifted and scaled by, from the share that trains.
struct Normalization {
  at::Tensor mean;   ///< [features], or [channels, 1, 1]
  at::Tensor stddev; ///< The same shape; 1 where all examples agree.
};

/// A mean and a deviation for each feature of a table, or for each channel of images.
Normalization normalizationOf(const at::Tensor &x);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_TRAIN_DATASET_H
