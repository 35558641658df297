// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a command says: errors and warnings on stderr, sizes in text.
#ifndef BQ_TOOLS_BQC_OUTPUT_H
#define BQ_TOOLS_BQC_OUTPUT_H

#include "dialect/core/Status.h"
#include "tools/bqc/Commands.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bq::cli {

/// Writes "bqc: error: <text>" as one line to stderr, coloured on a terminal unless NO_COLOR is set. Returns Failed.
int fail(std::string_view text);
inline int fail(const Error &error) { return fail(error.message); }
/// The same, returning Usage.
int failUsage(std::string_view text);
/// Writes "bqc: warning: <text>" as one line to stderr.
void warn(std::string_view text);

/// Whether escape sequences may be written to stderr: it is a terminal and NO_COLOR is not set.
bool colourOnStderr();

/// A size as people write it, with decimal prefixes: 512 B, 1.5 kB, 90.9 MB, 2.1 GB.
std::string sizeText(int64_t bytes);
/// "[384, 1536]"
std::string shapeText(const std::vector<int64_t> &shape);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_OUTPUT_H
