// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The optimizer of models that mix ordinary parameters with packed weights that train.
#ifndef BQ_QUANTIZERS_OPTIM_DIODEMIX_H
#define BQ_QUANTIZERS_OPTIM_DIODEMIX_H

#include "quantizers/Export.h"
#include "quantizers/Update.h"
#include "quantizers/optim/GaLoreProjector.h"

#include <torch/optim/optimizer.h>
#include <torch/ordered_dict.h>

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace bq::optim {

struct BQ_TORCH_API DiodeMixOptions : torch::optim::OptimizerCloneableOptions<DiodeMixOptions> {
  DiodeMixOptions(double lr = 1e-4) : lr_(lr) {}
  TORCH_ARG(double, lr);
  using Betas = std::tuple<double, double>;
  TORCH_ARG(Betas, betas) = std::make_tuple(0.99, 0.9999);
  /// Added to the root of the second moment, before the correction.
  TORCH_ARG(double, eps) = 1e-6;
  /// After the step, by the new weight; not of binary parameters.
  TORCH_ARG(double, weight_decay) = 0;
  /// Whether the size of a step carries Adam's corrections of both moments.
  TORCH_ARG(bool, correct_bias) = true;
  /// How moments are stored: f32, f16, bf16, or block8, a quarter of f32.
  TORCH_ARG(MomentType, moments) = MomentType::F32;
  /// What happens to the part of a step that codes cannot hold: kept beside them in 8 bits a weight, or rounded up or
  /// down at random; nearest loses small steps.
  TORCH_ARG(Rounding, rounding) = Rounding::Residual;
  /// Of all that is rounded at random; the same seed gives the same weights.
  TORCH_ARG(int64_t, seed) = 0;
  /// Moments of parameters with two dimensions or more, as matrices, live in a space of low rank; binary ones do not.
  TORCH_ARG(std::optional<GaLoreOptions>, galore);

public:
  /// Throws, naming the option, its value and its range.
  void check() const;
  void serialize(torch::serialize::InputArchive &archive) override;
  void serialize(torch::serialize::OutputArchive &archive) const override;
  double get_lr() const override { return lr(); }
  void set_lr(double lr) override { lr_ = lr; }
};

/// What the optimizer knows of one parameter. The residual of a packed one is in its ParameterContents, and is saved
/// with this.
struct BQ_TORCH_API DiodeMixParamState : torch::optim::OptimizerCloneableParamState<DiodeMixParamState> {
  int64_t step = 0; ///< Steps done.
  Moments moments;  ///< m is exp_avg_l of bitorch-engine, v its exp_avg_s.
  std::optional<GaLoreProjector> projector;
};

/// Takes ordinary parameters by the Adam rule and quantized parameters (quantizers/nbit/Parameters.h) by that of their
/// kind, in one optimizer. Moments start as zeros, but the second of a binary weight w as -sign(w) u / 1000 with u
/// uniform in [0, 1), from LibTorch's default generator, so that signs do not all flip at once.
///
/// A parameter without a gradient is passed over. torch::save and torch::load continue bit for bit, provided that the
/// model is saved and loaded too. The options' defaults are those of bitorch-engine, far slower than Adam's.
class BQ_TORCH_API DiodeMix : public torch::optim::Optimizer {
public:
  /// Groups without options get `defaults`. Throws where an option is out of its range.
  explicit DiodeMix(const std::vector<torch::optim::OptimizerParamGroup> &groups, DiodeMixOptions defaults = {});
  explicit DiodeMix(std::vector<at::Tensor> parameters, DiodeMixOptions defaults = {});
  /// A model's named_parameters(): errors give the names, and a saved state is compared with them.
  explicit DiodeMix(const torch::OrderedDict<std::string, at::Tensor> &parameters, DiodeMixOptions defaults = {});

  /// One step on all parameters that have a gradient; what `closure` returns, which is called first. Throws, naming the
  /// parameter, where a gradient is sparse, holds NaN or infinity, or does not fit its parameter, where a parameter is
  /// empty, or of an integer type and not a quantized one. No parameter has changed then. On a GPU, which nobody waits
  /// for, NaN and infinity are reported by a later step or by checkSteps(), and until then no parameter changes.
  at::Tensor step(LossClosure closure = nullptr) override;

  /// The state of one of this optimizer's parameters, made where it is missing.
  DiodeMixParamState &paramState(const at::Tensor &parameter);
  /// The name of one of this optimizer's parameters, or its place: "parameter 2 of group 0".
  std::string nameOf(const at::Tensor &parameter) const;

  void save(torch::serialize::OutputArchive &archive) const override;
  /// Throws where the archive is of another model or is not whole; nothing is changed then.
  void load(torch::serialize::InputArchive &archive) override;

private:
  const DiodeMixOptions &optionsOf(const torch::optim::OptimizerParamGroup &group) const;
  void checkStep(const at::Tensor &parameter, const DiodeMixOptions &options) const;

  std::unordered_map<const c10::TensorImpl *, std::string> names;
};

} // namespace bq::optim

#endif // BQ_QUANTIZERS_OPTIM_DIODEMIX_H
