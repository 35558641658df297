// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Levels of the format `mixed` from a float weight, for backends that have kernels for it.
#ifndef BQ_RUNTIME_MIXEDQUANTIZEARGS_H
#define BQ_RUNTIME_MIXEDQUANTIZEARGS_H

#include "runtime/MixedStream.h"

namespace bq {

/// Verified arguments: every field is there, and the stream was planned for the widths.
struct MixedQuantizeArgs {
  const MixedStream &stream;
  const void *weight; ///< [stream.weights()], of one element or more.
  ElementType dataType;
  float least, greatest; ///< The range of the weight.
  /// [stream.bytes()], which begin with what writeWidths() writes; the rest is written.
  uint8_t *codes;
};

/// What a Backend also is where it makes levels by kernels.
class MixedQuantizer {
public:
  virtual ~MixedQuantizer() = default;
  /// The bytes that MixedStream::write() makes of roundToLevels().
  virtual Status quantizeMixed(const MixedQuantizeArgs &args) = 0;
};

} // namespace bq

#endif // BQ_RUNTIME_MIXEDQUANTIZEARGS_H
