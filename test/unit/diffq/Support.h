// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the tests of states share: a small model, all widths of bits, and comparison of values.
#ifndef BQ_TEST_UNIT_DIFFQ_SUPPORT_H
#define BQ_TEST_UNIT_DIFFQ_SUPPORT_H

#include "quantizers/diffq/DiffQuantizer.h"

#include <gtest/gtest.h>
#include <torch/nn/modules.h>

#include <string>
#include <vector>

namespace bq::test {

/// Every parameter is quantized.
inline DiffQuantizerOptions small(int64_t groupSize) {
  return DiffQuantizerOptions().min_size(0).group_size(groupSize);
}

/// Parameters of one to four dimensions, and buffers that a forward has changed.
inline torch::nn::Sequential network() {
  torch::nn::Sequential model(torch::nn::Conv2d(3, 8, 3), torch::nn::BatchNorm2d(8), torch::nn::Linear(13, 7));
  model->forward(at::randn({4, 3, 15, 15}));
  return model;
}

/// Gives groups every number of bits between the least and the greatest.
inline void spreadBits(const DiffQuantizer &quantizer) {
  for (const QuantizedParameter &entry : quantizer.quantizedParameters())
    entry.learned.detach().copy_(at::linspace(-12, 12, entry.learned.numel()));
}

/// Copies of parameters and buffers, without what a quantizer has registered.
inline std::vector<at::Tensor> valuesOf(torch::nn::Module &model) {
  std::vector<at::Tensor> values;
  for (const auto &parameter : model.named_parameters())
    if (parameter.key().find("_diffq") == std::string::npos && parameter.key().find("_lsq") == std::string::npos)
      values.push_back(parameter.value().detach().clone());
  for (const at::Tensor &buffer : model.buffers())
    values.push_back(buffer.clone());
  return values;
}

inline void expectEqual(const std::vector<at::Tensor> &left, const std::vector<at::Tensor> &right) {
  ASSERT_EQ(left.size(), right.size());
  for (size_t index = 0; index < left.size(); ++index)
    EXPECT_TRUE(left[index].equal(right[index])) << index;
}

} // namespace bq::test

#endif // BQ_TEST_UNIT_DIFFQ_SUPPORT_H
