// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A distillation: teacher, student, optimizer, and how far it has come.
#ifndef BQ_TOOLS_BQC_DISTILL_DISTILLER_H
#define BQ_TOOLS_BQC_DISTILL_DISTILLER_H

#include "dialect/core/Status.h"
#include "quantizers/optim/DiodeMix.h"
#include "tools/bqc/Commands.h"
#include "tools/bqc/Outputs.h"
#include "tools/bqc/distill/Student.h"

#include <nlohmann/json.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bq::cli {

/// Losses of one step, before it.
struct DistillLoss {
  double output = 0, hidden = 0;
};

/// Not for several threads at once.
class Distiller {
public:
  /// Reads model and inputs, and plans the layers; trains nothing. Errors name the option.
  static Expected<Distiller> create(const DistillOptions &options);

  /// Puts the student where training begins: decomposed, with `inputs` of the data to calibrate it.
  void start(int64_t inputs, const OneBitRunOptions &run);
  /// A step on the next inputs. The error says which step it was, where the loss or a gradient is not finite.
  Expected<DistillLoss> step();

  /// How near a model's results for the test inputs are to the teacher's. Needs test inputs.
  Expected<Agreement> judge(torch::jit::Module &model) const;
  Expected<Agreement> judgeStudent();
  /// The greatest difference of a result's element between `model` and the student's training path.
  double differenceTo(torch::jit::Module &model);
  /// The relative squared error of each layer's output, over the test inputs; empty without them.
  std::vector<double> layerErrors();

  /// Everything from which resume() goes on to the same bytes.
  Status save() const;
  Status resume();

  DistillOptions options;
  torch::jit::Module teacher;
  std::unique_ptr<Student> student;
  std::vector<ModelInputs> data, test;
  int64_t total = 0;                ///< Steps in all; 0 as long as --minutes has not been turned into steps.
  std::vector<DistillLoss> history; ///< One for each step done.
  nlohmann::ordered_json results = nlohmann::ordered_json::object(); ///< What was measured at the start.

  /// Steps during which the learning rate rises.
  static constexpr int64_t warmup = 20;

private:
  Distiller() = default;
  void makeOptimizer();
  double rate() const;
  const ModelInputs &nextInputs();

  std::unique_ptr<optim::DiodeMix> optimizer;
  at::Tensor order; ///< Of the data, in the epoch that is under way.
  int64_t orderEpoch = -1;
};

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_DISTILL_DISTILLER_H
