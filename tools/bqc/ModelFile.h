// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// TorchScript models and inputs on disk; LibTorch's errors as one line.
#ifndef BQ_TOOLS_BQC_MODELFILE_H
#define BQ_TOOLS_BQC_MODELFILE_H

#include "dialect/core/Status.h"

#include <torch/csrc/jit/api/module.h>

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace bq::cli {

/// The line of the text that says what is wrong: the first of LibTorch's own errors, without their backtrace; the last
/// of what a model's code raised, which begins with where it did.
std::string modelErrorText(const std::exception &error);

/// Whether `path` is a file that can be read; errors say what it is in place of one.
Status checkReadable(const std::string &path);
/// Whether the file begins as a zip archive, which all files of LibTorch do.
bool isZipFile(const std::string &path);

/// Loads a TorchScript model onto the CPU; each module stays in training or evaluation mode as it was saved. Errors say
/// what the file is in place of one: absent, a folder, truncated, no zip archive, of a newer version, or an archive of
/// something else.
Expected<torch::jit::Module> loadModel(const std::string &path);

/// Writes the module under its name at once (OutputFile). The bytes depend on the module only, not on the path.
Status saveModel(const torch::jit::Module &module, const std::string &path);

/// Reads what torch.save wrote. Errors begin with `option`, the argument that names the file, and say what was
/// `expected`.
Expected<c10::IValue> loadPickle(std::string_view option, const std::string &path, std::string_view expected);

/// Reads what torch.save wrote of a list of input tuples; a single tensor stands for a tuple of one. Errors begin with
/// `option`.
Expected<std::vector<std::vector<c10::IValue>>> loadInputs(std::string_view option, const std::string &path);

/// Size of the file.
int64_t fileSize(const std::string &path);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_MODELFILE_H
