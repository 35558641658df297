// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bq-golden/ops/DiffqModel.h"

#include <torch/nn/modules.h>

#include <regex>

using namespace bq;
using namespace bq::golden;

namespace {

std::shared_ptr<torch::nn::Module> layerOf(const std::string &kind, const std::vector<int64_t> &sizes, bool bias) {
  const auto size = [&](size_t index) {
    TORCH_CHECK(index < sizes.size(), "model: ", kind, " has ", sizes.size(), " sizes, expected more");
    return sizes[index];
  };
  const int64_t layers = sizes.size() > 2 ? sizes[2] : 1;
  if (kind == "Linear")
    return torch::nn::Linear(torch::nn::LinearOptions(size(0), size(1)).bias(bias)).ptr();
  if (kind == "Conv1d")
    return torch::nn::Conv1d(torch::nn::Conv1dOptions(size(0), size(1), size(2)).bias(bias)).ptr();
  if (kind == "Conv2d")
    return torch::nn::Conv2d(torch::nn::Conv2dOptions(size(0), size(1), size(2)).bias(bias)).ptr();
  if (kind == "Embedding")
    return torch::nn::Embedding(size(0), size(1)).ptr();
  if (kind == "LayerNorm")
    return torch::nn::LayerNorm(torch::nn::LayerNormOptions({size(0)})).ptr();
  if (kind == "LSTM")
    return torch::nn::LSTM(torch::nn::LSTMOptions(size(0), size(1)).num_layers(layers).bias(bias)).ptr();
  if (kind == "GRU")
    return torch::nn::GRU(torch::nn::GRUOptions(size(0), size(1)).num_layers(layers).bias(bias)).ptr();
  return torch::nn::RNN(torch::nn::RNNOptions(size(0), size(1)).num_layers(layers).bias(bias)).ptr();
}

std::vector<int64_t> sizesOf(const std::string &text) {
  static const std::regex number("[0-9]+");
  std::vector<int64_t> sizes;
  for (std::sregex_iterator found(text.begin(), text.end(), number), end; found != end; ++found)
    sizes.push_back(std::stoll(found->str()));
  return sizes;
}

} // namespace

void ParameterTree::add(const std::string &name, const at::Tensor &tensor) {
  const size_t dot = name.find('.');
  if (dot == std::string::npos) {
    register_parameter(name, tensor);
    return;
  }
  const std::string child = name.substr(0, dot);
  const auto known = named_children();
  const auto module = known.contains(child) ? std::static_pointer_cast<ParameterTree>(known[child])
                                            : register_module(child, std::make_shared<ParameterTree>());
  module->add(name.substr(dot + 1), tensor);
}

std::shared_ptr<ParameterTree> golden::modelOf(const nlohmann::json &parameters) {
  auto model = std::make_shared<ParameterTree>();
  std::map<std::string, at::Tensor> tensors;
  for (const nlohmann::json &parameter : parameters) {
    const std::string name = parameter.at("name");
    const nlohmann::json tied = parameter.value("tied_to", nlohmann::json());
    const auto shape = parameter.at("shape").get<std::vector<int64_t>>();
    tensors[name] = tied.is_null() ? at::randn(shape).requires_grad_() : tensors.at(tied.get<std::string>());
    model->add(name, tensors[name]);
  }
  return model;
}

std::shared_ptr<torch::nn::Module> golden::modelOf(const std::string &text) {
  static const std::regex layer(
      R"((?:([0-9]+) x )?(Linear|Conv1d|Conv2d|Embedding|LayerNorm|LSTM|GRU|RNN)\(([^()]*)\))");
  const bool bias = text.find("without bias") == std::string::npos && text.find("no bias") == std::string::npos;
  torch::nn::Sequential sequential;
  std::shared_ptr<torch::nn::Module> last;
  for (std::sregex_iterator found(text.begin(), text.end(), layer), end; found != end; ++found)
    for (int64_t count = (*found)[1].matched ? std::stoll((*found)[1]) : 1; count > 0; --count) {
      last = layerOf((*found)[2], sizesOf((*found)[3]), bias && found->str().find("bias=False") == std::string::npos);
      sequential->register_module(std::to_string(sequential->children().size()), last);
    }
  TORCH_CHECK(last, "model: no layer is found in '", text, "'");
  return text.find("root module") == std::string::npos ? sequential.ptr() : last;
}
