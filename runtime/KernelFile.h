// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What names a kernel in the cache, and the bytes of its file.
#ifndef BQ_RUNTIME_KERNELFILE_H
#define BQ_RUNTIME_KERNELFILE_H

#include "codegen/Artifact.h"
#include "codegen/Compiler.h"
#include "dialect/core/Status.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bq {

/// Everything that shapes a kernel's code: equal keys mean equal kernels.
struct KernelKey {
  /// Spec, forced schedule, target with features, build of bq, version of LLVM, for a GPU build of NVRTC; a line for
  /// each.
  std::string text;
  std::string hex; ///< XXH3-128 of the text, 32 lower-case digits.

  static KernelKey get(const CompileRequest &request);
  /// A key with the hash of `text`.
  static KernelKey fromText(std::string text);
};

/// A kernel as it is kept on disk:
///
///   8 bytes  "BQKERNEL"      4 bytes  version       4 bytes  bytes of the key's text
///   8 bytes  bytes of metadata       8 bytes  bytes of the object
///   8 bytes  XXH3-64 of everything but these eight bytes
///   the key's text, the metadata as JSON, the object
///
/// Numbers are little-endian. The size of the file must be exactly that.
struct KernelFile {
  std::string keyText;
  std::string specText; ///< KernelSpec::str()
  std::string target;   ///< str(Target)
  Artifact artifact;

  std::vector<uint8_t> encode() const;
  /// Errors (InvalidArgument) say what is wrong with the bytes; no input crashes or allocates more than its own size.
  static Expected<KernelFile> decode(const uint8_t *data, size_t size);
};

} // namespace bq

#endif // BQ_RUNTIME_KERNELFILE_H
