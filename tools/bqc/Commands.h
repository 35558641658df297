// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The commands of bqc and their arguments. Each function does one command and returns bqc's exit code.
#ifndef BQ_TOOLS_BQC_COMMANDS_H
#define BQ_TOOLS_BQC_COMMANDS_H

#include "runtime/Options.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bq::cli {

enum ExitCode : int {
  Done = 0,
  Failed = 1, ///< The work failed; one line on stderr says why.
  Usage = 2,  ///< The command line was wrong.
};

/// What every command takes.
struct OutputOptions {
  bool json = false;  ///< One JSON object on stdout in place of text.
  bool quiet = false; ///< Nothing on stderr but errors.
  int verbose = 0;    ///< How often -v was given.
};

struct QuantizeOptions {
  OutputOptions output;
  std::string in, out;
  std::vector<std::string> formats; ///< [REGEX=]FORMAT, the last that matches a name wins
  std::string compute = "f32";
  std::string device = "cpu"; ///< Where the weights are quantized.
  std::vector<std::string> include, exclude;
  std::string report; ///< File for the JSON object; empty = none.
  bool dryRun = false;
};

struct CompareOptions {
  OutputOptions output;
  std::string a, b, inputs;
  std::string jsonFile; ///< Empty or "-": stdout, where output.json is set.
  std::string device = "cpu";
  int threads = 0; ///< 0: as LibTorch chooses.
};

/// A layer on the command line; text that no type has checked yet.
struct LayerOptions {
  std::string op = "linear";
  int64_t m = 1, n = 0, k = 0;
  std::string format, compute = "f32", activation = "none";
  std::string dataType = "f32", scaleType = "f16";
  bool bias = false;
};

struct BenchOptions {
  OutputOptions output;
  LayerOptions layer;
  std::string device = "cpu";
  int threads = 0; ///< 0: as LibTorch chooses.
};

struct ExplainOptions {
  OutputOptions output;
  LayerOptions layer;
  std::string target = "cpu";
  std::string stage;    ///< Empty: candidates and what was chosen.
  std::string schedule; ///< Algorithm to force.
};

struct CacheOptions {
  OutputOptions output;
  enum class Action { Path, List, Info, Stats, Verify, Prune, Clear } action = Action::Path;
  std::string key;     ///< Info only.
  std::string maxSize; ///< Prune only.
};

/// Loads one kernel in this process and prints how long that took: what `bench` starts in a fresh process.
struct LoadKernelOptions {
  std::string spec; ///< KernelSpec::str()
};

int runExplain(const ExplainOptions &options);
int runCache(const CacheOptions &options);
int runDoctor(const OutputOptions &options);
int runLoadKernel(const LoadKernelOptions &options);

/// The commands that need LibTorch. They are in a library of their own, so that the others start without it.
struct TorchCommands {
  const char *torchVersion;
  std::string (*torchLibrary)(); ///< Path of libtorch_cpu.so as it was loaded.
  int (*quantize)(const QuantizeOptions &options);
  int (*compare)(const CompareOptions &options);
  int (*bench)(const BenchOptions &options);
};
constexpr const char *torchCommandsSymbol = "bqcTorchCommands";
using TorchCommandsFn = const TorchCommands *(*)();

/// Opens that library, which takes as long as loading LibTorch; NotFound says why it could not be.
Expected<const TorchCommands *> torchCommands();

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_COMMANDS_H
