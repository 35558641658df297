// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Files of named tensors in the safetensors format: a header of JSON, then the bytes of the tensors.
#ifndef BQ_QUANTIZERS_SAFETENSORS_H
#define BQ_QUANTIZERS_SAFETENSORS_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

#include <cstddef>
#include <functional>
#include <map>
#include <string>

namespace bq {

/// What a file holds.
struct SafeTensors {
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Reads a whole file into tensors of their own on the CPU. Types are F64, F32, F16, BF16, F8_E4M3, F8_E5M2, I8 to I64,
/// U8 to U64 and BOOL. Everything that the header says is checked before a tensor is made. Throws c10::Error, one line
/// that begins with the path, where the file cannot be read or is damaged: its length, the header's length and JSON,
/// names given twice, unknown types, shapes whose bytes are not those of the data, data outside of the file, that
/// overlap, or that leave a gap.
BQ_TORCH_API SafeTensors readSafeTensors(const std::string &path);

/// Writes tensors of any strides and devices: under a temporary name in the same folder, then renamed, so that `path`
/// is as it was or complete. Equal contents give equal bytes. A file that is replaced keeps its mode. Throws
/// c10::Error, leaving nothing behind, for a type that the format does not have, a tensor named __metadata__, names and
/// metadata that are not UTF-8, and where the file cannot be written.
BQ_TORCH_API void writeSafeTensors(const std::string &path, const SafeTensors &contents);
/// The bytes of that file, in order and in parts, to `sink`; errors begin with `name`.
BQ_TORCH_API void writeSafeTensors(const std::string &name, const SafeTensors &contents,
                                   const std::function<void(const void *, size_t)> &sink);

} // namespace bq

#endif // BQ_QUANTIZERS_SAFETENSORS_H
