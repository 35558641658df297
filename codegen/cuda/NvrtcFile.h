// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Where NVIDIA's run-time compiler is on this machine, and which build of it. Nothing is opened but to read its
/// header.
#ifndef BQ_CODEGEN_CUDA_NVRTCFILE_H
#define BQ_CODEGEN_CUDA_NVRTCFILE_H

#include "dialect/core/Status.h"

#include <string>
#include <vector>

namespace bq {

struct NvrtcFile {
  std::string path;
  std::string build; ///< The GNU build id in hexadecimal; size and path where it has none. A part of kernels' keys.

  /// In order: BQ_NVRTC; the folders of LD_LIBRARY_PATH; the CUDA wheels beside LibTorch, where one is loaded in this
  /// process, and where it was when bq was built; /usr/local/cuda*; where the system's loader finds it. NotFound names
  /// the places and how to get it. A success is remembered while BQ_NVRTC stays; any thread, a forked child too.
  static Expected<NvrtcFile> find();

  /// The first of `files` that is there, else what the system's loader finds under one of `sonames`.
  static Expected<NvrtcFile> first(const std::vector<std::string> &files, const std::vector<std::string> &sonames);
  /// The files that find() tries after BQ_NVRTC, in order. `libraryPath` is LD_LIBRARY_PATH's value; `loaded` the paths
  /// of the objects loaded in a process.
  static std::vector<std::string> candidates(const std::string &libraryPath, const std::vector<std::string> &loaded);
  /// Reads `build` of an ELF file. Io where it cannot be read, InvalidArgument where it is no ELF file.
  static Expected<NvrtcFile> read(const std::string &path);
};

} // namespace bq

#endif // BQ_CODEGEN_CUDA_NVRTCFILE_H
