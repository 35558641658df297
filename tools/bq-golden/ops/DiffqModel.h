// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Models that cases of DiffQ describe.
#ifndef BQ_TOOLS_BQ_GOLDEN_OPS_DIFFQMODEL_H
#define BQ_TOOLS_BQ_GOLDEN_OPS_DIFFQMODEL_H

#include "tools/bq-golden/Case.h"

#include <torch/nn/module.h>

#include <memory>
#include <string>

namespace bq::golden {

/// A module of modules that hold parameters by their full names; nothing computes.
class ParameterTree : public torch::nn::Module {
public:
  void add(const std::string &name, const at::Tensor &tensor);
};

/// Of a list of objects with "name", "shape" and "tied_to", a name or null. Values are random.
std::shared_ptr<ParameterTree> modelOf(const nlohmann::json &parameters);

/// Of a text such as "Sequential of 6 x Conv1d(32,32,4) with bias", "a bare Linear(53,8) with bias as the root module"
/// or "Sequential(Linear(64,41), LSTM(41,64))": Linear, Conv1d, Conv2d, Embedding, LayerNorm, LSTM, GRU and RNN with
/// their sizes. Throws where nothing is found in it.
std::shared_ptr<torch::nn::Module> modelOf(const std::string &text);

} // namespace bq::golden

#endif // BQ_TOOLS_BQ_GOLDEN_OPS_DIFFQMODEL_H
