// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Small models whose layers are decomposed.
#ifndef BQ_TEST_UNIT_ONEBIT_MODELS_H
#define BQ_TEST_UNIT_ONEBIT_MODELS_H

#include "quantizers/onebit/OneBit.h"

#include <torch/nn/functional/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace bq::test {

/// up -> relu -> down -> lm_head; up takes 24 values.
struct FloatModelImpl : torch::nn::Module {
  FloatModelImpl()
      : up(register_module("up", torch::nn::Linear(24, 40))),
        down(register_module("down", torch::nn::Linear(torch::nn::LinearOptions(40, 16).bias(false)))),
        head(register_module("lm_head", torch::nn::Linear(16, 8))) {}
  at::Tensor forward(const at::Tensor &x) { return head(down(at::relu(up(x)))); }

  torch::nn::Linear up, down, head;
};
TORCH_MODULE(FloatModel);

/// The same in TorchScript, with a Conv1D, whose weight is [in, out], for down.
inline torch::jit::Module scriptModel() {
  auto unit = std::make_shared<torch::jit::CompilationUnit>();
  auto layer = [&](const char *type, at::Tensor weight, const char *body) {
    torch::jit::Module module(c10::QualifiedName(std::string("__torch__.") + type), unit, true);
    module.register_parameter("weight", weight, false);
    module.register_parameter("bias", at::zeros({std::string(type) == "Linear" ? weight.size(0) : weight.size(1)}),
                              false);
    module.define(std::string("def forward(self, x):\n  return ") + body + "\n");
    return module;
  };
  torch::jit::Module model(c10::QualifiedName("__torch__.Model"), unit, true);
  model.register_module("up", layer("Linear", at::randn({40, 24}), "torch.linear(x, self.weight, self.bias)"));
  model.register_module("down", layer("Conv1D", at::randn({40, 16}), "torch.addmm(self.bias, x, self.weight)"));
  model.define("def forward(self, x):\n  return self.down.forward(torch.relu(self.up.forward(x)))\n");
  return model;
}

/// Inputs of which some directions matter more than others.
inline std::vector<at::Tensor> batches(int64_t count, int64_t features = 24) {
  const at::Tensor mixing = at::randn({features, features}) / 3 + at::diag(at::randn({features}).exp());
  std::vector<at::Tensor> inputs;
  for (int64_t i = 0; i < count; ++i)
    inputs.push_back(at::matmul(at::randn({32, features}), mixing));
  return inputs;
}

template <typename Model>
CalibrationData dataOf(Model &model, const std::vector<at::Tensor> &inputs) {
  return {inputs.size(), [&](size_t batch) { model->forward(inputs[batch]); }};
}

/// A folder of its own, gone at the end.
class Folder {
public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "onebit-XXXXXX";
    path = mkdtemp(name.data());
  }
  Folder(const Folder &) = delete;
  Folder &operator=(const Folder &) = delete;
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file(const std::string &name) const { return path / name; }

  std::filesystem::path path;
};

/// The same tensors and errors.
inline bool isSame(const OneBitResult &left, const OneBitResult &right) {
  auto sum = [](const std::optional<onebit::SquaredError> &error) { return error ? error->sum : -1; };
  return at::equal(left.a, right.a) && at::equal(left.b, right.b) && at::equal(left.sign, right.sign) &&
         left.isTransposed == right.isTransposed && sum(left.weightError) == sum(right.weightError) &&
         sum(left.outputError) == sum(right.outputError);
}

} // namespace bq::test

#endif // BQ_TEST_UNIT_ONEBIT_MODELS_H
