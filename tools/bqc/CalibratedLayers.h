// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The layers of a model that `quantize --calibrate` decomposes.
#ifndef BQ_TOOLS_BQC_CALIBRATEDLAYERS_H
#define BQ_TOOLS_BQC_CALIBRATEDLAYERS_H

#include "quantizers/Convert.h"
#include "quantizers/onebit/OneBit.h"
#include "tools/bqc/Commands.h"

#include <nlohmann/json.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bq::cli {

/// The linear layers of a plan with the format sign, their calibration data, and the journal of the run.
class CalibratedLayers {
public:
  /// Checks everything: the data, that there are such layers, and that a journal is there only where the command says
  /// to resume. `plan` is that of `module`, which both are shared with.
  static Expected<std::unique_ptr<CalibratedLayers>>
  create(const QuantizeOptions &command, const torch::jit::Module &module, const ConvertReport &plan);

  /// What will be done, and what it will hold in memory.
  void printPlan() const;
  /// Decomposes the layers, with every module in evaluation mode meanwhile. Throws what the model and bq::OneBit throw,
  /// and where the journal cannot be written.
  void run();
  /// The same as weights for the conversion.
  std::map<std::string, c10::intrusive_ptr<PackedWeight>> packed() const;
  const onebit::OneBitResults &results() const { return quantizer.results; }
  nlohmann::ordered_json toJson() const;
  /// Where finished layers are.
  const std::string &journalPath() const { return journal; }
  /// After run(): the model is written.
  void removeJournal() { log->remove(); }

private:
  CalibratedLayers(const QuantizeOptions &command, const torch::jit::Module &module);

  onebit::Journal::Run description() const;
  OneBitRunOptions runOptions() const;
  void forward(size_t batch);

  const QuantizeOptions &command;
  torch::jit::Module module;
  std::string journal;
  OneBit quantizer;
  std::vector<std::vector<c10::IValue>> inputs;
  std::optional<onebit::Journal> log; ///< Since run().
  size_t resumed = 0;                 ///< Layers that the journal had.
  double seconds = 0;
};

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_CALIBRATEDLAYERS_H
