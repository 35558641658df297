// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A copy of a TorchScript model whose linear layers train at one bit a weight.
#ifndef BQ_TOOLS_BQC_DISTILL_STUDENT_H
#define BQ_TOOLS_BQC_DISTILL_STUDENT_H

#include "quantizers/Convert.h"
#include "quantizers/onebit/OneBit.h"
#include "tools/bqc/distill/LayerOutputs.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/serialize/archive.h>

#include <string>
#include <vector>

namespace bq::cli {

using ModelInputs = std::vector<c10::IValue>;

/// The layers that bq::convert() can pack read signWeight(latent, a, b); of everything else, tensors with at most one
/// dimension train (biases, norms), and others, embeddings above all, stay as they are. Not for several threads at
/// once.
class Student {
public:
  struct Layer {
    std::string name;
    at::Tensor weight;       ///< The teacher's, [out, in]; shared with it.
    at::Tensor latent, a, b; ///< Leaves that train.
  };

  /// `conversion` has one rule, sign, and what else decides which layers are packed, and how. Throws c10::Error as
  /// planConversion() does, and for weights that are not of type float. The student shares the teacher's weights of
  /// these layers, which it only reads, and nothing else.
  Student(const torch::jit::Module &teacher, ConvertOptions conversion);

  /// Decomposes the teacher's weights, with the inputs that its layers get while `data` runs it, or without, and starts
  /// from there.
  void start(const CalibrationData &data, const OneBitRunOptions &options);

  /// The result, with gradients where they are on; the layers' outputs, in the order of calls, where `outputs` is not
  /// null.
  c10::IValue forward(const ModelInputs &inputs, std::vector<LayerOutput> *outputs = nullptr);
  /// The model with packed weights, and nothing that only trains.
  torch::jit::Module toScript();

  const std::vector<Layer> &layers() const { return studentLayers; }
  const ConvertReport &plan() const { return report; }
  std::vector<at::Tensor> teacherWeights() const, latents() const, factors() const;
  /// Tensors with at most one dimension that are no part of these layers.
  const std::vector<at::Tensor> &others() const { return otherTensors; }

  void save(torch::serialize::OutputArchive &archive) const;
  /// Throws c10::Error where the archive is of another student.
  void load(torch::serialize::InputArchive &archive);

private:
  /// Every place in the model that holds the weight of a layer.
  std::vector<torch::jit::Module> holdersOf(const std::string &names) const;
  /// Every tensor that trains, under a name of its own.
  std::vector<std::pair<std::string, at::Tensor>> trained() const;

  torch::jit::Module script;
  ConvertOptions conversion;
  ConvertReport report;
  std::vector<Layer> studentLayers; ///< In the order of `report`.
  std::vector<std::vector<torch::jit::Module>> holders;
  std::vector<at::Tensor> otherTensors;
};

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_DISTILL_STUDENT_H
