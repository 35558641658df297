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

/// How layers of the format sign are decomposed with calibration data.
struct CalibrationOptions {
  std::string data;          ///< File of inputs; empty: without.
  bool layerByLayer = false; ///< A pass over the data for each layer.
  bool qep = false;          ///< Weights make up for the error of the layers before them.
  std::string hessian = "f32";
  int64_t rounds = 1; ///< Of refinement; more fit the data, and suit inputs of quantized layers less.
  double damping = 1; ///< Part of the mean weight of inputs that is added to that of each.
  bool noImportance = false, noBalancing = false;
  bool resume = false; ///< Go on from the journal beside the model.
  std::string results; ///< File for the decomposed layers, as safetensors; empty = none.
};

struct QuantizeOptions {
  OutputOptions output;
  std::string in, out;
  std::vector<std::string> formats; ///< [REGEX=]FORMAT, the last that matches a name wins
  std::string compute = "f32";
  std::string device = "cpu"; ///< Where the weights are quantized.
  std::vector<std::string> include, exclude;
  double targetBits = 0; ///< Mean bits of layers in int and uint, chosen by sensitivity; 0: as `formats` say.
  CalibrationOptions calibration;
  std::vector<std::string> reports; ///< Files: the JSON object, or a page where the name ends in .html.
  int threads = 0;                  ///< 0: as LibTorch chooses.
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
  /// Where the op is update.
  std::string moments = "f32", rounding = "nearest", scaling = "group";
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

struct BenchNoiseOptions {
  OutputOptions output;
  int64_t parameters = int64_t{16} << 20;
  int64_t group = 8; ///< 0: all elements are one group.
  std::string noise = "gaussian";
  int threads = 0; ///< 0: as LibTorch chooses.
};

struct BenchOneBitOptions {
  OutputOptions output;
  int64_t n = 4096, k = 4096;
  int threads = 0; ///< 0: as LibTorch chooses.
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
  std::string quantizer = "none"; ///< none, or diffq: the bits of groups of weights are learned.
  double penalty = 5;             ///< On a MB of the model; what steering begins with where there is a target.
  double targetSize = 0;          ///< MB; 0: none.
  int64_t groupSize = 8;          ///< Weights that share a number of bits; 0: a whole parameter.
  std::string noise = "gaussian";
  double initBits = 8, bitsLr = 0.02;
  double minSize = 0.001;         ///< MB of floats; parameters up to this size stay floats.
  std::string report;             ///< File for a page on bits and sizes; empty = none.
  std::string out;                ///< File for the model; empty = none.
  std::string checkpoint;         ///< File written after each epoch; empty = none.
  bool resume = false;            ///< Go on from `checkpoint`.
  bool dryRun = false;            ///< Check everything and print the plan.
  std::vector<std::string> given; ///< Names of the options that the command line has, such as lr.
};

/// What a distillation is made of. A checkpoint holds all but `output`, `out`, `report`, `checkpoint`,
/// `checkpointSteps`, `resume` and `dryRun`.
struct DistillOptions {
  OutputOptions output;
  std::string teacher, out;
  std::string data; ///< Inputs to train on.
  std::string test; ///< Inputs that judge; empty = none.
  std::vector<std::string> include, exclude;
  std::string compute = "f32"; ///< Of the packed layers.
  std::string loss = "cosine"; ///< cosine, mse or kl, between results.
  double outputWeight = 1, hiddenWeight = 1;
  int64_t calibrate = 64; ///< Inputs that calibrate the decomposition to start from.
  double lr = 0.01;
  int64_t epochs = 1;
  int64_t steps = 0;  ///< 0: as `epochs` or `minutes` say.
  double minutes = 0; ///< As many steps as fit; 0: as `epochs` says.
  uint64_t seed = 0;
  int threads = 1;
  std::string report;     ///< File for the JSON object; empty = none.
  std::string checkpoint; ///< Empty = none.
  int64_t checkpointSteps = 200;
  bool resume = false; ///< Go on from `checkpoint`.
  bool dryRun = false; ///< Check everything and print the plan.
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
  int (*benchNoise)(const BenchNoiseOptions &options);
  int (*benchOneBit)(const BenchOneBitOptions &options);
  int (*train)(const TrainOptions &options);
  int (*benchTrain)(const TrainOptions &options);
  int (*distill)(const DistillOptions &options);
};
constexpr const char *torchCommandsSymbol = "bqcTorchCommands";
using TorchCommandsFn = const TorchCommands *(*)();

/// Opens that library, which takes as long as loading LibTorch; NotFound says why it could not be.
Expected<const TorchCommands *> torchCommands();

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_COMMANDS_H
