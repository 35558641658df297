// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Every environment variable of the runtime, in one table.
#ifndef BQ_RUNTIME_OPTIONS_H
#define BQ_RUNTIME_OPTIONS_H

#include "dialect/core/CudaTarget.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bq {

struct Options {
  enum class CacheMode {
    On,       ///< Kernels are read from the disk cache and written to it.
    ReadOnly, ///< Kernels are read from the disk cache; nothing on disk changes.
    Off,      ///< The disk is left alone; kernels live in memory.
  };

  std::string cacheDir; ///< Absolute; empty where the environment names no home folder, then there is no disk cache.
  CacheMode cacheMode = CacheMode::On;
  int64_t cacheSize = int64_t{1} << 30; ///< Bytes of kernels kept on disk.
  double cacheLockSeconds = 10;         ///< Longest wait for another process that compiles the same kernel.
  bool verboseDispatch = false;         ///< A line for each kernel when it is first used.
  bool verboseCompile = false;          ///< A line for each compile.
  bool verboseCache = false;            ///< A line for each search of the cache.
  std::string compilerPath;             ///< libbq_compiler.so; empty = searched for (CompilerLibrary).
  std::optional<CudaTarget> cudaTarget; ///< What to compile for on every GPU; none = each for itself.
  /// NVIDIA's driver; a name without a slash is searched for by the system's loader.
  std::string cudaDriverPath = "libcuda.so.1";

  /// Value of an environment variable, or null.
  using Lookup = std::function<const char *(const char *name)>;

  /// Errors name the variable, its value and what is accepted. An empty value is the default.
  static Expected<Options> parse(const Lookup &lookup);
  /// parse() of this process's environment.
  static Expected<Options> fromEnvironment();
};

/// One row of the table of environment variables, for `bqc doctor` and documentation.
struct OptionInfo {
  const char *name;
  const char *meaning;
  const char *defaultText;
};

/// All BQ_* variables, BQ_CPU (read by CpuTarget) and BQ_NVRTC (read by NvrtcFile) included.
const std::vector<OptionInfo> &optionTable();

/// A number of bytes: digits with an optional suffix K, M or G (powers of 1024). Errors name the text and the rule.
Expected<int64_t> parseSize(std::string_view text);

/// Writes "bq: <text>" as one line to stderr, in one piece, so that lines of several processes do not mix.
void logLine(const std::string &text);

} // namespace bq

#endif // BQ_RUNTIME_OPTIONS_H
