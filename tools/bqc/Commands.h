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

/// The sizes of a convolution on the command line. Where two numbers are meant, text as in 3 or 3x1.
struct Conv2dOptions {
  int64_t batch = 1, channels = 0, height = 0, width = 0, outChannels = 0;
  std::string kernel = "1", stride = "1", padding = "0", dilation = "1";
  int64_t groups = 1;
};

/// A layer on the command line; text that no type has checked yet.
struct LayerOptions {
  std::string op = "linear";
  int64_t m = 1, n = 0, k = 0;
  std::string format, compute = "f32", activation = "none";
  std::string dataType = "f32", scaleType = "f16";
  bool bias = false;
  Conv2dOptions conv; ///< Where the op is conv2d.
};

struct BenchOptions {
  OutputOptions output;
  LayerOptions layer;
  std::string device = "cpu";
  int threads = 0; ///< 0: as LibTorch chooses.
};

struct BenchUpdateOptions {
  OutputOptions output;
  int64_t parameters = int64_t{16} << 20; ///< Rounded down to rows of 4096.
  int threads = 0;                        ///< 0: as LibTorch chooses.
};

/// What a training run is made of. A checkpoint holds all but `output`, `out`, `checkpoint`, `resume` and `dryRun`.
struct TrainOptions {
  OutputOptions output;
  std::string data = "digits"; ///< digits, or a CSV or .pt file.
  std::string label;           ///< Label column of a CSV file; empty = the last.
  std::string image;           ///< Sizes of an example as an image, such as 1x8x8; empty = as the data is.
  double testShare = 0.2;
  std::string model = "mlp"; ///< mlp[:SIZE,...], conv[:CHANNELS,...], or a TorchScript file.
  std::string layer = "nbit";
  int weightBits = 4, activationBits = 4;
  std::string optimizer = "diodemix", rounding = "residual", moments = "f32";
  double lr = 0.002;
  std::string schedule = "cosine";
  int64_t epochs = 30, batch = 64;
  uint64_t seed = 0;
  int threads = 1;
  std::string out;                ///< File for the model; empty = none.
  std::string checkpoint;         ///< File written after each epoch; empty = none.
  bool resume = false;            ///< Go on from `checkpoint`.
  bool dryRun = false;            ///< Check everything and print the plan.
  std::vector<std::string> given; ///< Names of the options that the command line has, such as lr.
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
  int (*benchUpdate)(const BenchUpdateOptions &options);
  int (*train)(const TrainOptions &options);
  int (*benchTrain)(const TrainOptions &options);
};
constexpr const char *torchCommandsSymbol = "bqcTorchCommands";
using TorchCommandsFn = const TorchCommands *(*)();

/// Opens that library, which takes as long as loading LibTorch; NotFound says why it could not be.
Expected<const TorchCommands *> torchCommands();

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_COMMANDS_H
