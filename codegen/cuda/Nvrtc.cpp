// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/cuda/Nvrtc.h"

#include <algorithm>
#include <chrono>

using namespace bq;

namespace {

/// A program of NVRTC's, destroyed at the end.
struct Program {
  const NvrtcLibrary &library;
  NvrtcLibrary::Program handle = nullptr;
  ~Program() {
    if (handle)
      library.destroyProgram(&handle);
  }

  /// One of NVRTC's texts, which end in a zero byte; empty where it has none.
  template <typename GetSize, typename Get>
  std::string text(GetSize getSize, Get get) const {
    size_t size = 0;
    if (getSize(handle, &size) != 0 || size <= 1)
      return "";
    std::string text(size, '\0');
    if (get(handle, text.data()) != 0)
      return "";
    text.resize(size - 1);
    return text;
  }
};

/// The first line of a log that tells of an error, or the first at all.
std::string errorLine(const std::string &log) {
  std::string first;
  for (size_t at = 0; at < log.size();) {
    size_t end = std::min(log.find('\n', at), log.size());
    std::string line = log.substr(at, end - at);
    if (line.find("error") != std::string::npos || line.find("fatal") != std::string::npos)
      return line;
    if (first.empty())
      first = line;
    at = end + 1;
  }
  return first;
}

std::string joined(const std::vector<std::string> &words) {
  std::string text;
  for (const std::string &word : words)
    text += (text.empty() ? "" : " ") + word;
  return text;
}

} // namespace

Expected<std::vector<std::string>> bq::nvrtcOptions(const NvrtcLibrary &library, const CudaTarget &target,
                                                    Effort effort) {
  const std::vector<int> &known = library.architectures;
  bool isKnown = std::binary_search(known.begin(), known.end(), target.sm());
  if (!isKnown && target.sm() < known.back())
    return unsupported("NVRTC " + library.version() + " (" + library.file.path + ") makes no code for " + target.str() +
                       ": a newer one is needed");
  // PTX for one architecture alone would not load on the newer device: no suffix.
  std::vector<std::string> options = {
      "--gpu-architecture=" + (isKnown ? target.str() : "compute_" + std::to_string(known.back())), "--std=c++17",
      // Fused multiply-adds are where a kernel asks for them, here as in the emulator.
      "--fmad=false"};
  if (isKnown)
    options.push_back("--ptxas-options=-v");
  if (library.major > 12 || (library.major == 12 && library.minor >= 9)) {
    // Its own cache, which would hide what a compile costs; bq has one.
    options.push_back("--no-cache");
    if (effort == Effort::Low)
      options.push_back("--Ofast-compile=min");
  }
  return options;
}

Expected<CudaCode> bq::compileCuda(const NvrtcLibrary &library, const std::string &source, const std::string &name,
                                   const CudaTarget &target, Effort effort) {
  auto start = std::chrono::steady_clock::now();
  Expected<std::vector<std::string>> options = nvrtcOptions(library, target, effort);
  if (!options)
    return options.error();
  std::vector<const char *> arguments;
  for (const std::string &option : *options)
    arguments.push_back(option.c_str());

  CudaCode made;
  Program program{library};
  NvrtcLibrary::Result result =
      library.createProgram(&program.handle, source.c_str(), name.c_str(), 0, nullptr, nullptr);
  if (result == 0) {
    result = library.compileProgram(program.handle, static_cast<int>(arguments.size()), arguments.data());
    made.log = program.text(library.getLogSize, library.getLog);
  }
  if (result == 0) {
    made.ptx = program.text(library.getPtxSize, library.getPtx);
    made.isPtx = options->front().find("=compute_") != std::string::npos;
    if (made.isPtx) {
      made.code.assign(made.ptx.begin(), made.ptx.end());
    } else {
      size_t size = 0;
      result = library.getCubinSize(program.handle, &size);
      made.code.resize(size);
      if (result == 0)
        result = library.getCubin(program.handle, reinterpret_cast<char *>(made.code.data()));
    }
  }
  if (result != 0 || made.code.empty()) {
    std::string reason = errorLine(made.log);
    return internalError("NVRTC " + library.version() + " (" + library.file.path + ") refuses " + name + ": " +
                         library.getErrorString(result) + (reason.empty() ? "" : ", " + reason) + " (options " +
                         joined(*options) + ")\n" + made.log + "\n" + source);
  }
  made.milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return made;
}
