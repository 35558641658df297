// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/DataSet.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

using namespace bq;
using namespace bq::cli;

namespace {

DataSet select(const DataSet &data, const std::vector<at::Tensor> &indices) {
  const at::Tensor rows = std::get<0>(at::cat(indices).sort());
  DataSet share = data;
  share.x = data.x.index_select(0, rows);
  share.y = data.y.index_select(0, rows);
  return share;
}

} // namespace

Expected<Split> cli::splitData(const DataSet &data, double testShare, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  std::vector<at::Tensor> train, test;
  for (size_t label = 0; label < data.classes.size(); ++label) {
    const at::Tensor rows = data.y.eq(static_cast<int64_t>(label)).nonzero().squeeze(1);
    const int64_t count = rows.size(0);
    if (count < 2)
      return invalidArgument(fmt::format("--data: class '{}' has one example, expected at least two, one to train and "
                                         "one to test",
                                         data.classes[label]));
    const at::Tensor order = rows.index_select(0, at::randperm(count, generator));
    const int64_t tested = std::clamp<int64_t>(std::llround(static_cast<double>(count) * testShare), 1, count - 1);
    test.push_back(order.narrow(0, 0, tested));
    train.push_back(order.narrow(0, tested, count - tested));
  }
  return Split{select(data, train), select(data, test)};
}

Normalization cli::normalizationOf(const at::Tensor &x) {
  const bool images = x.dim() == 4;
  const std::vector<int64_t> dims = images ? std::vector<int64_t>{0, 2, 3} : std::vector<int64_t>{0};
  at::Tensor mean = x.mean(dims), stddev = x.std(dims, /*unbiased=*/false);
  stddev = stddev.where(stddev.gt(0), 1);
  if (images) {
    mean = mean.view({-1, 1, 1});
    stddev = stddev.view({-1, 1, 1});
  }
  return {mean, stddev};
}
