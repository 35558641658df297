// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Other values in the place of a model's weights, for as long as an object lives.
#ifndef BQ_QUANTIZERS_DIFFQ_WEIGHTSCOPE_H
#define BQ_QUANTIZERS_DIFFQ_WEIGHTSCOPE_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

namespace torch::autograd {
struct Node;
}

namespace bq {

namespace diffq {

/// Parameters that hold other values for now. The tensor objects stay, so that everything that holds one of them sees
/// the new values: members of modules, flat weight lists, attributes of TorchScript, optimizers.
class WeightSwap {
public:
  struct Change {
    std::string name;
    at::Tensor parameter;
    at::Tensor original; ///< standIn() of it, which has been what `value` was computed from.
    at::Tensor value;    ///< Of the parameter's type, shape and device; perhaps with a graph.
  };

  /// The parameter's values and memory as a tensor of its own, whose gradient is the parameter's.
  static at::Tensor standIn(const at::Tensor &parameter);

  /// Gives each parameter its value. A gradient that reaches a parameter until restore() goes on through the graph of
  /// its value, and so to the parameter itself and to what else the value was computed from.
  explicit WeightSwap(std::vector<Change> changes);
  ~WeightSwap() { restore(); }
  WeightSwap(const WeightSwap &) = delete;
  WeightSwap &operator=(const WeightSwap &) = delete;

  /// Gives every parameter its memory back. The names of those that were changed meanwhile, whose changes are lost.
  std::vector<std::string> restore() noexcept;
  bool isOpen() const { return *open; }
  /// The true values of a parameter while this is open; not defined for one that has not been swapped.
  at::Tensor originalOf(const at::Tensor &parameter) const;

private:
  struct Item {
    Change change;
    bool requiresGrad = false;
    std::shared_ptr<torch::autograd::Node> accumulator; ///< Of the parameter itself.
    std::shared_ptr<torch::autograd::Node> gate;        ///< What graphs made meanwhile end in.
    uint32_t version = 0;
    const void *memory = nullptr;
    at::Tensor samples; ///< Some of the values, on the CPU only: LibTorch does not count the writes of its optimizers.
  };
  void put(Item &item);

  std::vector<Item> items;
  std::shared_ptr<bool> open = std::make_shared<bool>(true);
};

} // namespace diffq

/// While it lives, the model computes with the weights that it was made for: noisy or rounded ones. It must span
/// forward and backward: as soon as backward() returns, gradients of weights, logits and scales are complete. The model
/// has its own weights back, memory included, when the scope ends, in whatever way.
///
///     {
///       bq::WeightScope scope = quantizer.trainingWeights();
///       loss = lossOf(model->forward(x)) + penalty * quantizer.modelSize();
///       loss.backward();
///     }
///     optimizer.step();
///
/// A backward() after the end throws, since the graph has seen other weights. Weights that are changed inside of the
/// scope, by an optimizer's step, lose that change: close(), or else the next call of the quantizer, throws. Not for
/// several threads at once.
class BQ_TORCH_API WeightScope {
public:
  /// Of nothing.
  WeightScope() = default;
  /// `name` begins errors. They are left in `misuse` where the scope ends without close().
  WeightScope(std::string name, std::shared_ptr<diffq::WeightSwap> swap, std::shared_ptr<std::string> misuse);
  WeightScope(WeightScope &&other) noexcept = default;
  WeightScope &operator=(WeightScope &&other) noexcept;
  ~WeightScope();

  /// Ends the scope. Throws where weights were changed in it.
  void close();
  bool isOpen() const { return swap && swap->isOpen(); }

private:
  std::string restore() noexcept;

  std::string name;
  std::shared_ptr<diffq::WeightSwap> swap;
  std::shared_ptr<std::string> misuse;
};

} // namespace bq

#endif // BQ_QUANTIZERS_DIFFQ_WEIGHTSCOPE_H
