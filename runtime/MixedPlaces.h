// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Where kernels of products on GPUs find the groups of a `mixed` weight.
#ifndef BQ_RUNTIME_MIXEDPLACES_H
#define BQ_RUNTIME_MIXEDPLACES_H

#include "dialect/core/MixedIndex.h"
#include "runtime/MixedStream.h"

namespace bq {

/// Whether the kernels can count its groups and codes; else Unsupported.
Status verifyPlaces(const MixedStream &stream);
/// cuda::mixedPlace() of each group, from the levelsBegin() bytes that the stream begins with.
std::vector<uint32_t> mixedPlaces(const MixedStream &stream, const uint8_t *codes);
/// What a kernel must know of a stream whose row `firstRow` its weight begins with.
abi::MixedIndex mixedIndex(const MixedStream &stream, int64_t firstRow);
/// The column of the kernel's activations for each of the k columns of a row of the stream; empty where there is one
/// tap (MixedPart).
std::vector<int32_t> mixedColumns(int64_t k, int64_t taps);

} // namespace bq

#endif // BQ_RUNTIME_MIXEDPLACES_H
