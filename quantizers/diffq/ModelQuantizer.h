// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the quantizers of whole models share: the choice of parameters, weights that change for a while, sizes, states.
#ifndef BQ_QUANTIZERS_DIFFQ_MODELQUANTIZER_H
#define BQ_QUANTIZERS_DIFFQ_MODELQUANTIZER_H

#include "quantizers/Mixed.h"
#include "quantizers/SafeTensors.h"
#include "quantizers/diffq/ModelView.h"
#include "quantizers/diffq/Selection.h"
#include "quantizers/diffq/WeightScope.h"

#include <torch/optim/optimizer.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bq {

/// A quantized model as plain named tensors, with one entry of metadata that says what they are:
///
/// | tensor | of a quantized weight `w` |
/// | --- | --- |
/// | w.codes, w.scales | packed: canonical form of `mixed` |
/// | w.levels, w.bits, w.scales | not packed: int16 [groups, group size], uint8 [groups], float [2] |
/// | w.scale | of LSQ: float [1] |
///
/// Every other parameter and every buffer has its own name; a tensor that several modules hold is there once.
/// writeSafeTensors() and readSafeTensors() are its file.
using QuantizedState = SafeTensors;

/// A parameter that is quantized.
struct QuantizedParameter {
  std::string name; ///< Full name.
  at::Tensor parameter;
  at::Tensor learned; ///< Logits of bits, or a scale; shared by bound entries; undefined where nothing is learned.
  std::optional<size_t> boundTo; ///< The entry that quantizes this tensor for all that hold it.
  size_t module = 0;             ///< For ModelView.
  std::string shortName;         ///< In its module.
};

/// Not to be copied. Not for several threads at once. A torch::nn model that no shared_ptr owns must outlive it. Its
/// end detaches it. Everything throws c10::Error after detach(), and what changes weights also while a scope is open.
class BQ_TORCH_API ModelQuantizer {
public:
  virtual ~ModelQuantizer();
  ModelQuantizer(const ModelQuantizer &) = delete;
  ModelQuantizer &operator=(const ModelQuantizer &) = delete;

  /// Gives the quantized parameters the values that their codes stand for, and those of float16 their rounded values;
  /// false where they have them already. Throws, naming the parameter, where one is not finite; nothing is changed
  /// then.
  bool quantize();
  /// Gives all of them their own values back. Throws, having done so, where they were changed meanwhile.
  void unquantize();
  bool isQuantized() const { return rounded != nullptr; }
  /// quantize() now and unquantize() at the end of the scope; an empty scope where the model is quantized already.
  WeightScope quantizedWeights();
  /// For forward and backward of a training step. A quantized model is unquantized first. Throws where a scope is open.
  WeightScope trainingWeights();

  /// In MB of 2^20 bytes, float, 0-d, of the weights and buffers; differentiable with respect to what is learned, or
  /// exact: with rounded bits.
  at::Tensor modelSize(bool exact = false) const;
  double trueModelSize() const;
  /// MB of a file of the packed state.
  double packedModelSize() const;
  /// MB of the state that is not packed, cut into equal parts for at most `workers` threads, deflated; level -1 to 9.
  double compressedModelSize(int level = -1, int64_t workers = 8) const;

  /// Of the true weights, also while the model is quantized. Tensors are copies, on the CPU.
  QuantizedState getQuantizedState(bool packed = true) const;
  /// Gives the model the values of the state, of either form. Throws where the state is of another model or another
  /// quantizer, or is damaged: the text names the tensor, what it is and what it should be; the model is unchanged
  /// then.
  void restoreQuantizedState(const QuantizedState &state);

  /// Takes what was registered off the model. Its weights stay as they are.
  void detach();

  /// In the order of the model.
  const std::vector<QuantizedParameter> &quantizedParameters() const { return entries; }
  /// Names of parameters that are stored as float16, and of those that stay as they are.
  std::vector<std::string> float16Names() const;
  std::vector<std::string> otherNames() const;
  /// What a quantized parameter is now, in canonical form; `name` may be that of a bound entry.
  MixedWeight packed(const std::string &name) const;

protected:
  /// `kind` begins errors. Throws where a parameter's name ends with `suffix`, or another quantizer has it.
  ModelQuantizer(const char *kind, diffq::ModelView model, const diffq::SelectionRule &rule, const std::string &suffix,
                 bool upstreamCompatible);

  /// Registers what is learned of an entry that is not bound, under its name and the suffix.
  void learn(QuantizedParameter &entry, const at::Tensor &tensor);
  /// Puts all that is learned into a group of the optimizer, with its defaults but for `lr` and what `change` does.
  void addToOptimizer(torch::optim::Optimizer &optimizer, std::optional<double> lr,
                      const std::function<void(torch::optim::OptimizerOptions &)> &change);
  void removeFromOptimizer(torch::optim::Optimizer &optimizer);

  /// Bits of all entries that are not bound, with their overhead; float, 0-d.
  virtual at::Tensor quantizedBits(bool exact) const = 0;
  /// Before trainingWeights() makes values; throws where training is not set up.
  virtual void beginTraining() {}
  /// Differentiable; of the type, shape and device of `weight`.
  virtual at::Tensor trainingValue(const QuantizedParameter &entry, const at::Tensor &weight) = 0;
  virtual MixedWeight pack(const QuantizedParameter &entry, const at::Tensor &weight) const = 0;
  /// float; `scale` is what was learned, where a state has it.
  virtual at::Tensor unpack(const MixedWeight &weight, const at::Tensor &scale) const;
  /// Whether states hold what is learned as `scale`.
  virtual bool savesScale() const { return false; }
  virtual std::string optionsJson() const = 0;
  void checkAttached() const;
  /// Throws where weights cannot be changed now: detached, a scope open, or a scope misused since the last call.
  void checkUsable() const;

  std::vector<QuantizedParameter> entries;
  const char *const kind;
  const bool upstreamCompatible;
  const std::string suffix;

private:
  struct Kept {
    std::string name, storage; ///< "float16", "other" or "buffer"
    at::Tensor tensor;
  };
  std::vector<Kept> keptTensors() const;
  std::vector<diffq::WeightSwap::Change> roundedValues() const;
  at::Tensor trueValue(const at::Tensor &parameter) const;
  double keptBits() const;

  diffq::ModelView model;
  std::vector<diffq::Selected> kept; ///< Parameters that are not quantized.
  bool attached = false;
  std::shared_ptr<diffq::WeightSwap> rounded;                            ///< While quantized.
  std::weak_ptr<diffq::WeightSwap> scope;                                ///< Of the scope that is open.
  std::shared_ptr<std::string> misuse = std::make_shared<std::string>(); ///< Of a scope that has ended.
};

/// Builds the quantizer that `state` was made by on the model, restores the state, and detaches it. Throws as
/// ModelQuantizer::restoreQuantizedState() and as the quantizer's constructor.
BQ_TORCH_API void restoreQuantizedState(torch::nn::Module &model, const QuantizedState &state);
BQ_TORCH_API void restoreQuantizedState(const torch::jit::Module &model, const QuantizedState &state);

} // namespace bq

#endif // BQ_QUANTIZERS_DIFFQ_MODELQUANTIZER_H
