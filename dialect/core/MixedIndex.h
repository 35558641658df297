// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How a kernel for CPUs finds its groups in the codes of a `mixed` weight, which stay in their canonical order.
#ifndef BQ_DIALECT_CORE_MIXEDINDEX_H
#define BQ_DIALECT_CORE_MIXEDINDEX_H

#include <algorithm>
#include <cstdint>

namespace bq::abi {

/// A task of a kernel is taskRows(k) rows of the weight. LinearFn's `zeros` are the ranks, uint32 [tasks][widths]: how
/// many groups of each width lie before the one in which the task's first weight lies. Its `table` is this:
struct MixedIndex {
  static constexpr int widths = 16; ///< 1 to 15; the entry for 0 has another meaning, or none.
  /// Bytes behind the stream that may be read.
  static constexpr int64_t slack = 128;

  /// Groups of a segment of activations: their numbers, and one more, are bytes.
  static constexpr int64_t maxListed = 254;

  /// Whether groups of this size fill steps of 64 codes, or are filled by them.
  static bool hasWholeSteps(int64_t group) {
    return group == 8 || group == 16 || group == 32 || (group > 0 && group % 64 == 0);
  }

  /// Byte of the stream where the levels of each width begin; [0] is the stream's row that the weight begins with.
  int64_t begin[widths];

  /// A multiple of 16, so many that the ranks are small beside the codes.
  static int64_t taskRows(int64_t k) { return std::max<int64_t>(16, ((int64_t{1} << 16) / k + 15) / 16 * 16); }
  static int64_t tasks(int64_t n, int64_t k) { return (n + taskRows(k) - 1) / taskRows(k); }
};

} // namespace bq::abi

#endif // BQ_DIALECT_CORE_MIXEDINDEX_H
