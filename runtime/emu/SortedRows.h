// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Row kernels for GPUs know columns in the order of groups alone: what a caller on the host does about other orders.
#ifndef BQ_RUNTIME_EMU_SORTEDROWS_H
#define BQ_RUNTIME_EMU_SORTEDROWS_H

#include "runtime/Backend.h"

#include <functional>
#include <vector>

namespace bq::emu {

/// Rows `indices` (`count` rows in order where null) of a verified weight to `y`, its columns in the order `columns` of
/// columnsByGroup(), which is not empty. `dequantize` gets the weight with its columns sorted, and memory for all of
/// its values in weight.scaleType; its error is this one's.
Status dequantizeSorted(const CanonicalWeight &weight, const std::vector<int32_t> &columns, const int64_t *indices,
                        int64_t count, void *y,
                        const std::function<Status(const CanonicalWeight &sorted, void *values)> &dequantize);

/// The table of a table format as row kernels take it, 16 values, shorter ones repeated; empty for other formats.
std::vector<float> repeatedTable(const CanonicalWeight &weight);

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_SORTEDROWS_H
