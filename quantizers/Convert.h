// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Conversion of a TorchScript model: linear, convolution and embedding layers get quantized weights, by rules on their
/// names.
#ifndef BQ_QUANTIZERS_CONVERT_H
#define BQ_QUANTIZERS_CONVERT_H

#include "dialect/core/Format.h"
#include "dialect/core/Types.h"
#include "quantizers/Export.h"
#include "quantizers/PackedWeight.h"

#include <torch/csrc/jit/api/module.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bq {

/// Which format the layers get whose name the pattern is found in.
struct BQ_TORCH_API FormatRule {
  /// ECMAScript regular expression, searched in the layer's name (anchor it with ^ and $). Empty: every linear and
  /// every convolution layer; embeddings are quantized only where a pattern is found in their name.
  std::string pattern;
  Format format;

  /// [REGEX=]FORMAT, cut at the last '='. Errors name the rule.
  static Expected<FormatRule> parse(const std::string &text);
  /// The text that parse() takes back.
  std::string str() const;
};

/// A layer's name is the path of the module that holds its weight, such as encoder.layer.0.attention.self.query.
struct BQ_TORCH_API LayerReport {
  std::string name;
  std::string op;             ///< "linear", "embedding" or "conv2d"
  std::vector<int64_t> shape; ///< of the weight, [N, K] or [O, I, kh, kw]
  Format format;
  Compute compute = Compute::F32;           ///< Not of embeddings.
  Activation activation = Activation::None; ///< What was fused into the layer.
  int64_t bytes = 0;                        ///< canonical codes, scales and zero points
  int64_t floatBytes = 0;                   ///< the weight as it was
  /// ||W - Wq|| / ||W||, and the same as a ratio in dB (infinity where exact). Absent from a plan.
  std::optional<double> relativeError, sqnrDb;
  at::Tensor weight; ///< The float weight, shared with the model; of a plan only.
};

/// A tensor or layer that stays as it is.
struct BQ_TORCH_API KeptTensor {
  std::string name; ///< Full name, such as encoder.layer.0.attention.output.LayerNorm.weight.
  std::vector<int64_t> shape;
  int64_t bytes = 0;
  std::string reason; ///< For the weight of a layer of one of these kinds: why; else empty.
};

struct BQ_TORCH_API ConvertReport {
  std::vector<LayerReport> layers; ///< In the order of the model.
  std::vector<KeptTensor> kept;    ///< Tensors that two names share are listed once.
  int64_t floatBytes() const;      ///< All tensors of the model as it was.
  int64_t bytes() const;           ///< The same after conversion.
};

struct BQ_TORCH_API ConvertOptions {
  std::vector<FormatRule> rules;    ///< The last that matches a name wins.
  Compute compute = Compute::F32;   ///< Of every linear and convolution layer.
  std::vector<std::string> include; ///< Where not empty: only layers in whose name one of these is found.
  std::vector<std::string> exclude; ///< Not the layers in whose name one of these is found.
  std::optional<at::Device> device; ///< Where weights are quantized; the model stays on the CPU.
  /// By layer name, weights that are quantized already; other layers are quantized as their format says.
  std::map<std::string, c10::intrusive_ptr<PackedWeight>> ready;
  /// Called after each layer, from the thread that called convert(). It may throw: the model is unchanged then.
  std::function<void(const LayerReport &layer, size_t done, size_t total)> progress;
};

/// What convert() would do, after all of its checks; changes nothing, makes no kernel.
///
/// Throws c10::Error: a pattern that is no regular expression, that is found in no layer, or that later rules hide
/// wholly; no layer left; a weight that is not finite, not float, half or bfloat16, or not on the CPU; a weight that
/// two layers share but only one of them is to be quantized, or in another format; a weight of `ready` that no layer
/// takes, or of another shape or format. The text names rule and layers.
BQ_TORCH_API ConvertReport planConversion(const torch::jit::Module &module, const ConvertOptions &options);

/// Replaces `module` by one whose selected layers hold a torch.classes.bq.PackedWeight in place of their float weight.
/// Names, other attributes and other tensors stay (tensors are shared with the model given, not copied); a linear layer
/// followed only by relu, gelu (none or tanh) or silu takes it in, also where that is a module of its own. A submodule
/// that has taken in what followed it returns the activated value, also when it is called by itself: q.0(x) of
/// Sequential(Sequential(Linear), ReLU) is then relu of what it was. A weight that any module uses in another way, or
/// holds without a layer that uses it, stays. Throws as planConversion(); `module` is unchanged then.
BQ_TORCH_API ConvertReport convert(torch::jit::Module &module, const ConvertOptions &options);

} // namespace bq

#endif // BQ_QUANTIZERS_CONVERT_H
