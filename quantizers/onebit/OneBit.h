// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// bq::OneBit: the linear layers of a model at one bit a weight, decomposed with calibration data.
#ifndef BQ_QUANTIZERS_ONEBIT_ONEBIT_H
#define BQ_QUANTIZERS_ONEBIT_ONEBIT_H

#include "quantizers/Export.h"
#include "quantizers/onebit/Journal.h"
#include "quantizers/onebit/ModelLayers.h"
#include "quantizers/onebit/OneBitFiles.h"
#include "quantizers/onebit/OneBitOptions.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace bq {

/// Inputs of the whole model, in batches.
struct CalibrationData {
  size_t batches = 0;
  std::function<void(size_t batch)> forward; ///< Runs the model on one of them, on the calling thread.
};

/// When the statistics of a layer's inputs are taken.
enum class CalibrationOrder {
  Once,         ///< All layers in one pass over the data: holds a Hessian for each.
  LayerByLayer, ///< A pass for each layer: holds one Hessian.
};

struct OneBitRunOptions {
  CalibrationOrder order = CalibrationOrder::Once;
  /// Each weight is first adjusted for the error of the layers before it, whose weights are replaced meanwhile. Two
  /// passes over the data for each layer, in the order in which layers run, holding one Hessian, whatever `order` says.
  std::optional<onebit::QepOptions> qep;
  /// Part of the mean diagonal of a layer's Hessian that is added to its diagonal, for decomposing: what the inputs
  /// will be off by, once the layers before are quantized too, as part of their mean square.
  double inputNoise = 0;
  /// Layers in it are not done again, and each one done is added; may be null, not owned.
  onebit::Journal *journal = nullptr;
  /// Called after each batch of a pass, with the number of batches.
  std::function<void(size_t done, size_t total)> onBatch;
  /// Called after each layer. Both may throw, which ends the run; the model is as it was.
  std::function<void(const std::string &layer, const OneBitResult &result, size_t done, size_t total)> onLayer;
};

/// What a run will hold beside the model and its results, in bytes.
struct OneBitMemory {
  int64_t statistics = 0; ///< Hessians.
  int64_t work = 0;       ///< Of the layer that needs most, while it is decomposed; an estimate.
};

/// Quantizes layers one by one as their inputs are given, or all of a model's in a run. Models of torch::nn and of
/// TorchScript, on the CPU; layers Linear and Conv1D. From one thread.
class BQ_TORCH_API OneBit {
public:
  /// Throws c10::Error with every option that is out of range.
  explicit OneBit(OneBitOptions options = {});

  /// Finds the layers of a model, which must outlive this. Throws c10::Error where setup was done before, none matches,
  /// or there are fewer than num_layers.
  void setup(const torch::nn::Module &model);
  void setup(const torch::jit::Module &model);
  /// Takes these layers, whatever their names.
  void setup(std::vector<onebit::ModelLayer> layers);
  const std::vector<onebit::ModelLayer> &layers() const { return modelLayers; }
  /// By the address of a torch::nn::Module or of a TorchScript module's object, the layer's name.
  const std::unordered_map<const void *, std::string> &moduleToName() const { return namesOfModules; }
  /// Forgets the layers; results stay.
  void finish();

  /// One layer with its inputs [..., in]. The result is kept in `results`. Throws c10::Error that names the layer where
  /// there is none of that name, its weight is not finite, or inputs do not fit.
  const OneBitResult &quantize(const std::string &layer, const at::Tensor &inputs);
  const OneBitResult &quantize(const torch::nn::Module &layer, const at::Tensor &inputs);
  const OneBitResult &quantize(const torch::jit::Module &layer, const at::Tensor &inputs);
  /// The same for a weight that is first adjusted: `inputs` are those that the layer gets from quantized layers,
  /// `floatInputs` those of the model as it was.
  const OneBitResult &quantizeWithQep(const std::string &layer, const at::Tensor &floatInputs, const at::Tensor &inputs,
                                      const onebit::QepOptions &qep = {});

  /// All layers. `data` may be empty where flag_calibration is off. The model's weights are replaced while a run with
  /// qep lasts, and put back. Throws c10::Error: a layer that the data do not reach, inputs or weights that are not
  /// finite or do not fit, all with the layer's name; and what `data` and the callbacks throw.
  void run(const CalibrationData &data, const OneBitRunOptions &options = {});
  OneBitMemory memory(const OneBitRunOptions &options = {}) const;

  void saveResults(const std::string &path) const { onebit::saveResults(path, results); }
  /// Replaces `results`.
  void loadResults(const std::string &path) { results = onebit::loadResults(path); }

  const OneBitOptions options;
  onebit::OneBitResults results;

private:
  class Run;

  const onebit::ModelLayer &find(const std::string &layer) const;
  const onebit::ModelLayer &find(const void *module) const;
  /// Adds x [..., in] to the layer's statistics; errors name the layer.
  static void addInputs(const std::string &layer, onebit::Hessian &hessian, const at::Tensor &x);
  /// Decomposes `weight` [out, in], which is the layer's, adjusted or not. `x` and `hessian` may be null.
  OneBitResult decompose(const onebit::ModelLayer &layer, const at::Tensor &weight, const onebit::Hessian *hessian,
                         const at::Tensor *x, double inputNoise = 0) const;

  std::vector<onebit::ModelLayer> modelLayers;
  std::unordered_map<const void *, std::string> namesOfModules;
};

} // namespace bq

#endif // BQ_QUANTIZERS_ONEBIT_ONEBIT_H
